// Asks again and again while something is live: never two questions at once, always about the newest input.

import { useEffect, useRef, useState } from "react";

interface Live<V> {
  verdict: V | null;
  /** What the last question failed with; null once one went well. */
  fault: unknown;
}

/** `ask` gets the last answer, and gives null while there is nothing to ask about. Starts anew whenever `key` changes; null stops. */
export function useLive<V>(key: string | null, everyMilliseconds: number, ask: (before: V | null) => Promise<V | null>): Live<V> {
  const [state, setState] = useState<Live<V>>({ verdict: null, fault: null });
  const newest = useRef(ask);
  newest.current = ask;

  useEffect(() => {
    setState({ verdict: null, fault: null });
    if (key === null) return;
    let gone = false;
    let before: V | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;

    async function turn(): Promise<void> {
      const begin = performance.now();
      let pause = everyMilliseconds;
      try {
        const verdict = document.hidden ? null : await newest.current(before);
        if (gone) return;
        if (verdict !== null) setState({ verdict: (before = verdict), fault: null });
      } catch (fault) {
        if (gone) return;
        setState((state) => ({ ...state, fault }));
        pause = Math.max(1000, everyMilliseconds); // a server that refuses is not to be hammered
      }
      timer = setTimeout(() => void turn(), Math.max(0, pause - (performance.now() - begin)));
    }

    void turn();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [key, everyMilliseconds]);

  return state;
}
