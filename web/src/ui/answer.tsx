// An answer: its text, what there is to say about it, and its passages.
import { useDeferredValue, useState } from "react";
import type { Annotation } from "../api/objects";
import type { Turn } from "../chat/turn";
import type { Answer as Answered } from "../chat/turn";
import type { Words } from "../i18n/english";
import { useWords } from "../i18n/language";
import { passageOf } from "../text/citations";
import { Markdown, OpenPassage } from "../text/markdown";
import { Passage } from "./passage";
import { ProblemNote } from "./problem_note";

interface Props {
  turn: Turn;
  answer: Answered;
  onRetry: (() => void) | null;
  onCite: (response: string) => Promise<void>;
}

export function Answer({ turn, answer, onRetry, onCite }: Props) {
  const words = useWords();
  const text = useDeferredValue(answer.text);
  const [opened, setOpened] = useState<number | null>(null);
  const open = async (number: number) => {
    if (!answer.annotations.length && turn.response) await onCite(turn.response).catch(() => undefined);
    setOpened(number);
  };
  const citable = answer.annotations.length > 0 || (turn.response !== null && answer.status !== "running");
  const note = noteOn(answer, words);
  return (
    <>
      {answer.status === "waiting" && <Waiting answer={answer} />}
      {answer.status === "running" && !answer.text && <Dots />}
      {text && (
        <OpenPassage value={citable ? (number) => void open(number) : null}>
          <Markdown text={text} growing={answer.status === "running"} />
        </OpenPassage>
      )}
      {note && (
        <p className="note">
          {note}
          {onRetry && answer.status !== "done" && (
            <button type="button" className="link" onClick={onRetry}>
              {words.retry}
            </button>
          )}
        </p>
      )}
      {answer.problem && <ProblemNote problem={answer.problem} onRetry={onRetry} />}
      {opened !== null && (
        <Passage number={opened} passage={passageIn(answer, opened)} onClose={() => setOpened(null)} />
      )}
    </>
  );
}

function Waiting({ answer }: { answer: Answered }) {
  const words = useWords();
  if (!answer.queue) return <Dots />;
  const { position, etaSeconds } = answer.queue;
  return (
    <p className="queue" role="status">
      <Dots />
      <span>{position > 0 ? words.position(position) : words.waiting}</span>
      {etaSeconds > 0 && <span className="eta">{words.eta(Math.ceil(etaSeconds))}</span>}
    </p>
  );
}

function Dots() {
  return (
    <span className="dots" aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  );
}

function passageIn(answer: Answered, number: number): Annotation | null {
  return passageOf(number, answer.text, answer.annotations);
}

function noteOn(answer: Answered, words: Words): string {
  if (answer.status === "cancelled") return words.stopped;
  if (answer.status === "incomplete") {
    return answer.cut === "max_output_tokens" ? words.cutLength : answer.cut === "deadline" ? words.cutDeadline : words.incomplete;
  }
  return answer.status === "done" && answer.retrievalSkipped ? words.noKnowledge : "";
}
