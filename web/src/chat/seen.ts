// Until when each conversation was seen on this device (Unix seconds), so that pushes count as new only once.
const NAME = "penstock.seen";
const KEPT = 200;

export function seenUntil(conversation: string): number | null {
  return all()[conversation] ?? null;
}

export function markSeen(conversation: string, at: number): void {
  const seen = { ...all(), [conversation]: Math.max(at, all()[conversation] ?? 0) };
  const newest = Object.entries(seen).sort((a, b) => b[1] - a[1]).slice(0, KEPT);
  localStorage.setItem(NAME, JSON.stringify(Object.fromEntries(newest)));
}

function all(): Record<string, number> {
  return JSON.parse(localStorage.getItem(NAME) ?? "{}") as Record<string, number>;
}
