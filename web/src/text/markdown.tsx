// Markdown as data: no HTML of its own, no image is fetched, links show where they lead.
import { createContext, memo, type ReactNode, useContext } from "react";
import ReactMarkdown, { type Components, type ExtraProps } from "react-markdown";
import { useWords } from "../i18n/language";
import { blocks } from "./blocks";
import { marksAsCites } from "./citations";
import { CodeBlock } from "./code_block";
import { extensions } from "./extensions";
import { goalOf, safeLink } from "./links";

/** Opens the passage behind a mark; null where marks name nothing. */
export const OpenPassage = createContext<((number: number) => void) | null>(null);

const REMARK = [extensions];
const REHYPE = [marksAsCites];

/** While the text grows, only its last block is parsed anew. */
export function Markdown({ text, growing }: { text: string; growing: boolean }) {
  const parts = growing ? blocks(text) : [text];
  return (
    <div className={growing ? "prose growing" : "prose"}>
      {parts.map((part, at) => (
        <Block key={at} text={part} />
      ))}
    </div>
  );
}

const Block = memo(function Block({ text }: { text: string }) {
  return (
    <ReactMarkdown remarkPlugins={REMARK} rehypePlugins={REHYPE} components={COMPONENTS} urlTransform={(url) => url}>
      {text}
    </ReactMarkdown>
  );
});

const COMPONENTS: Components = {
  a: Link,
  img: Picture,
  pre: CodeBlock,
  table: Table,
  cite: Mark,
  h1: LargeHeading,
  h2: LargeHeading,
  h3: SmallHeading,
  h4: SmallHeading,
  h5: SmallHeading,
  h6: SmallHeading,
};

/** Headings of an answer stand below the page's own, on one level: models skip levels, and a reader would be lost. */
function LargeHeading({ children }: { children?: ReactNode }) {
  return <h3>{children}</h3>;
}

function SmallHeading({ children }: { children?: ReactNode }) {
  return <h3 className="small">{children}</h3>;
}

function Link({ href, children, node }: { href?: string | undefined; children?: ReactNode } & ExtraProps) {
  const url = safeLink(href);
  if (!url) return <span>{children}</span>;
  const goal = goalOf(url, wordsOf(node));
  return (
    <>
      <a href={url.href} target="_blank" rel="noopener noreferrer nofollow">
        {children}
      </a>
      {goal && <span className="goal"> ({goal})</span>}
    </>
  );
}

function Picture({ src, alt }: { src?: string | Blob | undefined; alt?: string | undefined }) {
  const words = useWords();
  const url = typeof src === "string" ? safeLink(src) : null;
  const name = `${words.picture}${alt ? `: ${alt}` : ""}`;
  if (!url) return <span className="picture">{name}</span>;
  return (
    <a className="picture" href={url.href} target="_blank" rel="noopener noreferrer nofollow">
      {name} ({url.host})
    </a>
  );
}

function Table({ children }: { children?: ReactNode }) {
  return (
    <div className="table" tabIndex={0} role="region" aria-label={useWords().table}>
      <table>{children}</table>
    </div>
  );
}

function Mark({ children, node }: { children?: ReactNode } & ExtraProps) {
  const open = useContext(OpenPassage);
  const words = useWords();
  const number = Number(node?.properties["dataNumber"]);
  if (!open) return <>{children}</>;
  return (
    <button type="button" className="mark" aria-label={words.openPassage(number)} onClick={() => open(number)}>
      {number}
    </button>
  );
}

function wordsOf(node: ExtraProps["node"]): string {
  const texts = (node?.children ?? []).map((child) =>
    child.type === "text" ? child.value : child.type === "element" ? wordsOf(child) : "",
  );
  return texts.join("");
}
