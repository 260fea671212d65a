// Copies a text, and says that it did.
import { useState } from "react";
import { useWords } from "../i18n/language";
import { copyText } from "./clipboard";
import { Icon } from "./icons";

export function CopyButton({ label, text }: { label: string; text: () => string }) {
  const words = useWords();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text());
    setCopied(true);
    setTimeout(() => setCopied(false), 1600);
  };
  return (
    <button type="button" className="quiet" aria-label={copied ? words.copied : label} title={label} onClick={() => void copy()}>
      <Icon name={copied ? "check" : "copy"} />
    </button>
  );
}
