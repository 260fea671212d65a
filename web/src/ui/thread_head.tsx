// A conversation's title, and what can be done with the whole of it.
import { type FormEvent, useState } from "react";
import { allItems, deleteConversation, renameConversation } from "../api/conversations";
import type { Conversation } from "../api/objects";
import { type Problem, problemOf } from "../api/problem";
import type { Chat } from "../chat/chat";
import { asMarkdown, fileName } from "../chat/export";
import { withItems } from "../chat/turn";
import { useWords } from "../i18n/language";
import { Dialog } from "./dialog";
import { Icon } from "./icons";
import { ProblemNote } from "./problem_note";
import { SummaryDialog } from "./summary";

interface Props {
  conversation: string;
  chat: Chat;
  onMenu: () => void;
  onUpdated: (conversation: Conversation) => void;
  onGone: () => void;
}

export function ThreadHead(props: Props) {
  const words = useWords();
  const [asking, setAsking] = useState<"rename" | "summary" | "remove" | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const { chat } = props;
  const title = chat.title || words.untitled;
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work();
      setAsking(null);
      setProblem(null);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  const exportAll = async () => {
    const turns = withItems(chat.turns, await allItems(props.conversation));
    download(fileName(title), asMarkdown(title, turns, chat.summary, words));
  };
  const close = () => {
    setAsking(null);
    setProblem(null);
  };
  return (
    <header className="head">
      <button type="button" className="quiet only-phone" aria-label={words.menu} onClick={props.onMenu}>
        <Icon name="menu" />
      </button>
      <h1>{title}</h1>
      <div className="head-actions">
        <Act icon="edit" label={words.rename} onClick={() => setAsking("rename")} />
        <Act icon="lines" label={words.summary} onClick={() => setAsking("summary")} />
        <Act
          icon="export"
          label={words.exportIt}
          onClick={() => void attempt(exportAll)}
        />
        <Act icon="trash" label={words.remove} onClick={() => setAsking("remove")} />
      </div>
      {asking === "rename" && (
        <Dialog title={words.rename} onClose={close}>
          <RenameForm
            title={chat.title}
            onSave={(name) => void attempt(async () => props.onUpdated(await renameConversation(props.conversation, name)))}
          />
          {problem && <ProblemNote problem={problem} onRetry={null} />}
        </Dialog>
      )}
      {asking === "summary" && (
        <SummaryDialog conversation={props.conversation} chat={chat} onUpdated={props.onUpdated} onClose={close} />
      )}
      {asking === "remove" && (
        <Dialog title={words.remove} onClose={close}>
          <p>{words.removeAsk(title)}</p>
          {problem && <ProblemNote problem={problem} onRetry={null} />}
          <div className="dialog-foot">
            <button type="button" data-first onClick={close}>
              {words.cancel}
            </button>
            <button
              type="button"
              className="primary danger"
              onClick={() => void attempt(async () => (await deleteConversation(props.conversation), props.onGone()))}
            >
              {words.remove}
            </button>
          </div>
        </Dialog>
      )}
    </header>
  );
}

function Act({ icon, label, onClick }: { icon: "edit" | "lines" | "export" | "trash"; label: string; onClick: () => void }) {
  return (
    <button type="button" className="quiet" aria-label={label} title={label} onClick={onClick}>
      <Icon name={icon} />
    </button>
  );
}

function RenameForm({ title, onSave }: { title: string; onSave: (title: string) => void }) {
  const words = useWords();
  const [name, setName] = useState(title);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSave(name.trim());
  };
  return (
    <form onSubmit={submit}>
      <label className="field">
        <span>{words.title}</span>
        <input data-first value={name} maxLength={200} onChange={(event) => setName(event.target.value)} />
      </label>
      <div className="dialog-foot">
        <button type="submit" className="primary" disabled={!name.trim()}>
          {words.save}
        </button>
      </div>
    </form>
  );
}

function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
