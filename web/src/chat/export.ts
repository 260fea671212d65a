// A conversation as a Markdown file. Pure.
import type { Turn } from "./turn";

export function asMarkdown(title: string, turns: Turn[], you: string, assistant: string): string {
  const parts = turns.flatMap((turn) => [
    ...(turn.question === null ? [] : [said(you, turn.at, turn.question)]),
    ...(turn.answer?.text ? [said(turn.publisher || assistant, turn.at, turn.answer.text + sources(turn))] : []),
  ]);
  return [`# ${title}`, ...parts].join("\n\n") + "\n";
}

/** A title as the name of a file, whatever is in it. */
export function fileName(title: string): string {
  return `${title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "conversation"}.md`;
}

function said(who: string, at: number, text: string): string {
  return `**${who}** · ${new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ")}\n\n${text.trim()}`;
}

function sources(turn: Turn): string {
  const lines = (turn.answer?.annotations ?? []).map((one) => `> ${one.title ?? one.filename ?? ""}: ${one.text ?? ""}`);
  return lines.length ? `\n\n${[...new Set(lines)].join("\n>\n")}` : "";
}
