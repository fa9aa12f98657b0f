// Log lines and curve points of a job, fetched piece by piece from where the last piece ended.

import { useEffect, useRef, useState } from "react";
import { api, take, type Shapes } from "@/api";

const EVERY = 1000;

interface Part<T> {
  items: T[];
  next: number;
}

/** Everything that `fetchPart` has told of job `id`; asks again each second while `live`, and once after it ended. */
function useParts<T>(id: string, live: boolean, fetchPart: (id: string, after: number) => Promise<Part<T>>): { items: T[]; loaded: boolean } {
  const [state, setState] = useState<{ id: string; items: T[]; loaded: boolean }>({ id, items: [], loaded: false });
  const next = useRef({ id, after: 0 });
  useEffect(() => {
    let gone = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (next.current.id !== id) next.current = { id, after: 0 };

    async function ask(): Promise<void> {
      const after = next.current.after;
      try {
        const part = await fetchPart(id, after);
        if (gone || next.current.id !== id || next.current.after !== after) return;
        next.current.after = part.next;
        setState((before) => {
          const items = before.id === id ? before.items : [];
          return part.items.length || before.id !== id || !before.loaded ? { id, items: [...items, ...part.items], loaded: true } : before;
        });
        if (part.next > after && part.items.length) return void (timer = setTimeout(() => void ask(), live ? EVERY : 0));
      } catch {
        if (gone) return; // the connection is back by the next time, or the job is gone and so is this card
      }
      if (live && !gone) timer = setTimeout(() => void ask(), EVERY);
    }

    void ask();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [id, live, fetchPart]);
  return state.id === id ? state : { items: [], loaded: false };
}

async function logPart(j: string, after: number): Promise<Part<Shapes["LogLine"]>> {
  const part = await take(api.GET("/api/jobs/{j}/log", { params: { path: { j }, query: { after } } }));
  return { items: part.lines, next: part.next };
}

async function seriesPart(j: string, after: number): Promise<Part<Record<string, unknown>>> {
  const part = await take(api.GET("/api/jobs/{j}/series", { params: { path: { j }, query: { after } } }));
  return { items: part.points, next: part.next };
}

export const useLog = (j: string, live: boolean) => useParts(j, live, logPart);
export const useSeries = (j: string, live: boolean) => useParts(j, live, seriesPart);
