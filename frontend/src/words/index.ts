// Words of the pages: finds the text for a key in the language that is shown. Knows nothing of pages.
//
// A text is a string with {placeholders}, or an object of plural forms chosen by `count`.

import { useSyncExternalStore } from "react";
import { unbroken } from "./format";

type Text = string | Partial<Record<Intl.LDMLPluralRule, string>>;
type Book = Record<string, Text>;
export type Values = Record<string, string | number>;

export const languages = { en: "English", ru: "Русский" } as const;
export type Language = keyof typeof languages;

const books: Record<Language, () => Promise<{ book: Book }>> = {
  en: () => import("./en"),
  ru: () => import("./ru"),
};

let shown: Language = "en";
let book: Book = {};
let plural = new Intl.PluralRules(shown);
let number = new Intl.NumberFormat(shown);
const listeners = new Set<() => void>();

/** The text of `key`; numbers among the values are written as the language does, `count` chooses the plural form. */
export function t(key: string, values: Values = {}): string {
  const text = book[key];
  if (text === undefined) return key;
  const form = typeof text === "string" ? text : text[plural.select(Number(values.count ?? 0))] ?? text.other ?? key;
  const filled = form.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number.format(value) : value;
  });
  return unbroken(filled);
}

/** Whether there is a text: for names that come from the server and may be new. */
export function has(key: string): boolean {
  return key in book;
}

export function language(): Language {
  return shown;
}

/** What was chosen before, else the first of the browser's languages that we speak. */
export function preferred(): Language {
  const known = (name: string | null): name is Language => name !== null && name in languages;
  const kept = localStorage.getItem("handful.language");
  if (known(kept)) return kept;
  return navigator.languages.map((name) => name.slice(0, 2)).find(known) ?? "en";
}

export async function speak(next: Language, keep = true): Promise<void> {
  book = (await books[next]()).book;
  shown = next;
  plural = new Intl.PluralRules(next);
  number = new Intl.NumberFormat(next);
  document.documentElement.lang = next;
  if (keep) localStorage.setItem("handful.language", next);
  for (const tell of listeners) tell();
}

/** Renders again when the language changes. The root does; what it renders follows. */
export function useLanguage(): Language {
  return useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => shown,
  );
}

export * from "./format";
