import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm run dev` serves the pages and passes everything below /api on to a studio that runs beside it:
// HANDFUL_STUDIO=http://127.0.0.1:8765 npm run dev
const studio = process.env.HANDFUL_STUDIO ?? "http://127.0.0.1:8765";

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    outDir: "../src/handful/web/static",
    emptyOutDir: true,
    // Browsers that know light-dark() and popovers; older ones are not worth the bytes on a page for one's own machine.
    target: ["chrome125", "firefox125", "safari18"],
    assetsInlineLimit: 0, // the content security policy allows no data: scripts or fonts
    sourcemap: false,
    manifest: "parts.json", // the server tells browsers by it what a page will need
    // What several pages use is one file: each request costs more than the few bytes that a page has no use for.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "shared", test: /src\/(charts|jobs|samples)\/(?!curves|live-curve)/ }] } } },
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/api": {
        target: studio,
        changeOrigin: true,
        configure: (proxy) => proxy.on("proxyReq", (request) => request.getHeader("origin") && request.setHeader("origin", studio)),
      },
    },
  },
});
