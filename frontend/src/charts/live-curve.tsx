// A curve that grows while a model trains: raw points always, a smoothed line on top when asked for.
// The view follows new data until the user zooms; it never takes a zoom away.

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { Button, token, useDark } from "@/design";
import { t } from "@/words";
import { smoothed } from "./scale";
import { useWidth } from "./use-width";

export interface LivePoint {
  /** fold, or another name of the line it belongs to */
  line: string;
  x: number;
  y: number;
}

/** Steps between ticks: epochs and steps are whole numbers. */
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000];

interface Props {
  points: readonly LivePoint[];
  /** 0: none, up to 0.99 */
  smoothing: number;
  height?: number;
  format: (value: number) => string;
  /** more points may come */
  live: boolean;
}

/** Aligned columns as uPlot wants them: one x for all lines, gaps where a line has no point. */
function columns(points: readonly LivePoint[], weight: number): { names: string[]; data: uPlot.AlignedData } {
  const names = [...new Set(points.map((point) => point.line))];
  const xs = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const at = new Map(xs.map((x, i) => [x, i]));
  const raw = new Map(names.map((name) => [name, new Array<number | null>(xs.length).fill(null)]));
  for (const point of points) {
    const column = raw.get(point.line);
    const i = at.get(point.x);
    if (column && i !== undefined) column[i] = point.y;
  }
  const lines = names.map((name) => raw.get(name) ?? []);
  return { names, data: [xs, ...lines, ...lines.map((line) => (weight > 0 ? smoothed(line, weight) : line.map(() => null)))] };
}

export function LiveCurve({ points, smoothing, height = 200, format, live }: Props) {
  const [box, width] = useWidth<HTMLDivElement>();
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [zoomed, setZoomed] = useState(false);
  const zoom = useRef<readonly [number, number] | null>(null);
  const dark = useDark();
  const { names, data } = useMemo(() => columns(points, smoothing), [points, smoothing]);
  const key = names.join("\n");

  const show = useCallback((range: readonly [number, number] | null) => {
    zoom.current = range;
    setZoomed(range !== null);
    const u = plot.current;
    const xs = u?.data[0];
    if (!u || !xs?.length) return;
    const [low, high] = range ?? [xs[0] ?? 0, xs[xs.length - 1] ?? 1];
    u.setScale("x", { min: low, max: high === low ? low + 1 : high });
  }, []);

  useEffect(() => {
    if (!holder.current) return;
    const ink = token("--text-2");
    const grid = token("--line");
    const accent = token("--accent");
    const count = key ? key.split("\n").length : 0;
    const newest = count - 1;
    const raw = Array.from({ length: count }, (_, i): uPlot.Series => ({
      stroke: "transparent",
      points: { show: true, size: i === newest ? 5 : 4, width: 1, fill: i === newest ? accent : "transparent", stroke: i === newest ? accent : ink },
    }));
    const smooth = Array.from({ length: count }, (_, i): uPlot.Series => ({
      stroke: i === newest ? accent : ink,
      width: i === newest ? 2 : 1,
      spanGaps: true,
      points: { show: false },
    }));
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
    const u = new uPlot(
      {
        width: 300,
        height,
        legend: { show: false },
        cursor: { y: false, drag: { x: true, y: false } },
        scales: { x: { time: false } },
        axes: [{ ...axis, space: 60, incrs: WHOLE }, { ...axis, size: 56, values: (_, ticks) => ticks.map(format) }],
        series: [{}, ...raw, ...smooth],
        hooks: {
          setSelect: [
            (self) => {
              if (self.select.width < 4) return;
              const range = [self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x")] as const;
              zoom.current = range;
              setZoomed(true);
            },
          ],
        },
      },
      [[]],
      holder.current,
    );
    u.over.addEventListener("dblclick", () => show(null));
    plot.current = u;
    return () => {
      plot.current = null;
      u.destroy();
    };
  }, [key, dark, height, format, show]);

  useEffect(() => {
    plot.current?.setSize({ width, height });
  }, [width, height, key, dark]);

  useEffect(() => {
    const u = plot.current;
    if (!u) return;
    u.setData(data, zoom.current === null);
    if (zoom.current) u.setScale("x", { min: zoom.current[0], max: zoom.current[1] });
  }, [data, key, dark]);

  const nearer = (factor: number) => {
    const u = plot.current;
    const xs = u?.data[0];
    if (!u || !xs?.length) return;
    const first = xs[0] ?? 0;
    const last = xs[xs.length - 1] ?? 1;
    const { min = first, max = last } = u.scales["x"] as { min?: number; max?: number };
    const low = Math.max(first, max - (max - min) * factor);
    show(low <= first && max >= last ? null : [low, max]);
  };

  return (
    <div>
      <div ref={box} className="live-box">
        <div ref={holder} aria-hidden="true" />
      </div>
      <div className="live-tools">
        <Button small look="quiet" onClick={() => nearer(0.5)}>
          {t("charts.zoom_in")}
        </Button>
        {zoomed && (
          <>
            <Button small look="quiet" onClick={() => nearer(2)}>
              {t("charts.zoom_out")}
            </Button>
            <Button small look="quiet" onClick={() => show(null)}>
              {t(live ? "charts.follow" : "charts.whole")}
            </Button>
          </>
        )}
        {!zoomed && <span className="small muted">{t(live ? "charts.following" : "charts.zoom_hint")}</span>}
      </div>
    </div>
  );
}
