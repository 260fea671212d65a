// A window of the browser's own: it keeps the focus, closes on Escape and gives the focus back. What is marked with
// `data-first` has it first: `autoFocus` comes before the window is open, when nothing in it can have the focus.
import { type ReactNode, type SyntheticEvent, useLayoutEffect, useRef } from "react";
import { useWords } from "../i18n/language";
import { Icon } from "./icons";

export function Dialog(props: { title: string; className?: string; onClose: () => void; children: ReactNode }) {
  const words = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const isOurs = (event: SyntheticEvent) => event.target === dialog.current; // not one of a dialog that stands in it
  // Before the dialog leaves the document: after that it could not give the focus back.
  useLayoutEffect(() => {
    const opened = dialog.current;
    opened?.showModal();
    opened?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => opened?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={props.className}
      aria-label={props.title}
      onCancel={(event) => isOurs(event) && (event.preventDefault(), props.onClose())}
      onClick={(event) => isOurs(event) && props.onClose()}
    >
      <div className="dialog">
        <header>
          <h2>{props.title}</h2>
          <button type="button" className="quiet" aria-label={words.close} onClick={props.onClose}>
            <Icon name="close" />
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}
