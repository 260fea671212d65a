// Marks `[n]` in an answer: which passage each names, and where they stand in its Markdown. Pure.
import type { Element, ElementContent, Root, RootContent } from "hast";
import type { Annotation } from "../api/objects";

const MARK = /\[(\d{1,2})\]/g;
const SHOWN_AS_THEY_ARE = new Set(["a", "code", "pre"]);

/** The passage behind mark `number`: an annotation says at which character of the text its mark stands. */
export function passageOf(number: number, text: string, annotations: Annotation[]): Annotation | null {
  return annotations.find((one) => text.startsWith(`[${number}]`, one.index)) ?? null;
}

/** For rehype: every mark becomes a `<cite>` with its number, except in code and links. */
export function marksAsCites() {
  return (tree: Root): void => {
    tree.children = tree.children.flatMap(cited) as RootContent[];
  };
}

function cited<T extends RootContent>(node: T): (T | ElementContent)[] {
  if (node.type === "text") return pieces(node.value);
  if (node.type === "element" && !SHOWN_AS_THEY_ARE.has(node.tagName)) node.children = node.children.flatMap(cited);
  return [node];
}

function pieces(text: string): ElementContent[] {
  const found: ElementContent[] = [];
  let end = 0;
  for (const match of text.matchAll(MARK)) {
    if (match.index > end) found.push({ type: "text", value: text.slice(end, match.index) });
    found.push(cite(match[1]!, match[0]));
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push({ type: "text", value: text.slice(end) });
  return found;
}

function cite(number: string, mark: string): Element {
  return { type: "element", tagName: "cite", properties: { dataNumber: number }, children: [{ type: "text", value: mark }] };
}
