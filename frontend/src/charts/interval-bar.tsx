// A measured share and how sure it is: a mark for the value, a band for its interval. The words beside it are the caller's.

import "./charts.css";

interface Props {
  value: number;
  low: number;
  high: number;
  /** what a reader who cannot see it is told */
  label: string;
  /** left end of the axis, 0 to 1: bars that are compared share it */
  from?: number;
  /** a second mark, such as what chance would reach */
  chance?: number;
  large?: boolean;
}

export function IntervalBar({ value, low, high, label, from = 0, chance, large = false }: Props) {
  const place = (share: number) => `${(100 * (Math.min(1, Math.max(from, share)) - from)) / (1 - from)}%`;
  const width = `${(100 * (Math.min(1, high) - Math.max(from, low))) / (1 - from)}%`;
  return (
    <div className={large ? "interval interval-large" : "interval"} role="img" aria-label={label}>
      <span className="interval-band" style={{ left: place(low), width }} />
      {chance !== undefined && chance > from && <span className="interval-chance" style={{ left: place(chance) }} />}
      <span className="interval-mark" style={{ left: `clamp(0px, calc(${place(value)} - 2px), calc(100% - 4px))` }} />
    </div>
  );
}
