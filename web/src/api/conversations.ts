// /v1/conversations
import { send, sendForJson } from "./client";
import { savedUser } from "./key";
import type { Conversation, Item, Page } from "./objects";
import { problemOf } from "./problem";

const LONGEST_TITLE = 200;

/** Those of the user whom this page speaks for; without one, those that were begun for nobody. */
export function listConversations(after?: string): Promise<Page<Conversation>> {
  const asked = new URLSearchParams({ limit: "50", user: savedUser(), ...(after ? { after } : {}) });
  return sendForJson(`conversations?${asked.toString()}`);
}

export function getConversation(id: string): Promise<Conversation> {
  return sendForJson(`conversations/${id}`);
}

export function createConversation(title: string): Promise<Conversation> {
  const user = savedUser();
  const body = { title: title.slice(0, LONGEST_TITLE), ...(user ? { user } : {}) };
  return sendForJson("conversations", { method: "POST", body });
}

/** Have what falls out of the model's window summarised; switched off, the summary is forgotten. */
export function summarizeConversation(id: string, summarize: boolean): Promise<Conversation> {
  return sendForJson(`conversations/${id}`, { method: "POST", body: { summarize } });
}

export function renameConversation(id: string, title: string): Promise<Conversation> {
  return sendForJson(`conversations/${id}`, { method: "POST", body: { title: title.slice(0, LONGEST_TITLE) } });
}

export async function deleteConversation(id: string): Promise<void> {
  await send(`conversations/${id}`, { method: "DELETE" });
}

/** What was said in a conversation from a moment on (Unix seconds), oldest first; at most `limit` items. */
export function itemsSince(id: string, since: number, limit = 100): Promise<Page<Item>> {
  return sendForJson(`conversations/${id}/items?order=asc&limit=${limit}&since=${since}`);
}

/** The last that was said until a moment, newest first. */
export function itemsUntil(id: string, until: number): Promise<Page<Item>> {
  return sendForJson(`conversations/${id}/items?order=desc&limit=100&until=${until}`);
}

/** All of it, oldest first. */
export async function allItems(id: string): Promise<Item[]> {
  const items: Item[] = [];
  let after = "";
  while (true) {
    const page: Page<Item> = await sendForJson(`conversations/${id}/items?order=asc&limit=100${after}`);
    items.push(...page.data);
    if (!page.has_more || !page.last_id) return items;
    after = `&after=${encodeURIComponent(page.last_id)}`;
  }
}

/** Take one message out, on all devices. One that is not there is no failure, as long as its conversation is. */
export async function deleteItem(id: string, item: string): Promise<void> {
  try {
    await send(`conversations/${id}/items/${item}`, { method: "DELETE" });
  } catch (error) {
    if (problemOf(error).code !== "item_not_found") throw error;
  }
}

/** The conversation's stream: how it stands, then everything that happens in it. */
export function openEvents(id: string, lastEventId: string, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = lastEventId ? { "last-event-id": lastEventId } : {};
  return send(`conversations/${id}/events`, { headers, signal });
}
