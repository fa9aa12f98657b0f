// The live curves of a job, a chart a quantity, with smoothing off until it is asked for.

import { useMemo, useState } from "react";
import type { Shapes } from "@/api";
import { Figure } from "@/charts";
import { LiveCurve, type LivePoint } from "@/charts/live-curve";
import { has, language, number, percent, t } from "@/words";
import { useSeries } from "./follow";

// Where a point lies, and what says nothing as a curve.
const PLACES = new Set(["n", "time", "fold", "epoch", "step", "repeat", "seconds", "event", "epochs", "at_once", "peak_bytes"]);
const FIRST = ["loss", "accuracy", "learning_rate"];
const TABLE_ROWS = 500;

interface Curve {
  name: string;
  points: LivePoint[];
}

function curvesOf(points: readonly Record<string, unknown>[]): Curve[] {
  const found = new Map<string, LivePoint[]>();
  for (const point of points) {
    const x = point["epoch"] ?? point["step"] ?? point["n"];
    if (typeof x !== "number") continue;
    const fold = point["fold"];
    const line = fold === null || fold === undefined ? t("train.curve_final") : t("train.curve_fold", { fold: typeof fold === "number" ? fold + 1 : String(fold) });
    for (const [name, y] of Object.entries(point)) {
      if (typeof y !== "number" || PLACES.has(name)) continue;
      const own = found.get(name) ?? [];
      own.push({ line, x, y });
      found.set(name, own);
    }
  }
  const rank = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return [...found].map(([name, own]) => ({ name, points: own })).sort((a, b) => rank(a.name) - rank(b.name));
}

const isShare = (name: string) => name.includes("accuracy");
const titleOf = (name: string) => (has(`train.curve_${name}`) ? t(`train.curve_${name}`) : name.replaceAll("_", " "));

function format(name: string, value: number): string {
  if (isShare(name)) return percent(value);
  return Math.abs(value) > 0 && Math.abs(value) < 0.01 ? value.toExponential(1) : number(value, 3);
}

const PLACE = "handful.train.smoothing";

export function Curves({ job, live }: { job: Shapes["Job"]; live: boolean }) {
  const { items, loaded } = useSeries(job.id, live);
  const [smoothing, setSmoothing] = useState(() => Number(localStorage.getItem(PLACE)) || 0);
  const spoken = language();
  const curves = useMemo(() => curvesOf(items), [items, spoken]); // the names of lines are words
  const change = (value: number) => {
    localStorage.setItem(PLACE, String(value));
    setSmoothing(value);
  };
  if (curves.length === 0) return <p className="muted small job-curves-none">{t(loaded ? (live ? "train.curve_wait" : "train.curve_none") : "train.curve_loading")}</p>;
  return (
    <div className="job-curves">
      <div className="row apart">
        <p className="small muted">{t("train.curve_dots")}</p>
        <label className="job-smoothing small">
          <span>{t("train.smoothing")}</span>
          <input type="range" min={0} max={0.95} step={0.05} value={smoothing} onChange={(event) => change(Number(event.target.value))} aria-valuetext={smoothing ? number(smoothing, 2) : t("train.smoothing_off")} />
          <output className="number">{smoothing ? number(smoothing, 2) : t("train.smoothing_off")}</output>
        </label>
      </div>
      <div className="job-curve-grid">
        {curves.map((curve) => (
          <CurveFigure key={curve.name} curve={curve} smoothing={smoothing} live={live} />
        ))}
      </div>
    </div>
  );
}

function CurveFigure({ curve, smoothing, live }: { curve: Curve; smoothing: number; live: boolean }) {
  const last = curve.points.at(-1);
  const formatY = useMemo(() => (value: number) => format(curve.name, value), [curve.name]);
  if (!last) return null;
  const first = curve.points.find((point) => point.line === last.line) ?? last;
  return (
    <Figure
      summary={
        <>
          <strong>{titleOf(curve.name)}</strong>
          <br />
          <span className="small muted number">{t("train.curve_summary", { last: formatY(last.y), x: last.x, line: last.line, first: formatY(first.y) })}</span>
        </>
      }
      caption={titleOf(curve.name)}
      columns={[{ name: t("train.curve_line") }, { name: t("train.curve_x"), right: true }, { name: titleOf(curve.name), right: true }]}
      rows={curve.points.slice(-TABLE_ROWS).map((point) => [point.line, number(point.x), formatY(point.y)])}
    >
      <LiveCurve points={curve.points} smoothing={smoothing} format={formatY} live={live} />
    </Figure>
  );
}
