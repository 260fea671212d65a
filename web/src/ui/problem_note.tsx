// A problem in words, with a button that is ready when trying again makes sense.
import { useEffect, useState } from "react";
import type { Problem, ProblemKind } from "../api/problem";
import type { Words } from "../i18n/english";
import { useWords } from "../i18n/language";
import { Icon } from "./icons";

export function ProblemNote({ problem, onRetry }: { problem: Problem; onRetry: (() => void) | null }) {
  const words = useWords();
  const seconds = useSecondsUntil(problem.retryAt);
  return (
    <div className="problem" role="alert">
      <Icon name="warn" />
      <div>
        <strong>{sentenceOf(problem, words)}</strong>
        {problem.message && problem.kind !== "key" && <p>{problem.message}</p>}
      </div>
      {onRetry && (
        <button type="button" disabled={seconds > 0} onClick={onRetry}>
          {seconds > 0 ? words.retryIn(seconds) : words.retry}
        </button>
      )}
    </div>
  );
}

export function sentenceOf(problem: Problem, words: Words): string {
  const sentences: Record<ProblemKind, string> = {
    offline: words.offline,
    limited: words.limited,
    full: words.full,
    no_workers: words.noWorkers,
    key: words.badKey,
    gone: words.gone,
    failed: words.failed,
  };
  return sentences[problem.kind];
}

function useSecondsUntil(at: number | null): number {
  const left = () => (at === null ? 0 : Math.max(0, Math.ceil((at - Date.now()) / 1000)));
  const [seconds, setSeconds] = useState(left);
  useEffect(() => {
    setSeconds(left());
    const timer = setInterval(() => setSeconds(left()), 500);
    return () => clearInterval(timer);
  }, [at]);
  return seconds;
}
