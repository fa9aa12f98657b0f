// Thumbnails by the dozen: what tiles ask for in one moment comes as one answer, since a request costs many times what a
// thumbnail does. Who scrolled on before it was asked for asks no more. Knows no page.

import { useCallback, useRef, useSyncExternalStore } from "react";
import { api, take, url } from "@/api";

const MANY = 60; // in one answer
const ANSWERS = 2; // on their way at once
const KEPT = 2000;

interface Wish {
  p: string;
  s: string;
  tell: Set<() => void>;
}

const kept = new Map<string, string>(); // by address, what to show; the oldest first
const wishes = new Map<string, Wish>();
let asking = 0;

function keep(address: string, picture: string): void {
  kept.set(address, picture);
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
  }
}

async function ask(): Promise<void> {
  const [first] = wishes.values();
  if (!first || asking >= ANSWERS) return;
  const { p } = first;
  const some = [...wishes].filter(([, wish]) => wish.p === p).slice(0, MANY);
  for (const [address] of some) wishes.delete(address);
  asking += 1;
  void ask();
  const ids = some.map(([, { s }]) => s).join(",");
  // What has not been drawn yet, or cannot be asked for so, is asked for by itself.
  const pictures = await take(api.GET("/api/projects/{p}/thumbs", { params: { path: { p }, query: { ids } } })).catch((): Record<string, string> => ({}));
  asking -= 1;
  for (const [address, { s, tell }] of some) {
    keep(address, pictures[s] ?? address);
    for (const one of tell) one();
  }
  void ask();
}

function want(p: string, s: string, tell: () => void): () => void {
  const address = url.thumb(p, s);
  if (kept.has(address)) return () => undefined;
  const wish = wishes.get(address) ?? { p, s, tell: new Set() };
  if (wishes.size === 0) queueMicrotask(() => void ask());
  wishes.set(address, wish);
  wish.tell.add(tell);
  return () => {
    wish.tell.delete(tell);
    if (wish.tell.size === 0 && wishes.get(address) === wish) wishes.delete(address);
  };
}

/** The address of a thumbnail that is here, undefined until it is. */
export function useThumbnail(p: string, s: string): string | undefined {
  const address = url.thumb(p, s);
  const now = useSyncExternalStore(
    useCallback((tell) => want(p, s, tell), [p, s]),
    () => kept.get(address),
  );
  // What is shown stays, also when it is the oldest that is kept.
  const shown = useRef({ address, picture: now });
  if (now !== undefined || shown.current.address !== address) shown.current = { address, picture: now };
  return shown.current.picture;
}
