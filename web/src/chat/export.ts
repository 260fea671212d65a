// A conversation as a Markdown file. Pure.
import type { Summary } from "../api/objects";
import type { Words } from "../i18n/english";
import { covered } from "./summary";
import type { Turn } from "./turn";

type Named = Pick<Words, "you" | "assistant" | "summarised">;

/** A summary stands behind the turns that it covers. */
export function asMarkdown(title: string, turns: Turn[], summary: Summary | null, words: Named): string {
  const parts = turns.map((turn) => partsOf(turn, words));
  if (summary) parts.splice(covered(summary, turns), 0, [said(words.summarised, summary.created_at, summary.text)]);
  return [`# ${title}`, ...parts.flat()].join("\n\n") + "\n";
}

/** A title as the name of a file, whatever is in it. */
export function fileName(title: string): string {
  return `${title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "conversation"}.md`;
}

function partsOf(turn: Turn, words: Named): string[] {
  return [
    ...(turn.question === null ? [] : [said(words.you, turn.at, turn.question)]),
    ...(turn.answer?.text ? [said(turn.publisher || words.assistant, turn.at, turn.answer.text + sources(turn))] : []),
  ];
}

function said(who: string, at: number, text: string): string {
  return `**${who}** · ${new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ")}\n\n${text.trim()}`;
}

function sources(turn: Turn): string {
  const lines = (turn.answer?.annotations ?? []).map((one) => `> ${one.title ?? one.filename ?? ""}: ${one.text ?? ""}`);
  return lines.length ? `\n\n${[...new Set(lines)].join("\n>\n")}` : "";
}
