// The list of a user's conversations as this window knows it.
import { useEffect, useState } from "react";
import { listConversations } from "../api/conversations";
import { savedUser } from "../api/key";
import type { Conversation } from "../api/objects";
import { useEvery } from "./every";

const EVERY_MS = 30_000;

export function useConversations(user: string) {
  const [list, setList] = useState<Conversation[]>([]);
  const [more, setMore] = useState(false);
  useEffect(() => setList([]), [user]);

  const refresh = async () => {
    const page = await listConversations().catch(() => null);
    if (!page || user !== savedUser()) return;
    const first = new Set(page.data.map((one) => one.id));
    const oldest = page.data.at(-1)?.created_at ?? 0;
    setList((known) => [...page.data, ...(page.has_more ? known.filter((one) => !first.has(one.id) && one.created_at <= oldest) : [])]);
    setMore((known) => (list.length > page.data.length ? known : page.has_more));
  };
  const loadMore = async () => {
    const page = await listConversations(list.at(-1)?.id).catch(() => null);
    if (!page || user !== savedUser()) return;
    setList((known) => [...known, ...page.data]);
    setMore(page.has_more);
  };
  const put = (made: Conversation) =>
    setList((known) => (known.some((one) => one.id === made.id) ? known.map((one) => (one.id === made.id ? made : one)) : [made, ...known]));
  const drop = (id: string) => setList((known) => known.filter((one) => one.id !== id));

  useEvery(EVERY_MS, () => void refresh(), user);
  return { list, more, refresh, loadMore, put, drop };
}
