// A question asked again right after its answer is shown as one question with versions of its answer. Pure.
import type { Turn } from "./turn";

export function versions(turns: Turn[]): Turn[][] {
  const groups: Turn[][] = [];
  for (const turn of turns) {
    const last = groups.at(-1);
    if (last && turn.question !== null && last[0]?.question === turn.question) last.push(turn);
    else groups.push([turn]);
  }
  return groups;
}
