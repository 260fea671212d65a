// Server-sent events: a parser of text as it comes (pure), and events read from a response's body.
// Source: https://html.spec.whatwg.org/multipage/server-sent-events.html

/** `data` is the parsed JSON; `id` is empty when the event has none. */
export interface StreamEvent {
  id: string;
  data: { type: string } & Record<string, unknown>;
}

/** Collects pieces of text, whatever their borders, and gives the events that are complete. Comments are dropped. */
export class EventParser {
  private rest = "";

  push(piece: string): StreamEvent[] {
    const blocks = (this.rest + piece).split("\n\n");
    this.rest = blocks.pop() ?? "";
    return blocks.map(eventOf).filter((event) => event !== null);
  }
}

/**
 * The events of a body, batch by batch as they arrive; ends when the body does.
 * A silence of `silenceMs` is a dead connection: the server sends a comment at least every ten seconds.
 */
export async function* eventsIn(response: Response, silenceMs = 30_000): AsyncGenerator<StreamEvent[]> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  try {
    while (true) {
      const { done, value } = await within(reader.read(), silenceMs);
      if (done) return;
      const events = parser.push(value);
      if (events.length) yield events;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function eventOf(block: string): StreamEvent | null {
  let id = "";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("id:")) id = line.slice(3).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? { id, data: JSON.parse(data.join("\n")) as StreamEvent["data"] } : null;
}

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("The stream fell silent.")), ms);
  });
  try {
    return await Promise.race([work, silence]);
  } finally {
    clearTimeout(timer);
  }
}
