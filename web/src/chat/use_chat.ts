// One open conversation: what it shows, and what can be done in it.
import { useEffect, useReducer, useRef } from "react";
import { deleteItem, itemsUntil } from "../api/conversations";
import type { Conversation } from "../api/objects";
import { cancelResponse, getResponse } from "../api/responses";
import { pursue } from "./asking";
import { type Action, type Chat, NOTHING, openTurn, reduce } from "./chat";
import { listen } from "./hearing";
import { forget, newPending, type Pending, recall, remember } from "./pending";
import { isOpen, itemsOf, type Turn } from "./turn";

export interface Doing {
  ask: (question: string, model: string) => void;
  remove: (turns: Turn[]) => Promise<void>;
  stop: () => void;
  cite: (response: string) => Promise<void>;
  reachBack: () => Promise<void>;
  update: (conversation: Conversation) => void;
}

/** `attended`: whether somebody looks; if not, the stream is let go and taken up later. */
export function useChat(conversation: string, attended: boolean, onBadKey: () => void): [Chat, Doing] {
  const [chat, tell] = useReducer(reduce, NOTHING);
  const pursuits = usePursuits(conversation, tell);
  useEffect(() => {
    if (!attended) return undefined;
    const listening = new AbortController();
    listen(conversation, tell, onBadKey, listening.signal).catch(unlessAborted(listening.signal));
    return () => listening.abort();
  }, [conversation, attended]);

  const wanted = useRef(false);
  const open = openTurn(chat);
  useEffect(() => {
    if (!open) wanted.current = false;
    else if (wanted.current && open.response) void end(open);
  });

  const end = async (turn: Turn) => {
    wanted.current = false;
    try {
      const { status } = await cancelResponse(turn.response!);
      if (status !== "cancelled" || turn.item !== null) return;
      pursuits.abandon();
      tell({ type: "withdrawn", id: turn.id });
    } catch {
      wanted.current = true; // tried again with the next thing that happens
    }
  };
  const removeOne = async (turn: Turn) => {
    if (turn.item === null) return tell({ type: "dropped", id: turn.id });
    if (isOpen(turn)) await cancelResponse(turn.response!);
    for (const item of itemsOf(turn)) {
      await deleteItem(conversation, item);
      tell({ type: "deleted", item });
    }
  };
  return [
    chat,
    {
      ask: (question, model) => pursuits.begin(newPending(model, question, conversation)),
      // The newest first: a break in the middle leaves a conversation that ends earlier, and has no holes.
      remove: async (turns) => {
        for (const turn of turns.toReversed()) await removeOne(turn);
      },
      stop: () => {
        if (open?.response) void end(open);
        else wanted.current = true;
      },
      cite: async (response) => {
        const { output } = await getResponse(response);
        tell({ type: "cited", response, annotations: output[0]?.content[0]?.annotations ?? [] });
      },
      reachBack: async () => {
        const { data, has_more } = await itemsUntil(conversation, chat.turns[0]?.at ?? 0);
        tell({ type: "reached", items: data.toReversed(), earlier: has_more });
      },
      update: (changed) => tell({ type: "updated", conversation: changed }),
    },
  ];
}

/** Questions on their way: one that a reload left behind is taken up again. */
function usePursuits(conversation: string, tell: (action: Action) => void) {
  const pursuit = useRef<{ pending: Pending; abort: AbortController } | null>(null);
  const begin = (pending: Pending) => {
    remember(pending);
    const abort = new AbortController();
    pursuit.current = { pending, abort };
    pursue(pending, tell, abort.signal).catch(unlessAborted(abort.signal));
  };
  useEffect(() => {
    const left = recall(conversation);
    if (left) begin(left);
    return () => pursuit.current?.abort.abort();
  }, [conversation]);
  const abandon = () => {
    pursuit.current?.abort.abort();
    if (pursuit.current) forget(pursuit.current.pending);
  };
  return { begin, abandon };
}

function unlessAborted(signal: AbortSignal) {
  return (error: unknown) => {
    if (!signal.aborted) throw error;
  };
}
