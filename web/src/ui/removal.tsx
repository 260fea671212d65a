// Removes turns, to be rid of them or to ask anew: asks first, unless only the last question is asked anew, and says
// when it failed.
import { type ReactNode, useState } from "react";
import { type Problem, problemOf } from "../api/problem";
import { messagesIn, type Removal, turnsOf } from "../chat/removal";
import type { Turn } from "../chat/turn";
import { useWords } from "../i18n/language";
import { Dialog } from "./dialog";
import { ProblemNote } from "./problem_note";

/** `told` is the dialog, and a word for screen readers. */
interface Removing {
  wish: (removal: Removal) => void;
  working: boolean;
  told: ReactNode;
}

export function useRemoval(
  turns: Turn[],
  remove: (turns: Turn[]) => Promise<void>,
  ask: (question: string) => void,
): Removing {
  const words = useWords();
  const [open, setOpen] = useState<{ removal: Removal; problem: Problem | null } | null>(null);
  const [working, setWorking] = useState(false);
  const [done, setDone] = useState(false);
  const fulfil = async (removal: Removal) => {
    setOpen(null);
    setWorking(true);
    setDone(false);
    try {
      await remove(turnsOf(removal, turns));
      document.getElementById("main")?.focus(); // what had the focus went with the turn
      if (removal.question !== null) ask(removal.question);
      setDone(removal.question === null);
    } catch (error) {
      setOpen({ removal, problem: problemOf(error) });
    }
    setWorking(false);
  };
  const wish = (removal: Removal) => {
    if (removal.question !== null && turnsOf(removal, turns).length === 1) void fulfil(removal);
    else setOpen({ removal, problem: null });
  };
  const told = (
    <>
      <p className="hidden" role="status">
        {done && words.removed}
      </p>
      {open && (
        <RemovalDialog
          removal={open.removal}
          problem={open.problem}
          count={messagesIn(turnsOf(open.removal, turns))}
          onSure={() => void fulfil(open.removal)}
          onClose={() => setOpen(null)}
        />
      )}
    </>
  );
  return { wish, working, told };
}

interface DialogProps {
  removal: Removal;
  problem: Problem | null;
  count: number;
  onSure: () => void;
  onClose: () => void;
}

function RemovalDialog({ removal: { turn, question }, problem, count, onSure, onClose }: DialogProps) {
  const words = useWords();
  const anew = question !== null;
  const title = anew ? words.regenerate : turn.question === null ? words.removeMessage : words.removeTurn;
  const sentence = anew ? words.askAnewAsk(count) : words.removeMessagesAsk(count);
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{problem ? words.notRemoved : sentence}</p>
      {problem && <ProblemNote problem={problem} onRetry={onSure} />}
      <div className="dialog-foot">
        <button type="button" data-first onClick={onClose}>
          {words.cancel}
        </button>
        {!problem && (
          <button type="button" className="primary danger" onClick={onSure}>
            {anew ? words.removeAndAsk : words.remove}
          </button>
        )}
      </div>
    </Dialog>
  );
}
