// The page that `handful export --format page` writes around a model: a second entry beside the studio's, built of the
// same parts. `npm run page` in frontend/.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Only the words that the page says: the studio's books are many times larger. */
const fewWords: Plugin = {
  name: "few-words",
  enforce: "pre",
  resolveId(source, importer) {
    if (importer?.endsWith("/src/words/index.ts") && /^\.\/(en|ru)$/.test(source)) return here(`./words/${source.slice(2)}.ts`);
    return null;
  },
};

/** A page that is opened as a file gets no `crossorigin` files; without the attribute it can at least show its style. */
const sameOrigin: Plugin = {
  name: "same-origin",
  enforce: "post",
  transformIndexHtml: (html) => html.replaceAll(" crossorigin", ""),
};

/** ONNX Runtime is 14 MB, a quarter of that when packed: it is unpacked with each export, so that any server can serve it. */
const packed: Plugin = {
  name: "packed",
  writeBundle({ dir }, files) {
    for (const name of Object.keys(files).filter((name) => name.endsWith(".wasm"))) {
      const path = join(dir ?? "", name);
      writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      rmSync(path);
    }
  },
};

export default defineConfig({
  root: here("."),
  base: "./",
  publicDir: here("./public"),
  plugins: [react(), fewWords, sameOrigin, packed],
  resolve: { alias: { "@": here("../src") } },
  worker: { format: "es" },
  build: {
    outDir: here("../../src/handful/exporting/templates/page"),
    emptyOutDir: true,
    target: ["chrome125", "firefox125", "safari18"],
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: { entryFileNames: "assets/[name].js", chunkFileNames: "assets/[name].js", assetFileNames: "assets/[name][extname]" },
    },
  },
});
