// Views of one page. Links that change the address are a <nav>; these do not.

import { useId, useRef, type KeyboardEvent, type ReactNode } from "react";
import "./tabs.css";

export interface Tab<V extends string> {
  value: V;
  label: ReactNode;
  content: () => ReactNode;
}

export function Tabs<V extends string>({ label, tabs, value, onChange }: { label: string; tabs: readonly Tab<V>[]; value: V; onChange: (value: V) => void }) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const now = tabs.findIndex((tab) => tab.value === value);

  function walk(event: KeyboardEvent): void {
    const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: -1 }[event.key];
    const tab = next === undefined ? undefined : tabs.at(next % tabs.length);
    if (!tab) return;
    event.preventDefault();
    onChange(tab.value);
    list.current?.querySelector<HTMLElement>(`[data-value="${CSS.escape(tab.value)}"]`)?.focus();
  }

  return (
    <div className="tabs">
      <div ref={list} role="tablist" aria-label={label} className="tab-list" onKeyDown={walk}>
        {tabs.map((tab) => (
          <button
            key={tab.value}
            type="button"
            role="tab"
            id={`${id}-${tab.value}`}
            data-value={tab.value}
            aria-selected={tab.value === value}
            aria-controls={tab.value === value ? `${id}-panel` : undefined}
            tabIndex={tab.value === value ? 0 : -1}
            onClick={() => onChange(tab.value)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${value}`} className="tab-panel">
        {tabs[now]?.content()}
      </div>
    </div>
  );
}
