import { createRoot } from "react-dom/client";
import { askAhead } from "./api";
import { App } from "./app";
import { fetchPage } from "./code";
import "./design/tokens.css";
import "./design/base.css";
import { applyTheme } from "./design";
import { preferred, speak } from "./words";

// A tab from before an upgrade asks for parts of pages that are no longer there: once more from the start, but not forever.
addEventListener("vite:preloadError", (event) => {
  const last = Number(sessionStorage.getItem("handful.reloaded") ?? 0);
  if (Date.now() - last < 10_000) return;
  event.preventDefault();
  sessionStorage.setItem("handful.reloaded", String(Date.now()));
  location.reload();
});

applyTheme();
// What the first page needs comes side by side: answers, words and code.
const [, p, step] = /^\/p\/([^/]+)\/?([^/]*)/.exec(location.pathname) ?? [];
askAhead(p);
const code = fetchPage(p ? step || "collect" : "home").catch(() => undefined); // the page asks again, and says what is wrong
await speak(preferred(), false);
await code;
createRoot(document.getElementById("root") as HTMLElement).render(<App />);
