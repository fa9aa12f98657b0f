// A word on what an icon means: shown by hovering or focus, in the top layer, gone with Escape.

import { useEffect, useRef, type ReactNode } from "react";
import "./tooltip.css";

export function Tooltip({ words, children }: { words: string; children: ReactNode }) {
  const anchor = useRef<HTMLSpanElement>(null);
  const bubble = useRef<HTMLSpanElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  function hide(): void {
    clearTimeout(timer.current);
    if (bubble.current?.matches(":popover-open")) bubble.current.hidePopover();
  }

  function show(wait: number): void {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const target = anchor.current?.firstElementChild?.getBoundingClientRect();
      const element = bubble.current;
      if (!target || !element || element.matches(":popover-open")) return;
      element.showPopover();
      const { width, height } = element.getBoundingClientRect();
      const left = Math.min(Math.max(8, target.left + (target.width - width) / 2), innerWidth - width - 8);
      const below = target.bottom + height + 8 < innerHeight;
      element.style.left = `${left}px`;
      element.style.top = `${below ? target.bottom + 6 : target.top - height - 6}px`;
    }, wait);
  }

  useEffect(() => {
    const escape = (event: KeyboardEvent) => event.key === "Escape" && hide();
    addEventListener("keydown", escape);
    return () => {
      removeEventListener("keydown", escape);
      clearTimeout(timer.current);
    };
  }, []);

  return (
    <span
      ref={anchor}
      className="tooltip-anchor"
      onPointerEnter={(event) => event.pointerType === "mouse" && show(350)}
      onPointerLeave={hide}
      onPointerDown={hide}
      onFocus={(event) => event.target.matches(":focus-visible") && show(0)}
      onBlur={hide}
    >
      {children}
      <span ref={bubble} popover="manual" className="tooltip" aria-hidden="true">
        {words}
      </span>
    </span>
  );
}
