// A block of code with its language and a button that copies it.
import { type ReactNode, useRef } from "react";
import type { ExtraProps } from "react-markdown";
import { useWords } from "../i18n/language";
import { CopyButton } from "../ui/copy_button";

export function CodeBlock({ children, node }: { children?: ReactNode } & ExtraProps) {
  const words = useWords();
  const pre = useRef<HTMLPreElement>(null);
  const language = languageOf(node);
  return (
    <div className="code">
      <div className="code-head">
        <span>{language}</span>
        <CopyButton label={words.copyCode} text={() => pre.current?.textContent ?? ""} />
      </div>
      <pre ref={pre} tabIndex={0} aria-label={words.code}>
        {children}
      </pre>
    </div>
  );
}

function languageOf(pre: ExtraProps["node"]): string {
  const code = pre?.children[0];
  const names = code?.type === "element" ? code.properties["className"] : null;
  const name = Array.isArray(names) ? names.find((one) => String(one).startsWith("language-")) : null;
  return name ? String(name).slice("language-".length) : "";
}
