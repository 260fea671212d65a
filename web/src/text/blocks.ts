// Cuts growing Markdown where nothing that follows can change what stands before, so only the end is parsed anew. Pure.

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const CONTINUES = /^(\s|[-*+]\s|\d{1,9}[.)]\s|>|\|)/;

/**
 * The text in pieces; joined they are the text. A blank line ends a piece unless a list, a quote or code goes on, which
 * is seen once the next line is complete.
 */
export function blocks(text: string): string[] {
  const found: string[] = [];
  let block = "";
  let fence: string | null = null;
  let blank = false;
  for (const line of text.split(/(?<=\n)/)) {
    if (blank && fence === null && line.trim() && line.endsWith("\n") && !CONTINUES.test(line)) {
      found.push(block);
      block = "";
    }
    fence = fenceAfter(line, fence);
    blank = !line.trim();
    block += line;
  }
  return block ? [...found, block] : found;
}

/** The fence that is open behind `line`. */
function fenceAfter(line: string, open: string | null): string | null {
  const mark = FENCE.exec(line)?.[1];
  if (!mark) return open;
  if (open === null) return mark;
  return mark.startsWith(open) && !line.trim().slice(mark.length) ? null : open;
}
