// The exported page: loads the model that lies beside it and shows it. `?check` compares answers instead.

import "@/design/tokens.css";
import "@/design/base.css";
import "./page.css";
import { createRoot } from "react-dom/client";
import { applyTheme } from "@/design/theme";
import { preferred, speak } from "@/words";
import { App } from "./app";

applyTheme();
await speak(preferred(), false);
const root = document.getElementById("root");
if (root) createRoot(root).render(<App checking={new URLSearchParams(location.search).has("check")} />);
