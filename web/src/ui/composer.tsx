// Where a question is written, and the model chosen that answers it.
import { type KeyboardEvent, useLayoutEffect, useRef, useState } from "react";
import type { Model } from "../api/objects";
import { useWords } from "../i18n/language";
import { Icon } from "./icons";

interface Props {
  models: Model[];
  model: Model | null;
  busy: boolean;
  held: boolean;
  onModel: (model: string) => void;
  onAsk: (question: string) => void;
  onStop: () => void;
}

export function Composer({ models, model, busy, held, onModel, onAsk, onStop }: Props) {
  const words = useWords();
  const [text, setText] = useState("");
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => grow(area.current), [text]);
  const ready = text.trim() !== "" && !busy && !held && model !== null;
  const ask = () => {
    if (!ready) return;
    onAsk(text.trim());
    setText("");
    area.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Escape" && busy) onStop();
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    ask();
  };
  return (
    <form className="composer" onSubmit={(event) => (event.preventDefault(), ask())}>
      <textarea
        ref={area}
        rows={1}
        autoFocus={matchMedia("(pointer: fine)").matches}
        value={text}
        placeholder={words.placeholder}
        aria-label={words.question}
        aria-describedby="hint"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKey}
      />
      <div className="composer-foot">
        <label className="model">
          <span className="hidden">{words.model}</span>
          <select value={model?.id ?? ""} onChange={(event) => onModel(event.target.value)}>
            {models.map((one) => (
              <option key={one.id} value={one.id}>
                {one.id}
              </option>
            ))}
          </select>
        </label>
        <span id="hint" className="hint">
          {words.hint}
        </span>
        {busy ? (
          <button type="button" className="send stop" aria-label={words.stop} title={words.stop} onClick={onStop}>
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" className="send" disabled={!ready} aria-label={words.send} title={words.send}>
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  );
}

function grow(area: HTMLTextAreaElement | null): void {
  if (!area) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
