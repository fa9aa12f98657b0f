// Accuracy against what it costs, drawn when asked for.

import { useState } from "react";
import { Figure, ParetoPlot, type Contender } from "@/charts";
import { Button, Segments } from "@/design";
import { runName } from "@/jobs/names";
import { bytes, duration, language, number, percent, t } from "@/words";
import type { Row } from "./columns";

const COSTS = {
  latency: { of: (row: Row) => row.card.latency_ms, text: (value: number) => t("compare.milliseconds", { n: number(value, value < 10 ? 2 : 0) }) },
  bytes: { of: (row: Row) => row.card.bytes, text: bytes },
  parameters: { of: (row: Row) => row.card.parameters, text: (value: number) => Intl.NumberFormat(language(), { notation: "compact", maximumFractionDigits: 1 }).format(value) },
  seconds: { of: (row: Row) => row.card.seconds, text: duration },
} as const;

type Cost = keyof typeof COSTS;

/** Those of which no other is both cheaper and better. */
function edges(found: readonly Omit<Contender, "edge">[]): Contender[] {
  return found.map((one) => ({
    ...one,
    edge: !found.some((other) => other.cost <= one.cost && other.value >= one.value && (other.cost < one.cost || other.value > one.value)),
  }));
}

export function Pareto({ rows }: { rows: readonly Row[] }) {
  const contenders = (cost: Cost) =>
    edges(
      rows.flatMap((row) => {
        const spent = COSTS[cost].of(row);
        const score = row.card.score;
        return spent && score ? [{ id: row.card.id, name: runName(row.card), cost: spent, value: score.value, low: score.low, high: score.high }] : [];
      }),
    );
  const [open, setOpen] = useState(false);
  const [cost, setCost] = useState<Cost>(() => (contenders("latency").length > 1 ? "latency" : "bytes"));
  const found = open ? contenders(cost) : [];
  const edge = found.filter((one) => one.edge).sort((a, b) => a.cost - b.cost);
  return (
    <section className="stack tight">
      <div className="row apart">
        <div>
          <h2>{t("compare.plot")}</h2>
          {open && <p className="small muted">{t("compare.plot_lead")}</p>}
        </div>
        <Button small icon="bars" aria-expanded={open} onClick={() => setOpen(!open)}>
          {t(open ? "compare.plot_hide" : "compare.plot_draw")}
        </Button>
      </div>
      {open && (
        <div className="card compare-plot">
          <Segments label={t("compare.plot_against")} value={cost} onChange={setCost} options={(Object.keys(COSTS) as Cost[]).map((value) => ({ value, label: t(`compare.${value}`) }))} />
          {found.length < 2 ? (
            <p className="muted">{t("compare.plot_few")}</p>
          ) : (
            <Figure
              summary={t("compare.plot_summary", { count: edge.length, of: found.length, names: edge.map((one) => one.name).join(", ") })}
              caption={t("compare.plot")}
              columns={[{ name: t("compare.name") }, { name: t(`compare.${cost}`), right: true }, { name: t("compare.accuracy"), right: true }, { name: t("compare.edge") }]}
              rows={[...found].sort((a, b) => a.cost - b.cost).map((one) => [one.name, COSTS[cost].text(one.cost), percent(one.value), t(one.edge ? "compare.yes_edge" : "compare.no_edge")])}
            >
              <ParetoPlot contenders={found} xTitle={t(`compare.${cost}`)} yTitle={t("compare.accuracy")} percent={(share) => percent(share, 0)} cost={COSTS[cost].text} />
            </Figure>
          )}
        </div>
      )}
    </section>
  );
}
