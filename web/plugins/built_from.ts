// Writes BUILT_FROM beside the built files: the hash of what they were built from, for a check that needs no Node.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import type { Plugin } from "vite";

const FOLDERS = ["plugins", "public", "src"];
const FILES = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];

export function builtFrom(root: string, out: string): Plugin {
  return { name: "built-from", apply: "build", closeBundle: () => writeFileSync(join(out, "BUILT_FROM"), hashOf(root) + "\n") };
}

/** SHA-256 over each source's path and bytes, in the order of their paths. */
function hashOf(root: string): string {
  const digest = createHash("sha256");
  for (const path of [...FILES, ...FOLDERS.flatMap((folder) => filesIn(root, folder))].sort()) {
    digest.update(`${path}\0`).update(readFileSync(join(root, path))).update("\0");
  }
  return digest.digest("hex");
}

function filesIn(root: string, folder: string): string[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.map((file) => relative(root, file).split(sep).join("/"));
}
