// Tells a screen reader what happens: an answer block by block as its blocks are complete, and messages that arrive.
import { useEffect, useState } from "react";
import { isOpen, type Turn } from "../chat/turn";
import { useWords } from "../i18n/language";
import { blocks } from "../text/blocks";

export function Announcer({ turns }: { turns: Turn[] }) {
  const words = useWords();
  const [opened] = useState(() => Date.now() / 1000);
  const [watched, setWatched] = useState<string | null>(null);
  // One that is complete at first sight was never open here: the time tells that it is new.
  const newest = turns.findLast((one) => isOpen(one) || (!one.push && one.answer && one.at > opened));
  useEffect(() => {
    if (newest) setWatched(newest.id);
  }, [newest?.id]);
  const turn = newest ?? turns.find((one) => one.id === watched);
  const pushes = turns.filter((one) => one.push && one.at > opened);
  return (
    <div className="hidden" role="log" aria-live="polite">
      {turn && (
        <div key={turn.id}>
          <p>{words.answering}</p>
          {finished(turn).map((block, at) => (
            <p key={at}>{block}</p>
          ))}
          {!isOpen(turn) && <p>{turn.answer?.status === "cancelled" ? words.stopped : words.answered}</p>}
        </div>
      )}
      {pushes.map((push) => (
        <p key={push.id}>
          {words.push}: {push.answer?.text}
        </p>
      ))}
    </div>
  );
}

/** The blocks to which nothing will be added. */
function finished(turn: Turn): string[] {
  const all = blocks(turn.answer?.text ?? "");
  return isOpen(turn) ? all.slice(0, -1) : all;
}
