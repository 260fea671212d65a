// Where the part of a conversation ends that the model reads as a summary only. Pure.
import type { Summary } from "../api/objects";
import type { Turn } from "./turn";

/** How many of the turns it covers; those that are on their way are not among them. */
export function covered(summary: Summary, turns: Turn[]): number {
  return turns.findLastIndex((turn) => turn.item !== null && turn.at <= summary.until) + 1;
}
