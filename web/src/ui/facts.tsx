// Facts about a user: what conversations have told, each with its source, and what somebody registered.
import { useEffect, useState } from "react";
import { getConversation } from "../api/conversations";
import { problemOf } from "../api/problem";
import { useLanguage, useWords } from "../i18n/language";
import { type LearnedFact, wordsFor } from "../text/facts";
import { Icon } from "./icons";

interface LearnedProps {
  facts: LearnedFact[];
  onForget: (name: string) => void;
  onOpen: (conversation: string) => void;
}

export function LearnedFacts({ facts, onForget, onOpen }: LearnedProps) {
  const words = useWords();
  const titles = useTitles(facts);
  return (
    <ul className="facts">
      {facts.map((fact) => {
        const name = wordsFor(fact.name, words.factNames);
        return (
          <li key={fact.name}>
            <div>
              <p className="fact-name">{name}</p>
              <p dir="auto">{fact.value}</p>
              <Source fact={fact} title={titles.get(fact.conversation)} onOpen={onOpen} />
              {fact.unused && <p className="soft">{words.unused}</p>}
            </div>
            <button
              type="button"
              className="quiet"
              aria-label={words.forget(name)}
              title={words.forget(name)}
              onClick={() => onForget(fact.name)}
            >
              <Icon name="trash" />
            </button>
          </li>
        );
      })}
    </ul>
  );
}

export function RegisteredFacts({ facts }: { facts: Record<string, string> }) {
  const words = useWords();
  if (!Object.keys(facts).length) return null;
  return (
    <dl className="facts">
      {Object.entries(facts).map(([name, value]) => (
        <div key={name}>
          <dt className="fact-name">{wordsFor(name, words.factNames)}</dt>
          <dd dir="auto">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** `title` is undefined while it is not known, null for a conversation that is gone. */
function Source({ fact, title, onOpen }: { fact: LearnedFact; title: string | null | undefined; onOpen: (id: string) => void }) {
  const words = useWords();
  const { language } = useLanguage();
  const locales = [...navigator.languages.filter((one) => one.startsWith(language)), language];
  const at = new Date(fact.learned_at * 1000);
  return (
    <p className="soft">
      <time dateTime={at.toISOString()}>{at.toLocaleDateString(locales, { dateStyle: "medium" })}</time>
      {" · "}
      {title === null ? (
        words.fromGone
      ) : (
        <a
          dir="auto"
          href={`#${fact.conversation}`}
          onClick={(event) => {
            if (event.metaKey || event.ctrlKey) return;
            event.preventDefault();
            onOpen(fact.conversation);
          }}
        >
          {title === undefined ? words.fromOne : words.fromConversation(title || words.untitled)}
        </a>
      )}
    </p>
  );
}

/** The titles of the conversations that facts are from, as they come in. */
function useTitles(facts: LearnedFact[]): ReadonlyMap<string, string | null> {
  const [titles, setTitles] = useState<ReadonlyMap<string, string | null>>(new Map());
  const wanted = [...new Set(facts.map((fact) => fact.conversation))].join(" ");
  useEffect(() => {
    let left = false;
    const put = (id: string, title: string | null) => left || setTitles((known) => new Map(known).set(id, title));
    for (const id of wanted.split(" ")) {
      getConversation(id).then(
        (found) => put(id, found.title),
        (error: unknown) => problemOf(error).kind === "gone" && put(id, null),
      );
    }
    return () => {
      left = true;
    };
  }, [wanted]);
  return titles;
}
