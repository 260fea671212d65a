// The passage behind a mark `[n]`, as the answer's model saw it.
import type { Annotation } from "../api/objects";
import { useWords } from "../i18n/language";
import { Dialog } from "./dialog";

export function Passage({ number, passage, onClose }: { number: number; passage: Annotation | null; onClose: () => void }) {
  const words = useWords();
  return (
    <Dialog title={`${words.passage} ${number}`} className="sheet" onClose={onClose}>
      {passage === null ? (
        <p>{words.passageGone}</p>
      ) : (
        <>
          <h3>{passage.title || passage.filename}</h3>
          <p className="about">
            {passage.filename}
            {passage.score !== undefined && ` · ${words.score(Math.round(passage.score * 100))}`}
          </p>
          <blockquote>{passage.text}</blockquote>
        </>
      )}
    </Dialog>
  );
}
