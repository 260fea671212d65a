import { describe, expect, test } from "vitest";
import type { Item } from "../src/api/objects";
import { type Action, type Chat, NOTHING, openTurn, reduce } from "../src/chat/chat";
import { messagesIn, turnsOf } from "../src/chat/removal";
import { itemsOf } from "../src/chat/turn";

const CONVERSATION = { id: "conv_1", title: "Water", created_at: 1, summarize: true, summary: null };

function item(turn: number, role: "user" | "assistant", text: string, more: Partial<Item> = {}): Item {
  return {
    id: `msg_${turn}_0_${role}`,
    role,
    status: "completed",
    content: [{ type: "text", text }],
    created_at: turn,
    response_id: `resp_${turn}`,
    ...more,
  };
}

function heard(...events: ({ type: string } & Record<string, unknown>)[]): Action {
  return { type: "heard", events };
}

function snapshot(items: Item[] = [], response: unknown = null): Action {
  return heard({ type: "conversation.snapshot", conversation: CONVERSATION, items, response });
}

function created(of: Item): Action {
  return heard({ type: "conversation.item.created", item: of });
}

function gone(id: string): Action {
  return heard({ type: "conversation.item.deleted", item_id: id });
}

function delta(text: string): { type: string; delta: string } {
  return { type: "response.output_text.delta", delta: text };
}

function after(...actions: Action[]): Chat {
  return actions.reduce(reduce, NOTHING);
}

const ASKED: Action = { type: "asked", id: "local", question: "How?", now: 5000 };
const NAMED: Action = { type: "named", id: "local", response: "resp_5" };
const STARTED = heard({ type: "response.created", response: { id: "resp_5" } });

describe("a question of this page", () => {
  test("is answered in its own turn, from asking to the end", () => {
    const chat = after(
      snapshot(),
      ASKED,
      NAMED,
      { type: "queued", id: "local", position: 2, etaSeconds: 4 },
      created(item(5, "user", "How?")),
      STARTED,
      heard(delta("By "), delta("gravity [1].")),
      heard({
        type: "response.completed",
        response: {
          status: "completed",
          error: null,
          incomplete_details: null,
          output: [{ content: [{ text: "By gravity [1].", annotations: [{ type: "file_citation", index: 11 }] }] }],
        },
      }),
      created(item(5, "assistant", "By gravity [1].")),
    );
    expect(chat.turns).toHaveLength(1);
    expect(chat.turns[0]).toMatchObject({ id: "local", item: "msg_5_0", question: "How?", response: "resp_5" });
    expect(chat.turns[0]!.answer).toMatchObject({ status: "done", text: "By gravity [1].", queue: null });
    expect(chat.turns[0]!.answer!.annotations).toHaveLength(1);
    expect(openTurn(chat)).toBeNull();
  });

  test("is shown once when the conversation tells of it before it has its id here", () => {
    const chat = after(snapshot(), ASKED, created(item(5, "user", "How?")), NAMED);
    expect(chat.turns.map((turn) => turn.response)).toEqual(["resp_5"]);
  });

  test("that was refused stays with its problem when the stream begins anew", () => {
    const problem = { kind: "limited", message: "", code: null, retryAt: 9 } as const;
    const chat = after(snapshot(), ASKED, { type: "refused", id: "local", problem }, snapshot([item(1, "user", "Before?")]));
    expect(chat.turns.map((turn) => turn.question)).toEqual(["Before?", "How?"]);
    expect(chat.turns[1]!.answer).toMatchObject({ status: "failed", problem });
  });
});

describe("a running answer", () => {
  const running = [item(5, "user", "How?"), item(5, "assistant", "", { status: "in_progress", content: [] })];
  const standing = { id: "resp_5", status: "in_progress", text: "By " };

  test("goes on behind its text so far after a reload", () => {
    const chat = after(snapshot(running, standing), heard(delta("gravity.")));
    expect(chat.turns[0]!.answer).toMatchObject({ status: "running", text: "By gravity." });
  });

  test("has its text replaced, not repeated, when the stream comes back", () => {
    const chat = after(
      snapshot(running, standing),
      heard(delta("gra")),
      { type: "lost" },
      heard({ type: "conversation.resumed", conversation: CONVERSATION, response: { ...standing, text: "By gravi" } }, delta("ty.")),
    );
    expect(chat.turns[0]!.answer!.text).toBe("By gravity.");
    expect(chat.live).toBe(true);
  });

  test("begins anew when the server says that its text is void", () => {
    const chat = after(snapshot(running, standing), heard({ type: "response.output_text.reset" }, delta("Down.")));
    expect(chat.turns[0]!.answer!.text).toBe("Down.");
  });

  test("lets a push by, and both keep their place", () => {
    const push = item(6, "assistant", "Your parcel is here.", { push: true });
    delete push.response_id;
    const chat = after(snapshot(running, standing), created(push), heard(delta("gravity.")));
    expect(chat.turns.map((turn) => turn.answer!.text)).toEqual(["By gravity.", "Your parcel is here."]);
    expect(chat.turns[1]!.push).toBe(true);
  });

  test("that ended while nobody listened is complete by its item", () => {
    const chat = after(snapshot(running, standing), created(item(5, "assistant", "By gravity.")));
    expect(openTurn(chat)).toBeNull();
    expect(chat.turns[0]!.answer).toMatchObject({ status: "done", text: "By gravity." });
  });
});

test("a question of another window is being answered from the moment it is heard", () => {
  expect(openTurn(after(snapshot(), created(item(5, "user", "How?"))))?.question).toBe("How?");
});

describe("a deleted item", () => {
  const both = [item(5, "user", "How?"), item(5, "assistant", "By gravity.")];

  test("is gone, and its turn with the last of them", () => {
    const half = after(snapshot(both), gone("msg_5_0_assistant"));
    expect(half.turns[0]).toMatchObject({ question: "How?", answer: null });
    expect(reduce(half, gone("msg_5_0_user")).turns).toEqual([]);
  });

  test("of another turn changes nothing", () => {
    expect(after(snapshot(both), gone("msg_6_0_user")).turns).toEqual(after(snapshot(both)).turns);
  });

  test("does not come back with what was on its way", () => {
    const chat = after(
      snapshot(both.slice(0, 1), { id: "resp_5", status: "in_progress", text: "By " }),
      { type: "deleted", item: "msg_5_0_assistant" },
      heard(delta("gravity.")),
      created(both[1]!),
      { type: "reached", items: both, earlier: false },
      snapshot(both),
    );
    expect(chat.turns).toMatchObject([{ question: "How?", answer: null }]);
  });

  test("is gone after a new snapshot too, if nobody listened when it was deleted", () => {
    expect(after(snapshot(both), snapshot(both.slice(1))).turns).toMatchObject([{ question: null, answer: { status: "done" } }]);
    expect(after(snapshot(both), snapshot([])).turns).toEqual([]);
  });
});

test("a question whose answer was deleted is not taken for one that is being answered", () => {
  const chat = after(snapshot([item(5, "user", "How?")]));
  expect(openTurn(chat)).toBeNull();
  expect(chat.turns[0]!.answer).toBeNull();
});

describe("what goes when a question is asked anew", () => {
  const push = item(3, "assistant", "Your parcel is here.", { push: true });
  const said = [1, 2].flatMap((turn) => [item(turn, "user", "How?"), item(turn, "assistant", "So.")]);
  const { turns } = after(snapshot([...said, push]));
  const items = (at: number, question: string | null) => turnsOf({ turn: turns[at]!, question }, turns).flatMap(itemsOf);

  test("is the last question and its answer, and no message of others", () => {
    expect(items(1, "Why?")).toEqual(["msg_2_0_assistant", "msg_2_0_user"]);
  });

  test("is everything behind an earlier one", () => {
    expect(items(0, "Why?")).toHaveLength(5);
    expect(messagesIn(turns)).toBe(5);
  });

  test("is the turn alone when nothing is asked, and nothing when it is no longer there", () => {
    expect(items(0, null)).toEqual(["msg_1_0_assistant", "msg_1_0_user"]);
    expect(turnsOf({ turn: turns[0]!, question: "Why?" }, turns.slice(1))).toEqual([]);
  });

  test("is also what was asked behind it and never came into the conversation", () => {
    const chat = after(snapshot(said), ASKED);
    expect(turnsOf({ turn: chat.turns[1]!, question: "Why?" }, chat.turns)).toHaveLength(2);
    expect(messagesIn(chat.turns)).toBe(5);
  });

  test("is nothing else for a question that never came into the conversation", () => {
    const chat = after(snapshot(), ASKED, { ...ASKED, id: "next" });
    expect(turnsOf({ turn: chat.turns[0]!, question: "Why?" }, chat.turns)).toEqual(chat.turns.slice(0, 1));
  });
});

test("a long conversation begins with its end, and what was before comes on demand", () => {
  const turns = Array.from({ length: 60 }, (_, at) => [item(at, "user", `q${at}`), item(at, "assistant", `a${at}`)]).flat();
  const orphan = { ...item(9, "assistant", "a9"), id: "msg_9_7_assistant" };
  const chat = after(snapshot([orphan, ...turns.slice(20)]));
  expect([chat.earlier, chat.turns.length]).toEqual([true, 51]);
  const all = reduce(chat, { type: "reached", items: turns.slice(0, 20), earlier: false });
  expect(all.earlier).toBe(false);
  expect(all.turns.map((turn) => turn.question)).toEqual(Array.from({ length: 60 }, (_, at) => `q${at}`));
});

test("a conversation that is deleted elsewhere is gone here", () => {
  expect(after(snapshot(), heard({ type: "conversation.deleted" })).phase).toBe("gone");
});

test("a summary is heard of when it is made, when it is forgotten, and after a loss", () => {
  const summary = { text: "Water flows.", until: 5, created_at: 6 };
  const made = heard({ type: "conversation.updated", conversation: { ...CONVERSATION, summary } });
  const resumed = heard({ type: "conversation.resumed", conversation: CONVERSATION, response: null });
  const chat = after(snapshot([item(5, "user", "How?")]), made);
  expect([chat.summarize, chat.summary]).toEqual([true, summary]);
  expect(reduce(chat, resumed).summary).toBeNull();
  expect(reduce(chat, { type: "updated", conversation: { ...CONVERSATION, summarize: false } }).summarize).toBe(false);
});
