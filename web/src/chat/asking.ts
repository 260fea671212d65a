// Brings a question to where its answer runs. From there on the conversation's stream tells of it, on every device.
import { problemOf, problemOfCode, RequestFailed } from "../api/problem";
import type { ResponseObject } from "../api/objects";
import { ask, openResponse } from "../api/responses";
import { eventsIn, type StreamEvent } from "../api/sse";
import { backoffMs, pause } from "./backoff";
import type { Action } from "./chat";
import { forget, type Pending, remember } from "./pending";

type Tell = (action: Action) => void;

/** Until the answer runs or the question is refused, through reloads and lost connections. Rejects when aborted. */
export async function pursue(pending: Pending, tell: Tell, signal: AbortSignal): Promise<void> {
  tell({ type: "asked", id: pending.id, question: pending.text, now: pending.at });
  if (pending.response) tell({ type: "named", id: pending.id, response: pending.response });
  for (let tries = 0; ; tries += 1) {
    try {
      if (await begun(pending, tell, signal)) break;
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof RequestFailed && error.problem.kind !== "offline") {
        tell({ type: "refused", id: pending.id, problem: problemOf(error) });
        break;
      }
    }
    await pause(backoffMs(tries), signal);
  }
  forget(pending);
}

/** Follow the way once; whether it came to its end. */
async function begun(pending: Pending, tell: Tell, signal: AbortSignal): Promise<boolean> {
  const known = pending.response;
  const response = known ? await openResponse(known, signal) : await ask(pending, signal);
  for await (const events of eventsIn(response)) {
    for (const { data } of events) {
      if (took(pending, data, tell)) return true;
    }
  }
  return false;
}

/** Take in one event; whether the way ends with it. */
function took(pending: Pending, data: StreamEvent["data"], tell: Tell): boolean {
  switch (data.type) {
    case "response.created":
      pending.response = (data["response"] as ResponseObject).id;
      remember(pending);
      tell({ type: "named", id: pending.id, response: pending.response });
      return false;
    case "response.queued":
      tell({ type: "queued", id: pending.id, position: Number(data["position"]), etaSeconds: Number(data["eta_seconds"]) });
      return false;
    case "error":
      tell({ type: "refused", id: pending.id, problem: problemOfCode(String(data["code"]), String(data["message"])) });
      return true;
    case "response.failed":
      tell({ type: "refused", id: pending.id, problem: failure(data["response"] as ResponseObject) });
      return true;
    case "response.cancelled":
      tell({ type: "withdrawn", id: pending.id });
      return true;
    default:
      return true;
  }
}

function failure(response: ResponseObject) {
  return problemOfCode(response.error?.code ?? null, response.error?.message ?? "");
}
