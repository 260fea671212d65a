// Counts pushes in conversations that are not on the screen. One stream per open page is enough: these are asked.
import { itemsSince } from "../api/conversations";
import type { Conversation } from "../api/objects";
import { markSeen, seenUntil } from "./seen";

const WATCHED = 8;

/** New pushes of the newest conversations, by id. One that is met for the first time counts from now. */
export async function countUnread(conversations: Conversation[], shown: string | null): Promise<Map<string, number>> {
  const watched = conversations.filter((one) => one.id !== shown).slice(0, WATCHED);
  const counts = await Promise.all(watched.map(async (one) => [one.id, await pushesIn(one.id)] as const));
  return new Map(counts);
}

async function pushesIn(conversation: string): Promise<number> {
  const seen = seenUntil(conversation);
  if (seen === null) {
    markSeen(conversation, Date.now() / 1000);
    return 0;
  }
  const { data } = await itemsSince(conversation, seen, 20);
  return data.filter((item) => item.push && item.created_at > seen).length;
}
