import { resolve } from "node:path";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { builtFrom } from "./plugins/built_from.ts";
import { licenses } from "./plugins/licenses.ts";

const OUT = resolve(import.meta.dirname, "../access/page");
const ACCESS = process.env["PENSTOCK_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "./", // the page may stand behind a path of somebody's proxy
  plugins: [react(), licenses(), builtFrom(import.meta.dirname, OUT)],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    assetsInlineLimit: 0, // the page's policy lets nothing in but files
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/v1": ACCESS } },
});
