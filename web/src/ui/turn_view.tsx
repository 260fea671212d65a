// A question with its answer (or its answers, when it was asked again), or a message from another service.
import { type FormEvent, type KeyboardEvent, memo, useState } from "react";
import { isOpen, type Turn } from "../chat/turn";
import { useWords } from "../i18n/language";
import { Markdown } from "../text/markdown";
import { Answer } from "./answer";
import { CopyButton } from "./copy_button";
import { Icon } from "./icons";

interface Props {
  versions: Turn[];
  busy: boolean;
  onAsk: (question: string) => void;
  onRetry: (turn: Turn) => void;
  onCite: (response: string) => Promise<void>;
}

export const TurnView = memo(function TurnView(props: Props) {
  const [chosen, setChosen] = useState<number | null>(null);
  const last = props.versions.length - 1;
  const at = chosen === null || isOpen(props.versions[last]!) ? last : Math.min(chosen, last);
  const turn = props.versions[at]!;
  return (
    <li className={turn.push ? "turn push" : "turn"}>
      {turn.question !== null && <Question turn={turn} busy={props.busy} onAsk={props.onAsk} />}
      {turn.answer && (
        <article className="answer" aria-busy={isOpen(turn)}>
          <Speaker turn={turn} />
          {turn.push ? (
            <Markdown text={turn.answer.text} growing={false} />
          ) : (
            <Answer turn={turn} answer={turn.answer} onCite={props.onCite} onRetry={props.busy ? null : () => props.onRetry(turn)} />
          )}
          {!isOpen(turn) && (
            <Actions turn={turn} at={at} of={props.versions.length} busy={props.busy} onVersion={setChosen} onRetry={props.onRetry} />
          )}
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

function Question({ turn, busy, onAsk }: { turn: Turn; busy: boolean; onAsk: (question: string) => void }) {
  const words = useWords();
  const [draft, setDraft] = useState<string | null>(null);
  const send = (event?: FormEvent) => {
    event?.preventDefault();
    if (!draft?.trim() || busy) return;
    onAsk(draft.trim());
    setDraft(null);
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
          <button type="submit" className="primary" disabled={!draft.trim() || busy}>
            {words.send}
          </button>
        </div>
      </form>
    );
  }
  return (
    <div className="question">
      <h2 className="hidden">{words.you}</h2>
      <div className="bubble">{turn.question}</div>
      <div className="actions">
        <button type="button" className="quiet" aria-label={words.edit} title={words.edit} onClick={() => setDraft(turn.question)}>
          <Icon name="edit" />
        </button>
        <CopyButton label={words.copy} text={() => turn.question ?? ""} />
      </div>
    </div>
  );
}

interface ActionsProps {
  turn: Turn;
  at: number;
  of: number;
  busy: boolean;
  onVersion: (at: number) => void;
  onRetry: (turn: Turn) => void;
}

function Actions({ turn, at, of, busy, onVersion, onRetry }: ActionsProps) {
  const words = useWords();
  return (
    <div className="actions">
      {of > 1 && (
        <span className="versions">
          <button type="button" className="quiet" aria-label={words.earlierVersion} disabled={at === 0} onClick={() => onVersion(at - 1)}>
            <Icon name="left" />
          </button>
          <span aria-label={words.version(at + 1, of)} role="img">
            {at + 1} / {of}
          </span>
          <button type="button" className="quiet" aria-label={words.laterVersion} disabled={at === of - 1} onClick={() => onVersion(at + 1)}>
            <Icon name="right" />
          </button>
        </span>
      )}
      {turn.answer?.text && <CopyButton label={words.copy} text={() => turn.answer?.text ?? ""} />}
      {turn.question !== null && (
        <button
          type="button"
          className="quiet"
          aria-label={words.regenerate}
          title={words.regenerate}
          disabled={busy}
          onClick={() => onRetry(turn)}
        >
          <Icon name="again" />
        </button>
      )}
    </div>
  );
}
