// A button that opens a short list of things to do.

import { useId, useLayoutEffect, useRef, type KeyboardEvent } from "react";
import { Icon, type IconName } from "./icons";
import "./menu.css";

export interface MenuItem {
  label: string;
  icon?: IconName;
  run: () => void;
  danger?: boolean;
  disabled?: boolean;
  /** One of several that exclude each other. */
  checked?: boolean;
}

export function Menu({ label, icon = "more", text, items, onOpen }: { label: string; icon?: IconName; text?: string; items: MenuItem[]; onOpen?: () => void }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);

  function place(): void {
    const target = button.current?.getBoundingClientRect();
    const element = list.current;
    if (!target || !element) return;
    const { width, height } = element.getBoundingClientRect();
    element.style.left = `${Math.min(Math.max(8, target.right - width), innerWidth - width - 8)}px`;
    element.style.top = `${target.bottom + height + 12 < innerHeight ? target.bottom + 4 : Math.max(8, target.top - height - 4)}px`;
  }

  useLayoutEffect(() => {
    if (list.current?.matches(":popover-open")) place(); // words that came late take more room
  });

  function walk(event: KeyboardEvent): void {
    const entries = [...(list.current?.querySelectorAll<HTMLElement>("[role^=menuitem]:not(:disabled)") ?? [])];
    const now = entries.indexOf(document.activeElement as HTMLElement);
    const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Tab") list.current?.hidePopover();
    if (next === undefined) return;
    event.preventDefault();
    entries.at(next % entries.length)?.focus();
  }

  return (
    <>
      <button
        ref={button}
        type="button"
        className={text ? "button quiet" : "icon-button"}
        aria-label={text ? `${label}: ${text}` : label}
        aria-haspopup="menu"
        popoverTarget={id}
      >
        <Icon name={icon} />
        {text && <span className="menu-text">{text}</span>}
      </button>
      <div
        ref={list}
        id={id}
        popover="auto"
        role="menu"
        aria-label={label}
        className="menu"
        onKeyDown={walk}
        onToggle={(event) => {
          if (event.newState !== "open") return;
          onOpen?.();
          place();
          list.current?.querySelector<HTMLElement>("[role^=menuitem]:not(:disabled)")?.focus();
        }}
      >
        {items.map((item) => (
          <button
            key={item.label}
            type="button"
            role={item.checked === undefined ? "menuitem" : "menuitemradio"}
            aria-checked={item.checked}
            tabIndex={-1}
            disabled={item.disabled}
            className={item.danger ? "danger" : undefined}
            onClick={() => {
              list.current?.hidePopover();
              item.run();
            }}
          >
            {item.checked !== undefined ? <span className="menu-mark">{item.checked && <Icon name="check" size={16} />}</span> : item.icon && <Icon name={item.icon} size={18} />}
            <span>{item.label}</span>
          </button>
        ))}
      </div>
    </>
  );
}
