// Light, dark, or as the system says.

import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const listeners = new Set<() => void>();

export function theme(): Theme {
  const kept = localStorage.getItem("handful.theme");
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function applyTheme(next: Theme = theme()): void {
  localStorage.setItem("handful.theme", next);
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  for (const tell of listeners) tell();
}

/** For canvases, which must be drawn again in other colours: changes with the theme, chosen or the system's. */
export function useDark(): boolean {
  return useSyncExternalStore(
    (tell) => {
      const system = matchMedia("(prefers-color-scheme: dark)");
      listeners.add(tell);
      system.addEventListener("change", tell);
      return () => {
        listeners.delete(tell);
        system.removeEventListener("change", tell);
      };
    },
    () => (theme() === "system" ? matchMedia("(prefers-color-scheme: dark)").matches : theme() === "dark"),
  );
}

/** The colour that a token has now, for canvases: `token("--accent")`. */
export function token(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  probe.hidden = true;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** The CSS colour of the n-th class of a project. */
export const classColour = (index: number): string => `var(--class-${((index % 10) + 10) % 10})`;
