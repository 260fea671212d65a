// How long to wait before the next try: doubling, with jitter, at most five seconds. Cut short when the network is back.

export function backoffMs(tries: number, random: () => number = Math.random): number {
  return Math.min(5000, 250 * 2 ** tries) * (0.5 + random() / 2);
}

/** Wait; returns early when the browser says that it is online again. Rejects when aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => () => {
      clearTimeout(timer);
      removeEventListener("online", onWait);
      signal.removeEventListener("abort", onAbort);
      settle();
    };
    const onWait = end(resolve);
    const onAbort = end(() => reject(signal.reason as Error));
    const timer = setTimeout(onWait, ms);
    addEventListener("online", onWait);
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
  });
}
