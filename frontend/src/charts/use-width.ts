import { useEffect, useRef, useState, type RefObject } from "react";

/** Width in CSS pixels of the element that the ref is given to, so that a chart draws its text at its true size. */
export function useWidth<T extends HTMLElement>(start = 600): [RefObject<T | null>, number] {
  const ref = useRef<T>(null);
  const [width, setWidth] = useState(start);
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      const found = Math.round(entry?.contentRect.width ?? 0);
      if (found > 0) setWidth(found);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}
