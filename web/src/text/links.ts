// Where a link of an answer may lead: elsewhere on the web or to a mailbox, and nowhere else. Pure.

const ALLOWED = new Set(["http:", "https:", "mailto:"]);

/** The address if it may be followed, else null. A relative one would lead into this page's own site: no. */
export function safeLink(href: string | undefined): URL | null {
  if (!href || !URL.canParse(href)) return null;
  const url = new URL(href);
  return ALLOWED.has(url.protocol) ? url : null;
}

/** What a reader should know of a link's goal beside its words: the host, if the words do not name it. */
export function goalOf(url: URL, words: string): string {
  const goal = url.protocol === "mailto:" ? url.pathname : url.host;
  return words.includes(goal) ? "" : goal;
}
