import { expect, test } from "vitest";
import { asMarkdown, fileName } from "../src/chat/export";
import { covered } from "../src/chat/summary";
import { search } from "../src/chat/search";
import { blocks } from "../src/text/blocks";
import { learnedFacts, wordsFor } from "../src/text/facts";
import { english } from "../src/i18n/english";
import { marksAsCites, passageOf } from "../src/text/citations";
import { goalOf, safeLink } from "../src/text/links";

const LONG = "# Head\n\nOne.\n\n```py\na\n\nb\n```\n\n- x\n\n- y\n\n  more\n\n> q\n\nEnd.\n";

test("blocks joined are the text, and all but the last stay as they are while it grows", () => {
  for (let end = 1; end <= LONG.length; end += 1) {
    const now = blocks(LONG.slice(0, end));
    expect(now.join("")).toBe(LONG.slice(0, end));
    expect(blocks(LONG).slice(0, now.length - 1)).toEqual(now.slice(0, -1));
  }
});

test("a blank line in code or in a list does not end the block", () => {
  expect(blocks(LONG).map((block) => block.trim())).toEqual(["# Head", "One.", "```py\na\n\nb\n```\n\n- x\n\n- y\n\n  more\n\n> q", "End."]);
});

test("a mark is found by where its annotation stands", () => {
  const text = "In 3 days [2], or [1].";
  const annotations = [10, 18].map((index) => ({ type: "file_citation" as const, index, text: `at ${index}` }));
  expect(passageOf(1, text, annotations)?.text).toBe("at 18");
  expect(passageOf(2, text, annotations)?.text).toBe("at 10");
  expect(passageOf(3, text, annotations)).toBeNull();
});

test("marks become citations in text, and stay text in code and links", () => {
  const paragraph = (tagName: string) => ({
    type: "element" as const,
    tagName,
    properties: {},
    children: [{ type: "text" as const, value: "see [1]." }],
  });
  const tree = { type: "root" as const, children: [paragraph("p"), paragraph("code"), paragraph("a")] };
  marksAsCites()(tree);
  const kinds = tree.children.map((node) => (node.type === "element" ? node.children.map((child) => child.type) : []));
  expect(kinds).toEqual([["text", "element", "text"], ["text"], ["text"]]);
});

test.each(["javascript:alert(1)", "data:text/html,x", "/v1/models", "vbscript:x", " java\nscript:alert(1)", undefined])(
  "%s is no link",
  (href) => expect(safeLink(href)).toBeNull(),
);

test("a link whose words do not name its host shows it", () => {
  const url = safeLink("https://elsewhere.example/x")!;
  expect(goalOf(url, "your bank")).toBe("elsewhere.example");
  expect(goalOf(url, "elsewhere.example/x")).toBe("");
});

test("search finds words in titles and in what was said", () => {
  const conversations = ["Returns", "Shipping", "Kettles"].map((title, at) => ({
    id: `conv_${at}`,
    title,
    created_at: at,
    summarize: false,
    summary: null,
  }));
  const said = { id: "m", role: "user" as const, status: "completed" as const, content: [{ type: "t", text: "When do RETURNS arrive?" }], created_at: 1 };
  const hits = search("returns", conversations, new Map([["conv_1", [said]]]));
  expect(hits.map((hit) => hit.conversation.title)).toEqual(["Returns", "Shipping"]);
  expect(hits[1]!.snippet).toContain("RETURNS");
});

const answer = { status: "done" as const, text: "Down.", annotations: [], queue: null, problem: null, cut: null, retrievalSkipped: null };
const turn = { id: "1", item: "1", response: null, at: 0, question: "Where?", answer, push: false, publisher: "" };

test("an export names who said what, and a title makes a harmless file name", () => {
  expect(asMarkdown("Water", [turn], null, english)).toBe(
    "# Water\n\n**You** · 1970-01-01 00:00\n\nWhere?\n\n**Assistant** · 1970-01-01 00:00\n\nDown.\n",
  );
  expect(fileName("../a b?")).toBe("a-b.md");
});

test("a summary stands behind the turns that it covers, and before those that have no place yet", () => {
  const turns = [0, 60, 120].map((at) => ({ ...turn, id: `${at}`, at, answer: null, question: `q${at}` }));
  const summary = { text: "Water flows.", until: 60, created_at: 180 };
  expect(covered(summary, turns)).toBe(2);
  expect(covered(summary, turns.slice(2))).toBe(0);
  expect(covered(summary, turns.slice(0, 2))).toBe(2);
  expect(covered({ ...summary, until: 999 }, [...turns, { ...turn, item: null, at: 500 }])).toBe(3);
  const said = asMarkdown("Water", turns, summary, english).split("\n\n");
  expect(said.slice(4, 7)).toEqual(["q60", "**Earlier messages are summarised for the model** · 1970-01-01 00:03", "Water flows."]);
});

test("a registered fact hides a learned one of its name, and no name is taken for what every object has", () => {
  const learned = { value: "Paris", learned_at: 1, conversation: "conv_1" };
  const profile = { facts: { city: "Rome" }, learn: true, learned: { city: learned, constructor: learned } };
  expect(learnedFacts(profile).map((fact) => [fact.name, fact.unused])).toEqual([
    ["city", true],
    ["constructor", false],
  ]);
  expect(["city", "pet_name", "constructor"].map((name) => wordsFor(name, english.factNames))).toEqual(["City", "Pet name", "Constructor"]);
});
