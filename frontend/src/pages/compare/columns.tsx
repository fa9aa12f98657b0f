// Columns of the table of models: what each shows and by what it sorts.

import type { ReactNode } from "react";
import { Link } from "wouter";
import type { Shapes } from "@/api";
import { IntervalBar } from "@/charts";
import { Badge } from "@/design";
import { runName } from "@/jobs/names";
import { pathOf } from "@/shell/steps";
import { bytes, duration, number, percent, t, when } from "@/words";

export type Row = Shapes["ComparedRun"];
type Score = NonNullable<Shapes["RunCard"]["score"]>;

export interface Column {
  key: string;
  right?: boolean;
  /** not shown until chosen */
  off?: boolean;
  /** what is small is good: sorting begins with it */
  rising?: boolean;
  value: (row: Row) => number | string | null | undefined;
  show: (row: Row, from: number) => ReactNode;
}

/** Difference of shares in points, with its sign. */
export const points = (difference: number): string => `${difference > 0 ? "+" : difference < 0 ? "−" : ""}${number(Math.abs(100 * difference), 1)}`;

export function Measured({ score, from }: { score: Score; from: number }) {
  const said = t("compare.said", { value: percent(score.value), low: percent(score.low), high: percent(score.high) });
  return (
    <div className="compare-score">
      <strong>{percent(score.value)}</strong>
      <IntervalBar value={score.value} low={score.low} high={score.high} from={from} label={said} />
      <span className="small muted">
        {percent(score.low, 0)} – {percent(score.high, 0)}
      </span>
    </div>
  );
}

export function Standing({ tied, best, difference, low, high, n }: { tied: boolean; best: boolean; difference?: number | null | undefined; low?: number | null | undefined; high?: number | null | undefined; n?: number | null | undefined }) {
  const known = difference !== null && difference !== undefined && !best;
  const sure = known && low !== null && low !== undefined && high !== null && high !== undefined;
  return (
    <div className="compare-standing">
      {best ? (
        <Badge tone="good" icon="check">
          {t("compare.best")}
        </Badge>
      ) : tied ? (
        <Badge tone="accent">
          <span aria-hidden="true">≈</span> {t("compare.tied")}
        </Badge>
      ) : (
        <Badge>
          <span aria-hidden="true">↓</span> {t("compare.behind")}
        </Badge>
      )}
      {known && <span className="small muted">{sure && n ? t("compare.by", { points: points(difference), low: points(low), high: points(high), n }) : t("compare.by_short", { points: points(difference) })}</span>}
    </div>
  );
}

const count = (value: number | null | undefined) => (value === null || value === undefined ? "–" : number(value));

export const columns = (p: string, best: string | undefined): Column[] => [
  {
    key: "name",
    value: ({ card }) => runName(card),
    show: ({ card }) => (
      <>
        <Link href={pathOf(p, "understand", card.id)} aria-label={t("compare.open", { name: runName(card) })}>
          <bdi>{runName(card)}</bdi>
        </Link>
        {card.stale && (
          <>
            <br />
            <span className="small muted">{t("compare.stale")}</span>
          </>
        )}
      </>
    ),
  },
  { key: "score", value: ({ card }) => card.score?.value, show: ({ card }, from) => (card.score ? <Measured score={card.score} from={from} /> : <span className="muted">{t("compare.unmeasured")}</span>) },
  {
    key: "standing",
    value: (row) => (row.card.id === best ? 1 : row.difference),
    show: (row) => (row.card.score ? <Standing tied={row.tied_with_best} best={row.card.id === best} difference={row.difference} low={row.low} high={row.high} n={row.n} /> : "–"),
  },
  { key: "macro_f1", right: true, off: true, value: ({ card }) => card.macro_f1, show: ({ card }) => (card.macro_f1 === null || card.macro_f1 === undefined ? "–" : number(card.macro_f1, 3)) },
  { key: "test", off: true, value: ({ card }) => card.test?.value, show: ({ card }, from) => (card.test ? <Measured score={card.test} from={from} /> : "–") },
  { key: "model", off: true, value: ({ card }) => card.model, show: ({ card }) => card.model },
  { key: "method", value: ({ card }) => t(`train.method_${card.method}`), show: ({ card }) => t(`train.method_${card.method}`) },
  { key: "strategy", off: true, value: ({ card }) => card.strategy, show: ({ card }) => card.strategy },
  { key: "head", off: true, value: ({ card }) => card.head, show: ({ card }) => card.head ?? "–" },
  { key: "samples", right: true, off: true, value: ({ card }) => card.samples, show: ({ card }) => number(card.samples) },
  { key: "parameters", right: true, off: true, rising: true, value: ({ card }) => card.parameters, show: ({ card }) => count(card.parameters) },
  { key: "macs", right: true, off: true, rising: true, value: ({ card }) => card.macs, show: ({ card }) => count(card.macs) },
  { key: "bytes", right: true, rising: true, value: ({ card }) => card.bytes, show: ({ card }) => (card.bytes ? bytes(card.bytes) : "–") },
  { key: "latency", right: true, rising: true, value: ({ card }) => card.latency_ms, show: ({ card }) => (card.latency_ms ? t("compare.milliseconds", { n: number(card.latency_ms, 2) }) : "–") },
  { key: "seconds", right: true, rising: true, off: true, value: ({ card }) => card.seconds, show: ({ card }) => (card.seconds ? duration(card.seconds) : "–") },
  { key: "memory", right: true, rising: true, off: true, value: ({ card }) => card.peak_rss_bytes, show: ({ card }) => (card.peak_rss_bytes ? bytes(card.peak_rss_bytes) : "–") },
  { key: "created", right: true, value: ({ card }) => card.created, show: ({ card }) => when(card.created) },
];
