// Thousands of equal tiles of which only those in sight exist. A listbox: one tab stop, arrows walk, space selects,
// shift extends, Ctrl+A takes all, Enter opens; clicks with shift and ctrl as in a file manager.

import { defaultRangeExtractor, useVirtualizer, type Range } from "@tanstack/react-virtual";
import { memo, useCallback, useEffect, useId, useLayoutEffect, useRef, useState, type KeyboardEvent, type MouseEvent, type ReactNode } from "react";
import "./virtual-grid.css";

// Screens of tiles that exist besides what is in sight: a turn of the wheel must not outrun them.
const AHEAD = 2.5;
const BEHIND = 0.5;

interface VirtualGridProps {
  label: string;
  count: number;
  /** Edge of a tile in px, about: tiles grow or shrink until they fill their rows. `height` where it is not square. */
  tile: number;
  height?: number;
  gap?: number;
  /** The id of the item at an index, undefined while it is not known. */
  idOf: (index: number) => string | undefined;
  render: (index: number) => ReactNode;
  /** What a screen reader says of it. */
  nameOf: (index: number) => string;
  selected?: ReadonlySet<string>;
  onSelect?: (selected: Set<string>) => void;
  onOpen?: (index: number) => void;
  /** Keys that the grid does not know (Delete, digits, ...). */
  onKey?: (event: KeyboardEvent, index: number) => void;
}

export function VirtualGrid({ label, count, tile, height = tile, gap = 8, idOf, render, nameOf, selected, onSelect, onOpen, onKey }: VirtualGridProps) {
  const frame = useRef<HTMLDivElement>(null);
  const id = useId();
  const [width, setWidth] = useState(0);
  const [active, setActive] = useState(0);
  const [focused, setFocused] = useState(false);
  const anchor = useRef(0);
  const way = useRef<"forward" | "backward" | null>(null);

  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return;
    const measure = () => setWidth(element.clientWidth - 2 * gap);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [gap]);

  const columns = Math.max(1, Math.round((width + gap) / (tile + gap)));
  const wide = width > 0 ? Math.floor((width - gap * (columns - 1)) / columns) : tile;
  const high = Math.round((height * wide) / tile);
  const rows = Math.ceil(count / columns);
  const virtual = useVirtualizer({
    count: rows,
    getScrollElement: () => frame.current,
    estimateSize: () => high + gap,
    rangeExtractor: (range) => extended(range, way.current),
    paddingStart: gap,
    paddingEnd: gap,
    useFlushSync: false, // React refuses flushSync while it renders
  });
  way.current = virtual.scrollDirection ?? way.current;
  const lines = virtual.getVirtualItems();
  const first = (lines[0]?.index ?? 0) * columns;
  const last = Math.min(count, ((lines.at(-1)?.index ?? 0) + 1) * columns) - 1;

  useEffect(() => virtual.measure(), [virtual, high, gap, columns]);
  useEffect(() => {
    if (active >= count) setActive(Math.max(0, count - 1));
  }, [active, count]);

  function between(from: number, to: number): string[] {
    const ids: string[] = [];
    for (let index = Math.min(from, to); index <= Math.max(from, to); index++) {
      const one = idOf(index);
      if (one !== undefined) ids.push(one);
    }
    return ids;
  }

  function toggle(index: number): void {
    const one = idOf(index);
    if (one === undefined || !onSelect) return;
    const next = new Set(selected);
    if (!next.delete(one)) next.add(one);
    anchor.current = index;
    onSelect(next);
  }

  function go(index: number, extend: boolean): void {
    const to = Math.min(Math.max(0, index), count - 1);
    setActive(to);
    virtual.scrollToIndex(Math.floor(to / columns));
    if (extend) onSelect?.(new Set([...(selected ?? []), ...between(anchor.current, to)]));
    else anchor.current = to;
  }

  function press(event: KeyboardEvent): void {
    const page = columns * Math.max(1, Math.floor((frame.current?.clientHeight ?? high) / (high + gap)) - 1);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page, Home: -count, End: count }[event.key];
    if (step !== undefined && !event.altKey) {
      event.preventDefault();
      go(active + step, event.shiftKey);
    } else if (event.key === " ") {
      event.preventDefault();
      toggle(active);
    } else if (event.key === "Enter") {
      event.preventDefault();
      onOpen?.(active);
    } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      onSelect?.(new Set(between(0, count - 1)));
    } else if (event.key === "Escape" && selected?.size) {
      event.preventDefault();
      event.stopPropagation();
      onSelect?.(new Set());
    } else onKey?.(event, active);
  }

  function click(event: MouseEvent, index: number): void {
    setActive(index);
    if (event.shiftKey) onSelect?.(new Set([...(selected ?? []), ...between(anchor.current, index)]));
    else if (event.ctrlKey || event.metaKey || (event.target as Element).closest(".grid-mark") || !onOpen) toggle(index);
    else {
      anchor.current = index;
      onOpen(index);
    }
  }

  const latest = useRef(click);
  latest.current = click;
  const clicked = useCallback((event: MouseEvent, index: number) => latest.current(event, index), []);
  const parts = { id, columns, count, tile: wide, height: high, gap, idOf, nameOf, render, selected: onSelect && (selected ?? NONE), clicked };
  return (
    <div
      ref={frame}
      className={`grid-frame${focused ? " focused" : ""}`}
      role="listbox"
      aria-label={label}
      aria-multiselectable={onSelect ? true : undefined}
      aria-activedescendant={count > 0 && active >= first && active <= last ? `${id}-${active}` : undefined}
      tabIndex={0}
      onKeyDown={press}
      onFocus={(event) => setFocused(event.target.matches(":focus-visible"))}
      onBlur={() => setFocused(false)}
    >
      <div className="grid-space" role="presentation" style={{ height: virtual.getTotalSize() }}>
        {lines.map((line) => (
          <Row key={line.index} {...parts} row={line.index} start={line.start} active={Math.floor(active / columns) === line.index ? active : -1} />
        ))}
      </div>
    </div>
  );
}

const NONE: ReadonlySet<string> = new Set();

/** Rows in sight with those around, most of them where one scrolls to. */
function extended(range: Range, way: "forward" | "backward" | null): number[] {
  const screen = range.endIndex - range.startIndex + 1;
  const after = Math.ceil(screen * (way === "forward" ? AHEAD : way === "backward" ? BEHIND : 1));
  const before = Math.ceil(screen * (way === "backward" ? AHEAD : way === "forward" ? BEHIND : 0));
  const startIndex = Math.max(0, range.startIndex - before);
  return defaultRangeExtractor({ ...range, startIndex, endIndex: Math.min(range.count - 1, range.endIndex + after), overscan: 0 });
}

interface RowProps extends Pick<VirtualGridProps, "count" | "tile" | "idOf" | "render" | "nameOf"> {
  id: string;
  row: number;
  start: number;
  columns: number;
  height: number;
  gap: number;
  /** Index of the tile that keys act on, -1 where it is in another row. */
  active: number;
  /** Undefined: nothing can be selected. */
  selected: ReadonlySet<string> | undefined;
  clicked: (event: MouseEvent, index: number) => void;
}

/** Drawn once: scrolling draws rows that come, not those that are there. */
const Row = memo(function Row({ id, row, start, columns, count, tile, height, gap, active, selected, idOf, nameOf, render, clicked }: RowProps) {
  return Array.from({ length: Math.min(columns, count - row * columns) }, (_, column) => {
    const index = row * columns + column;
    const one = idOf(index);
    const chosen = one !== undefined && (selected?.has(one) ?? false);
    return (
      <div
        key={index}
        id={`${id}-${index}`}
        role="option"
        aria-label={nameOf(index)}
        aria-selected={selected ? chosen : index === active}
        aria-setsize={count}
        aria-posinset={index + 1}
        className={`grid-tile${index === active ? " active" : ""}${chosen ? " chosen" : ""}`}
        style={{ width: tile, height, transform: `translate(${gap + column * (tile + gap)}px, ${start}px)` }}
        onClick={(event) => clicked(event, index)}
      >
        {render(index)}
        {selected && (
          <span className="grid-mark" aria-hidden="true">
            <svg width="14" height="14" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="3">
              <path d="m4 10.500 4 4 8-9" />
            </svg>
          </span>
        )}
      </div>
    );
  });
});
