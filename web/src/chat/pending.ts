// Questions on their way, kept where a reload finds them. Once an answer runs it is in its conversation, and not here.
import type { Question } from "../api/responses";

/** `id` is the turn's on this page and the idempotency key, so to ask again is harmless. `at`: milliseconds. */
export interface Pending extends Question {
  id: string;
  at: number;
  response: string | null;
}

const NAME = "penstock.pending.";
const LIFE_MS = 3_600_000;

export function newPending(model: string, text: string, conversation: string): Pending {
  const id = randomId();
  return { id, idempotencyKey: id, model, text, conversation, at: Date.now(), response: null };
}

export function remember(pending: Pending): void {
  localStorage.setItem(NAME + pending.conversation, JSON.stringify(pending));
}

export function forget(pending: Pending): void {
  if (recall(pending.conversation)?.id === pending.id) localStorage.removeItem(NAME + pending.conversation);
}

export function recall(conversation: string): Pending | null {
  const stored = localStorage.getItem(NAME + conversation);
  if (!stored) return null;
  const pending = JSON.parse(stored) as Pending;
  return Date.now() - pending.at < LIFE_MS ? pending : null;
}

/** `crypto.randomUUID` is not there on pages that came over plain HTTP. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
