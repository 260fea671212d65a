// The conversations: listed by day, searched by title and by what was said.
import { useEffect, useRef, useState } from "react";
import { allItems } from "../api/conversations";
import type { Conversation, Item } from "../api/objects";
import { search } from "../chat/search";
import type { Words } from "../i18n/english";
import { useWords } from "../i18n/language";
import { Icon, Sign } from "./icons";

interface Props {
  conversations: Conversation[];
  more: boolean;
  shown: string | null;
  unread: ReadonlyMap<string, number>;
  drawer: boolean;
  onOpen: (conversation: string | null) => void;
  onMore: () => void;
  onSettings: () => void;
  onClose: () => void;
}

export function Sidebar(props: Props) {
  const words = useWords();
  const [query, setQuery] = useState("");
  const items = useItems(query !== "", props.conversations);
  const hits = search(query, props.conversations, items);
  const field = useRef<HTMLInputElement>(null);
  useFocusKey(field);
  const close = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (props.drawer) close.current?.focus();
  }, [props.drawer]);
  const groups = query ? [{ name: "", hits }] : byDay(hits, words);
  return (
    <>
      <div className="shade" onClick={props.onClose} />
      <nav
        id="conversations"
        className="sidebar"
        aria-label={words.chats}
        onKeyDown={(event) => event.key === "Escape" && props.drawer && props.onClose()}
      >
        <div className="brand">
          <Sign />
          <span>Penstock</span>
          <button ref={close} type="button" className="quiet only-phone" aria-label={words.closeMenu} onClick={props.onClose}>
            <Icon name="close" />
          </button>
        </div>
        <button type="button" className="new-chat" onClick={() => props.onOpen(null)}>
          <Icon name="plus" />
          {words.newChat}
        </button>
        <div className="search">
          <Icon name="search" />
          <input
            ref={field}
            type="search"
            placeholder={words.search}
            aria-label={words.search}
            aria-keyshortcuts="Control+K Meta+K"
            value={query}
            onChange={(event) => setQuery(event.target.value)}
          />
        </div>
        <div className="rows">
          {groups.map((group) => (
            <section key={group.name}>
              {group.name && <h2>{group.name}</h2>}
              <ul>
                {group.hits.map(({ conversation, snippet }) => (
                  <Row
                    key={conversation.id}
                    conversation={conversation}
                    snippet={snippet}
                    current={conversation.id === props.shown}
                    unread={props.unread.get(conversation.id) ?? 0}
                    onOpen={() => props.onOpen(conversation.id)}
                  />
                ))}
              </ul>
            </section>
          ))}
          {props.conversations.length === 0 && <p className="nothing">{words.noChats}</p>}
          {query && hits.length === 0 && (
            <p className="nothing" role="status">
              {words.searchNothing}
            </p>
          )}
          {props.more && !query && (
            <button type="button" className="link" onClick={props.onMore}>
              {words.showMore}
            </button>
          )}
        </div>
        <button type="button" className="foot" onClick={props.onSettings}>
          <Icon name="settings" />
          {words.settings}
        </button>
      </nav>
    </>
  );
}

function Row(props: { conversation: Conversation; snippet: string; current: boolean; unread: number; onOpen: () => void }) {
  const words = useWords();
  return (
    <li>
      <a
        href={`#${props.conversation.id}`}
        aria-current={props.current ? "page" : undefined}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey) return;
          event.preventDefault();
          props.onOpen();
        }}
      >
        <span className="row-title">{props.conversation.title || words.untitled}</span>
        {props.unread > 0 && (
          <span className="badge">
            {props.unread}
            <span className="hidden"> {words.newMessages(props.unread)}</span>
          </span>
        )}
        {props.snippet && <span className="snippet">{props.snippet}</span>}
      </a>
    </li>
  );
}

/** What was said in the newest conversations, read when it is first searched. */
function useItems(wanted: boolean, conversations: Conversation[]): ReadonlyMap<string, Item[]> {
  const [items, setItems] = useState<ReadonlyMap<string, Item[]>>(new Map());
  useEffect(() => {
    if (!wanted) return undefined;
    let left = false;
    const read = async () => {
      for (const { id } of conversations.slice(0, 50)) {
        if (left) return;
        const found = await allItems(id).catch(() => []);
        setItems((known) => new Map(known).set(id, found));
      }
    };
    void read();
    return () => {
      left = true;
    };
  }, [wanted]);
  return items;
}

/** Control K, or the command key, leads into the search. */
function useFocusKey(field: React.RefObject<HTMLInputElement | null>): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "k" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      field.current?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [field]);
}

function byDay<T extends { conversation: Conversation }>(hits: T[], words: Words): { name: string; hits: T[] }[] {
  const midnight = new Date().setHours(0, 0, 0, 0) / 1000;
  const names = [words.today, words.yesterday, words.earlier];
  const day = ({ conversation }: T) => (conversation.created_at >= midnight ? 0 : conversation.created_at >= midnight - 86_400 ? 1 : 2);
  return names.map((name, at) => ({ name, hits: hits.filter((hit) => day(hit) === at) })).filter((group) => group.hits.length > 0);
}
