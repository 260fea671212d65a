// Writes built/: the packages of the guides, so that their snippets run where no package registry can be reached.
// Each is what a snippet imports from it, nothing patched; the licences of all that is inside stand beside them.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const NAMES = { ai: ["streamText"], "@ai-sdk/openai": ["createOpenAI"] };

await rm("built", { recursive: true, force: true });
await mkdir("built/@ai-sdk/openai", { recursive: true });
await mkdir("built/ai");
const { metafile } = await build({
  stdin: { contents: Object.entries(NAMES).map(([from, names]) => `export { ${names} } from "${from}";`).join("\n"), resolveDir: "." },
  outfile: "built/packages.mjs",
  bundle: true,
  minify: true,
  format: "esm",
  platform: "node",
  target: "node22",
  charset: "utf8",
  legalComments: "none",
  // Some of what is inside is CommonJS and asks for modules of Node.
  banner: { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);` },
  metafile: true,
});

const lock = JSON.parse(await readFile("package-lock.json", "utf8")).packages;
for (const [name, names] of Object.entries(NAMES)) {
  const { version, license } = lock[`node_modules/${name}`];
  const manifest = { name, version, license, type: "module", exports: "./index.mjs" };
  await writeFile(`built/${name}/package.json`, JSON.stringify(manifest, null, 2) + "\n");
  const root = name.startsWith("@") ? "../.." : "..";
  await writeFile(`built/${name}/index.mjs`, `export { ${names} } from "${root}/packages.mjs";\n`);
}

const folders = [...new Set(Object.keys(metafile.inputs).map((path) => path.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]))];
const notices = [];
for (const folder of folders.filter(Boolean).sort()) {
  const { name, version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
  const text = await readFile(`${folder}/LICENSE`, "utf8").catch(() => "");
  notices.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile("built/LICENSES.txt", notices.join("\n----\n\n"));
