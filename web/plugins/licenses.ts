// Emits licenses.txt: the licence of every package whose code or font is in the build, each text once.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const PACKAGE = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//;

/** The fonts come in through the style sheet, where no module tells of them. */
const FONTS = ["hanken-grotesk", "newsreader"].map((name) => `node_modules/@fontsource-variable/${name}`);

export function licenses(): Plugin {
  const folders = new Set<string>(FONTS);
  return {
    name: "licenses",
    apply: "build",
    load(id) {
      const folder = PACKAGE.exec(id.replaceAll("\\", "/"))?.[1];
      if (folder) folders.add(folder);
      return null;
    },
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: textOf([...folders].sort()) });
    },
  };
}

/** Packages under the same text stand above it with their copyright lines. */
function textOf(folders: string[]): string {
  const owners = new Map<string, string[]>();
  for (const folder of folders) {
    const { owner, text } = licenceOf(folder);
    owners.set(text, [...(owners.get(text) ?? []), owner]);
  }
  return [...owners].map(([text, named]) => `${named.join("\n")}\n\n${text}\n`).join("\n---\n\n");
}

function licenceOf(folder: string): { owner: string; text: string } {
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { name: string; version: string };
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  if (!file) throw new Error(`${about.name} has no licence file`);
  const lines = readFileSync(join(folder, file), "utf8").split("\n").map((line) => line.trim());
  const copyright = lines.filter((line) => /^copyright\b(?!.*(holder|notice|owner))/i.test(line));
  const text = lines.filter((line) => line && !copyright.includes(line) && !/^\(?(the )?mit license\)?$/i.test(line)).join(" ");
  return { owner: `${about.name} ${about.version}: ${copyright.join("; ")}`, text: text.replace(/\s+/g, " ") };
}
