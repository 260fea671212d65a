// A question with its answer, or a message from another service.
import { type FormEvent, type KeyboardEvent, memo, useState } from "react";
import type { Removal } from "../chat/removal";
import { isOpen, type Turn } from "../chat/turn";
import { useWords } from "../i18n/language";
import { Markdown } from "../text/markdown";
import { Answer } from "./answer";
import { CopyButton } from "./copy_button";
import { Icon } from "./icons";

/** `held`: nothing can be removed just now, because a question is on its way or something is being removed. */
interface Props {
  turn: Turn;
  held: boolean;
  onRemove: (removal: Removal) => void;
  onCite: (response: string) => Promise<void>;
}

export const TurnView = memo(function TurnView({ turn, held, onRemove, onCite }: Props) {
  const again = held || turn.question === null ? null : () => onRemove({ turn, question: turn.question });
  return (
    <li className={turn.push ? "turn push" : "turn"}>
      {turn.question !== null && <Question turn={turn} question={turn.question} held={held} onRemove={onRemove} />}
      {turn.answer && (
        <article className="answer" aria-busy={isOpen(turn)}>
          <Speaker turn={turn} />
          {turn.push ? (
            <Markdown text={turn.answer.text} growing={false} />
          ) : (
            <Answer turn={turn} answer={turn.answer} onCite={onCite} onRetry={again} />
          )}
          {!isOpen(turn) && <Actions turn={turn} text={turn.answer.text} held={held} onRemove={onRemove} />}
        </article>
      )}
    </li>
  );
});

function Speaker({ turn }: { turn: Turn }) {
  const words = useWords();
  if (!turn.push) return <h2 className="hidden">{words.assistant}</h2>;
  return (
    <h2 className="speaker">
      <Icon name="bell" />
      {words.push}
      <time dateTime={new Date(turn.at * 1000).toISOString()}>
        {new Date(turn.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}
      </time>
    </h2>
  );
}

interface QuestionProps {
  turn: Turn;
  question: string;
  held: boolean;
  onRemove: (removal: Removal) => void;
}

function Question({ turn, question, held, onRemove }: QuestionProps) {
  const words = useWords();
  const [draft, setDraft] = useState<string | null>(null);
  const send = (event?: FormEvent) => {
    event?.preventDefault();
    if (!draft?.trim() || held) return;
    onRemove({ turn, question: draft.trim() }); // the draft stays until its turn has gone
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Escape") setDraft(null);
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  if (draft !== null) {
    return (
      <form className="editing" onSubmit={send}>
        <textarea
          autoFocus
          rows={3}
          value={draft}
          aria-label={words.edit}
          onChange={(event) => setDraft(event.target.value)}
          onKeyDown={onKey}
        />
        <div>
          <button type="button" onClick={() => setDraft(null)}>
            {words.cancel}
          </button>
          <button type="submit" className="primary" disabled={!draft.trim() || held}>
            {words.send}
          </button>
        </div>
      </form>
    );
  }
  return (
    <div className="question">
      <h2 className="hidden">{words.you}</h2>
      <div className="bubble">{question}</div>
      <div className="actions">
        <button type="button" className="quiet" aria-label={words.edit} title={words.edit} onClick={() => setDraft(question)}>
          <Icon name="edit" />
        </button>
        <CopyButton label={words.copy} text={() => question} />
        <RemoveButton turn={turn} held={held} onRemove={onRemove} />
      </div>
    </div>
  );
}

interface ActionsProps {
  turn: Turn;
  text: string;
  held: boolean;
  onRemove: (removal: Removal) => void;
}

function Actions({ turn, text, held, onRemove }: ActionsProps) {
  const words = useWords();
  return (
    <div className="actions">
      {text && <CopyButton label={words.copy} text={() => text} />}
      {turn.question === null ? (
        <RemoveButton turn={turn} held={held} onRemove={onRemove} />
      ) : (
        <button
          type="button"
          className="quiet"
          aria-label={words.regenerate}
          title={words.regenerate}
          disabled={held}
          onClick={() => onRemove({ turn, question: turn.question })}
        >
          <Icon name="again" />
        </button>
      )}
    </div>
  );
}

function RemoveButton({ turn, held, onRemove }: { turn: Turn; held: boolean; onRemove: (removal: Removal) => void }) {
  const words = useWords();
  const label = turn.question === null ? words.removeMessage : words.removeTurn;
  return (
    <button
      type="button"
      className="quiet"
      aria-label={label}
      title={label}
      disabled={held}
      onClick={() => onRemove({ turn, question: null })}
    >
      <Icon name="trash" />
    </button>
  );
}
