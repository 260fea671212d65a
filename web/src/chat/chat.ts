// One conversation as this page shows it: a state, what can happen to it, and what becomes of it. Pure.
import type { Annotation, Conversation, Item, ResponseObject, RunningResponse, Summary } from "../api/objects";
import type { Problem } from "../api/problem";
import { problemOfCode } from "../api/problem";
import type { StreamEvent } from "../api/sse";
import { type Answer, isOpen, itemsOf, NO_ANSWER, type Turn, withItems, withoutItem } from "./turn";

/**
 * `phase`: nothing known yet, shown, or deleted by somebody · `live`: whether the conversation's stream is heard ·
 * `summarize`: whether what falls out of the model's window is summarised · `summary`: what came of it ·
 * `playing`: the response whose events the stream tells now · `earlier`: whether there is more before the first turn ·
 * `deleted`: the items that are gone, so that none comes back with what was on its way.
 */
export interface Chat {
  phase: "loading" | "shown" | "gone";
  live: boolean;
  title: string;
  summarize: boolean;
  summary: Summary | null;
  turns: Turn[];
  playing: string | null;
  earlier: boolean;
  deleted: ReadonlySet<string>;
}

/** A snapshot has the last entries only; with so many items there may be more before them. */
const SNAPSHOT_ITEMS = 99;

export type Action =
  | { type: "heard"; events: StreamEvent["data"][] }
  | { type: "lost" }
  | { type: "gone" }
  | { type: "asked"; id: string; question: string; now: number }
  | { type: "named"; id: string; response: string }
  | { type: "queued"; id: string; position: number; etaSeconds: number }
  | { type: "refused"; id: string; problem: Problem }
  | { type: "withdrawn"; id: string }
  | { type: "dropped"; id: string }
  | { type: "deleted"; item: string }
  | { type: "reached"; items: Item[]; earlier: boolean }
  | { type: "cited"; response: string; annotations: Annotation[] }
  | { type: "updated"; conversation: Conversation };

export const NOTHING: Chat = {
  phase: "loading",
  live: false,
  title: "",
  summarize: false,
  summary: null,
  turns: [],
  playing: null,
  earlier: false,
  deleted: new Set(),
};

export function reduce(chat: Chat, action: Action): Chat {
  switch (action.type) {
    case "heard":
      return action.events.reduce(hear, chat);
    case "lost":
      return { ...chat, live: false };
    case "gone":
      return { ...chat, phase: "gone", live: false };
    case "asked":
      return asked(chat, action.id, action.question, action.now);
    case "named":
      return named(chat, action.id, action.response);
    case "queued":
      return changed(chat, action.id, { queue: { position: action.position, etaSeconds: action.etaSeconds } });
    case "refused":
      return changed(chat, action.id, { status: "failed", queue: null, problem: action.problem });
    case "withdrawn":
      return changed(chat, action.id, { status: "cancelled", queue: null });
    case "dropped":
      return { ...chat, turns: chat.turns.filter((turn) => turn.id !== action.id) };
    case "deleted":
      return deleted(chat, action.item);
    case "reached":
      return { ...said(chat, action.items), earlier: action.earlier };
    case "cited":
      return ofResponse(chat, action.response, (answer) => ({ ...answer, annotations: action.annotations }));
    case "updated":
      return about(chat, action.conversation);
  }
}

/** The turn that is being answered, if any. */
export function openTurn(chat: Chat): Turn | null {
  return chat.turns.findLast(isOpen) ?? null;
}

function hear(chat: Chat, event: StreamEvent["data"]): Chat {
  switch (event.type) {
    case "conversation.snapshot":
      return standing(begun(chat, event["items"] as Item[]), event);
    case "conversation.resumed":
      return standing(chat, event);
    case "conversation.item.created":
      return said(chat, [event["item"] as Item]);
    case "conversation.item.deleted":
      return deleted(chat, event["item_id"] as string);
    case "conversation.updated":
      return about(chat, event["conversation"] as Conversation);
    case "conversation.deleted":
      return { ...chat, phase: "gone", live: false };
    default:
      return heardOfAnswer(chat, event);
  }
}

function begun(chat: Chat, items: Item[]): Chat {
  return { ...said({ ...chat, turns: remaining(chat, items) }, items), earlier: items.length >= SNAPSHOT_ITEMS };
}

/** Without what the conversation no longer has. Questions on their way, and those that were refused, stay. */
function remaining(chat: Chat, items: Item[]): Turn[] {
  const there = new Set(items.map((item) => item.id));
  const gone = chat.turns.flatMap(itemsOf).filter((id) => !there.has(id));
  return gone.reduce(withoutItem, chat.turns);
}

function said(chat: Chat, items: Item[]): Chat {
  return { ...chat, turns: withItems(chat.turns, items.filter((item) => !chat.deleted.has(item.id))) };
}

function deleted(chat: Chat, item: string): Chat {
  return { ...chat, turns: withoutItem(chat.turns, item), deleted: new Set([...chat.deleted, item]) };
}

function about(chat: Chat, { title, summarize, summary }: Conversation): Chat {
  return { ...chat, title, summarize, summary };
}

function standing(chat: Chat, event: StreamEvent["data"]): Chat {
  const running = event["response"] as RunningResponse | null;
  const turns = chat.turns.map((turn) => (isLeftOpen(turn, running) ? { ...turn, answer: null } : turn));
  const known = about(chat, event["conversation"] as Conversation);
  const shown: Chat = { ...known, phase: "shown", live: true, turns, playing: running?.id ?? null };
  if (!running) return shown;
  return ofResponse(shown, running.id, (answer) => ({ ...answer, status: "running", text: running.text, queue: null }));
}

/** Whether a question stands in the conversation without an answer, now or to come: that one was deleted. */
function isLeftOpen(turn: Turn, running: RunningResponse | null): boolean {
  return turn.item !== null && turn.answer?.status === "waiting" && turn.response !== running?.id;
}

function heardOfAnswer(chat: Chat, event: StreamEvent["data"]): Chat {
  switch (event.type) {
    case "response.created":
      return { ...chat, playing: (event["response"] as ResponseObject).id };
    case "response.in_progress":
      return ofPlaying(chat, (answer) => ({ ...answer, status: "running", queue: null }));
    case "response.output_text.delta":
      return ofPlaying(chat, (answer) => ({ ...answer, status: "running", text: answer.text + String(event["delta"]) }));
    case "response.output_text.reset":
      return ofPlaying(chat, (answer) => ({ ...answer, text: "", annotations: [] }));
    case "response.completed":
    case "response.incomplete":
    case "response.failed":
    case "response.cancelled":
      return { ...ofPlaying(chat, (answer) => ended(answer, event["response"] as ResponseObject)), playing: null };
    default:
      return chat;
  }
}

function ended(answer: Answer, response: ResponseObject): Answer {
  const part = response.output[0]?.content[0];
  return {
    ...answer,
    status: response.status === "completed" ? "done" : (response.status as Answer["status"]),
    text: part?.text ?? answer.text,
    annotations: part?.annotations ?? answer.annotations,
    queue: null,
    problem: response.error && problemOfCode(response.error.code, response.error.message),
    cut: response.incomplete_details?.reason ?? null,
    retrievalSkipped: response.retrieval_skipped ?? null,
  };
}

function asked(chat: Chat, id: string, question: string, now: number): Chat {
  const turn: Turn = {
    id,
    item: null,
    response: null,
    at: now / 1000,
    question,
    answer: NO_ANSWER,
    push: false,
    publisher: "",
  };
  return { ...chat, turns: [...chat.turns.filter((other) => other.id !== id), turn] };
}

/** The question has its id now. If the conversation's stream told of it first, the turn from there stays. */
function named(chat: Chat, id: string, response: string): Chat {
  const known = chat.turns.some((turn) => turn.response === response && turn.id !== id);
  if (known) return { ...chat, turns: chat.turns.filter((turn) => turn.id !== id) };
  return { ...chat, turns: chat.turns.map((turn) => (turn.id === id ? { ...turn, response } : turn)) };
}

function changed(chat: Chat, id: string, change: Partial<Answer>): Chat {
  const answered = (turn: Turn): Turn => ({ ...turn, answer: { ...(turn.answer ?? NO_ANSWER), ...change } });
  return { ...chat, turns: chat.turns.map((turn) => (turn.id === id ? answered(turn) : turn)) };
}

function ofPlaying(chat: Chat, change: (answer: Answer) => Answer): Chat {
  return chat.playing === null ? chat : ofResponse(chat, chat.playing, change);
}

function ofResponse(chat: Chat, response: string, change: (answer: Answer) => Answer): Chat {
  const at = chat.turns.findLastIndex((turn) => turn.response === response);
  const turn = chat.turns[at];
  if (!turn?.answer) return chat;
  return { ...chat, turns: chat.turns.with(at, { ...turn, answer: change(turn.answer) }) };
}
