// Listens to a conversation's stream for as long as it is open, and comes back after every loss where it was.
import { openEvents } from "../api/conversations";
import { RequestFailed } from "../api/problem";
import { eventsIn } from "../api/sse";
import { backoffMs, pause } from "./backoff";
import type { Action } from "./chat";

/** Until the conversation is gone or the key is no longer good. Rejects when aborted. */
export async function listen(
  conversation: string,
  tell: (action: Action) => void,
  onBadKey: () => void,
  signal: AbortSignal,
): Promise<void> {
  const place = { lastEventId: "", tries: 0 };
  while (!signal.aborted) {
    try {
      await hear(conversation, place, tell, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const kind = error instanceof RequestFailed ? error.problem.kind : "offline";
      if (kind === "key") return onBadKey();
      if (kind === "gone") return tell({ type: "gone" });
    }
    tell({ type: "lost" });
    await pause(backoffMs(place.tries), signal);
    place.tries += 1;
  }
}

async function hear(
  conversation: string,
  place: { lastEventId: string; tries: number },
  tell: (action: Action) => void,
  signal: AbortSignal,
): Promise<void> {
  for await (const events of eventsIn(await openEvents(conversation, place.lastEventId, signal))) {
    place.tries = 0;
    place.lastEventId = events.findLast((event) => event.id)?.id ?? place.lastEventId;
    tell({ type: "heard", events: events.map((event) => event.data) });
  }
}
