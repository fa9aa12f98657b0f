// What was chosen for the next training of a project: only what differs from the recipe's defaults, kept over reloads.

import { useCallback, useState } from "react";

export interface Wish {
  preset: string | null;
  settings: Record<string, unknown>;
}

const NOTHING: Wish = { preset: null, settings: {} };
const place = (p: string) => `handful.train.${p}`;

function kept(p: string): Wish {
  try {
    const found = JSON.parse(localStorage.getItem(place(p)) ?? "null") as Partial<Wish> | null;
    return { preset: found?.preset ?? null, settings: found?.settings ?? {} };
  } catch {
    return NOTHING;
  }
}

export interface Wishes {
  wish: Wish;
  /** `undefined` takes the setting back to what the recipe or the preset says. */
  set: (name: string, value: unknown) => void;
  choose: (preset: string | null) => void;
  reset: () => void;
}

export function useWish(p: string): Wishes {
  const [state, setState] = useState<{ p: string; wish: Wish }>(() => ({ p, wish: kept(p) }));
  const wish = state.p === p ? state.wish : kept(p);
  const put = useCallback(
    (change: (wish: Wish) => Wish) =>
      setState((before) => {
        const next = change(before.p === p ? before.wish : kept(p));
        localStorage.setItem(place(p), JSON.stringify(next));
        return { p, wish: next };
      }),
    [p],
  );
  const set = useCallback(
    (name: string, value: unknown) =>
      put((before) => {
        const settings = { ...before.settings };
        if (value === undefined) delete settings[name];
        else settings[name] = value;
        return { ...before, settings };
      }),
    [put],
  );
  const choose = useCallback((preset: string | null) => put((before) => ({ ...before, preset })), [put]);
  const reset = useCallback(() => put(() => NOTHING), [put]);
  return { wish, set, choose, reset };
}
