// Fetches the thumbnails around what is in sight, with low priority, so that they are in the browser's cache when one
// scrolls there, and drawn by the server already.

import { useCallback, useEffect, useRef } from "react";
import { url } from "@/api";

const AHEAD = 400;
const BEHIND = 150;
const AT_ONCE = 2;

/** Returns what to call with the first and last index in sight. */
export function useWarm(p: string, idOf: (index: number) => string | undefined): (first: number, last: number) => void {
  const warm = useRef(new Set<string>());
  const queue = useRef<string[]>([]);
  const running = useRef(0);
  const alive = useRef(true);

  const run = useCallback(async () => {
    if (running.current >= AT_ONCE) return;
    running.current += 1;
    for (let id = queue.current.shift(); id !== undefined && alive.current; id = queue.current.shift()) {
      if (warm.current.has(id)) continue;
      warm.current.add(id);
      // What fails here fails again where it is shown, and is told there.
      await fetch(url.thumb(p, id), { priority: "low" }).then((answer) => answer.arrayBuffer(), () => undefined);
    }
    running.current -= 1;
  }, [p]);

  useEffect(() => {
    alive.current = true;
    return () => {
      alive.current = false;
    };
  }, []);

  return useCallback(
    (first, last) => {
      const wanted: string[] = [];
      for (let step = 1; step <= AHEAD; step++) {
        const after = idOf(last + step);
        const before = step <= BEHIND && first >= step ? idOf(first - step) : undefined;
        if (after !== undefined && !warm.current.has(after)) wanted.push(after);
        if (before !== undefined && !warm.current.has(before)) wanted.push(before);
      }
      for (let index = first; index <= last; index++) {
        const shown = idOf(index);
        if (shown !== undefined) warm.current.add(shown);
      }
      queue.current = wanted;
      for (let n = 0; n < AT_ONCE; n++) void run();
    },
    [idOf, run],
  );
}
