import { expect, test } from "vitest";
import { EventParser } from "../src/api/sse";

const STREAM = ': waiting\n\nevent: a\nid: 3-ff\ndata: {"type":"a","text":"水"}\n\ndata: {"type":"b"}\n\ndata: {"ty';

test("an event is given when it is complete, whatever pieces it comes in", () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parser = new EventParser();
    const found = Array.from({ length: Math.ceil(STREAM.length / size) }, (_, at) => STREAM.slice(at * size, (at + 1) * size));
    expect(found.flatMap((piece) => parser.push(piece))).toEqual([
      { id: "3-ff", data: { type: "a", text: "水" } },
      { id: "", data: { type: "b" } },
    ]);
  }
});
