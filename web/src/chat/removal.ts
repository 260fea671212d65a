// What goes when a turn is removed, alone or to ask its question anew. Pure.
import { itemsOf, type Turn } from "./turn";

/** `question` is asked once the turn is gone; null if nothing is. */
export interface Removal {
  turn: Turn;
  question: string | null;
}

/**
 * The turns that go. An earlier question is asked anew with all behind it gone, else what follows would not fit it; but
 * nothing follows one that never came into the conversation.
 */
export function turnsOf(removal: Removal, turns: Turn[]): Turn[] {
  const at = turns.findIndex((turn) => turn.id === removal.turn.id);
  const [turn, ...behind] = at < 0 ? [] : turns.slice(at);
  if (!turn) return [];
  const followed = turn.item !== null && behind.some((one) => one.question !== null);
  return removal.question !== null && followed ? [turn, ...behind] : [turn];
}

/** How many messages that is. A question that never came into the conversation counts as well. */
export function messagesIn(turns: Turn[]): number {
  return turns.reduce((count, turn) => count + (itemsOf(turn).length || 1), 0);
}
