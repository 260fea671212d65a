// A turn: one question and its answer, or what another service said (a push, then `question` is null). Pure.
import type { Problem } from "../api/problem";
import type { Annotation, Item } from "../api/objects";

export type AnswerStatus = "waiting" | "running" | "done" | "incomplete" | "cancelled" | "failed";

/** `cut` says why an incomplete answer ends where it does; `queue` where a waiting one stands. */
export interface Answer {
  status: AnswerStatus;
  text: string;
  annotations: Annotation[];
  queue: { position: number; etaSeconds: number } | null;
  problem: Problem | null;
  cut: string | null;
  retrievalSkipped: string | null;
}

/**
 * `id` stays for as long as the turn is shown. `item` names it in the conversation, once it is there; `response` is the
 * request behind it, null for what was put in from outside. `at` is in Unix seconds.
 */
export interface Turn {
  id: string;
  item: string | null;
  response: string | null;
  at: number;
  question: string | null;
  answer: Answer | null;
  push: boolean;
  publisher: string;
}

export const NO_ANSWER: Answer = {
  status: "waiting",
  text: "",
  annotations: [],
  queue: null,
  problem: null,
  cut: null,
  retrievalSkipped: null,
};

export function isOpen(turn: Turn): boolean {
  return turn.answer?.status === "waiting" || turn.answer?.status === "running";
}

/** The ids of what is in the conversation of a turn, the newest first. */
export function itemsOf(turn: Turn): string[] {
  if (turn.item === null) return [];
  return [
    ...(turn.answer === null ? [] : [`${turn.item}_assistant`]),
    ...(turn.question === null ? [] : [`${turn.item}_user`]),
  ];
}

/** The turns without an item. One of which nothing is left is no turn. */
export function withoutItem(turns: Turn[], id: string): Turn[] {
  const gone = id.endsWith("_user") ? { question: null } : { answer: null };
  return turns
    .map((turn) => (turn.item === turnOf(id) ? { ...turn, ...gone } : turn))
    .filter((turn) => turn.question !== null || turn.answer !== null);
}

/** The turns with these items in them. What a turn knows beyond its item (annotations, why it ended) is kept. */
export function withItems(turns: Turn[], items: Item[]): Turn[] {
  return items.reduce(withItem, turns);
}

function withItem(turns: Turn[], item: Item): Turn[] {
  const name = turnOf(item.id);
  const at = turns.findIndex((turn) => turn.item === name || (!!item.response_id && turn.response === item.response_id));
  if (at < 0) return inOrder([...turns, joined(newTurn(name, item), item)]);
  return turns.with(at, joined(turns[at]!, item));
}

/** An item's id is its turn's with the role behind it. */
function turnOf(id: string): string {
  return id.replace(/_(user|assistant)$/, "");
}

function newTurn(name: string, item: Item): Turn {
  return {
    id: name,
    item: name,
    response: item.response_id ?? null,
    at: item.created_at,
    question: null,
    answer: null,
    push: item.push ?? false,
    publisher: item.publisher ?? "",
  };
}

function joined(turn: Turn, item: Item): Turn {
  const known = { ...turn, item: turnOf(item.id), response: turn.response ?? item.response_id ?? null, at: item.created_at };
  const text = item.content.map((part) => part.text).join("");
  if (item.role === "user") return { ...known, question: text, answer: turn.answer ?? (item.response_id ? NO_ANSWER : null) };
  return { ...known, answer: answerFrom(turn.answer ?? NO_ANSWER, item, text) };
}

function answerFrom(known: Answer, item: Item, text: string): Answer {
  if (item.status === "in_progress") return known.status === "waiting" ? { ...known, status: "running" } : known;
  const ended = known.status === "waiting" || known.status === "running";
  const status = item.status === "completed" ? "done" : ended ? "incomplete" : known.status;
  return { ...known, status, text, queue: null };
}

/** By time; questions that are not in the conversation yet stay last. */
function inOrder(turns: Turn[]): Turn[] {
  return turns.toSorted((a, b) => Number(a.item === null) - Number(b.item === null) || a.at - b.at);
}
