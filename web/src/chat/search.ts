// Finding conversations by what was said in them. Pure.
import type { Conversation, Item } from "../api/objects";

export interface Hit {
  conversation: Conversation;
  snippet: string;
}

/** Conversations whose title or words hold all words of `query`. Those whose items are unknown go by their title. */
export function search(query: string, conversations: Conversation[], items: ReadonlyMap<string, Item[]>): Hit[] {
  const words = wordsOf(query);
  return conversations.flatMap((conversation) => {
    if (holdsAll(conversation.title, words)) return [{ conversation, snippet: "" }];
    const text = (items.get(conversation.id) ?? []).map(textOf).find((said) => holdsAll(said, words));
    return text === undefined ? [] : [{ conversation, snippet: snippet(text, words[0] ?? "") }];
  });
}

/** Some words around the first place where `word` stands. */
export function snippet(text: string, word: string): string {
  const flat = text.replace(/\s+/g, " ");
  const at = Math.max(0, flat.toLowerCase().indexOf(word));
  const begin = Math.max(0, at - 24);
  return `${begin ? "…" : ""}${flat.slice(begin, at + 60)}${at + 60 < flat.length ? "…" : ""}`;
}

function wordsOf(query: string): string[] {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}

function holdsAll(text: string, words: string[]): boolean {
  const low = text.toLowerCase();
  return words.every((word) => low.includes(word));
}

function textOf(item: Item): string {
  return item.content.map((part) => part.text).join("");
}
