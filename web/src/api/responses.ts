// /v1/responses
import { send, sendForJson } from "./client";
import type { ResponseObject } from "./objects";

/** Seconds for which a question may wait for admission. A person sees the queue and can stop, so it is long. */
const PATIENCE = "120";

export interface Question {
  model: string;
  text: string;
  conversation: string;
  idempotencyKey: string;
}

/** Ask, and hear of the way to the answer. Asked again with the same key it is the same request. */
export function ask(question: Question, signal: AbortSignal): Promise<Response> {
  return send("responses", {
    method: "POST",
    headers: { "x-penstock-leave": "run", "x-penstock-wait": PATIENCE },
    body: {
      model: question.model,
      input: question.text,
      conversation: question.conversation,
      idempotency_key: question.idempotencyKey,
      stream: true,
      store: true,
    },
    signal,
  });
}

/** The events of a response from its beginning. */
export function openResponse(id: string, signal: AbortSignal): Promise<Response> {
  return send(`responses/${id}?stream=true`, { signal });
}

export function getResponse(id: string): Promise<ResponseObject> {
  return sendForJson(`responses/${id}`);
}

/** Stop it wherever it is; the response as it is then. */
export function cancelResponse(id: string): Promise<ResponseObject> {
  return sendForJson(`responses/${id}/cancel`, { method: "POST" });
}
