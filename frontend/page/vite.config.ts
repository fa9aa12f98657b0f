// The page that `handful export --format page` writes around a model: a second entry beside the studio's, built of the
// same parts. `npm run page` in frontend/.

import { fileURLToPath } from "node:url";
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

export default defineConfig({
  root: here("."),
  base: "./",
  publicDir: here("./public"),
  plugins: [react(), fewWords, sameOrigin],
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
