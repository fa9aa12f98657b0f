// What more samples would bring: the curve, its forecast, and the class that is worth most.

import { Figure, LearningPlot } from "@/charts";
import { JobPart } from "@/jobs";
import { number, percent, t } from "@/words";
import type { Curve } from "./result";
import { Section } from "./section";

export function Learning({ p, run, curve, named }: { p: string; run: string; curve: Curve | null | undefined; named: Record<string, string> }) {
  const points = curve?.points ?? [];
  const band = curve?.band ?? [];
  const last = points.at(-1);
  const then = band.at(-1);
  const count = (value: number) => number(value, value < 10 && value % 1 ? 1 : 0);
  const ahead = last && then && then.per_class > last.per_class;
  return (
    <Section title={t("understand.curve")} lead={t("understand.curve_lead")}>
      {curve?.why && <p>{t("understand.curve_why", { why: named[curve.why] ?? curve.why })}</p>}
      {last && (
        <Figure
          summary={
            ahead
              ? t("understand.curve_summary", { n: count(last.per_class), now: percent(last.value), more: count(then.per_class), then: percent(then.value), low: percent(then.low), high: percent(then.high) })
              : t("understand.curve_measured", { n: count(last.per_class), now: percent(last.value) })
          }
          caption={t("understand.curve")}
          columns={[{ name: t("understand.curve_kind") }, { name: t("understand.curve_x"), right: true }, { name: t("understand.curve_value"), right: true }, { name: t("understand.curve_interval"), right: true }]}
          rows={[
            ...points.map((row) => [t("understand.curve_measured_row"), count(row.per_class), percent(row.value), t("understand.interval", { low: percent(row.low), high: percent(row.high) })]),
            ...band.map((row) => [t("understand.curve_forecast_row"), count(row.per_class), percent(row.value), t("understand.interval", { low: percent(row.low), high: percent(row.high) })]),
          ]}
        >
          <LearningPlot
            points={points}
            band={band}
            xTitle={t("understand.curve_x")}
            nowTitle={t("understand.curve_now")}
            percent={(share) => percent(share, 0)}
            count={count}
            describe={(row) => t("understand.curve_point", { n: count(row.per_class), value: percent(row.value), low: percent(row.low), high: percent(row.high) })}
          />
        </Figure>
      )}
      {curve?.classes && Object.keys(curve.classes).length > 0 && <Worth classes={curve.classes} worth={curve.worth} />}
      {!curve && <JobPart p={p} run={run} kind="curve" icon="bars" label={t("understand.curve_start")} />}
    </Section>
  );
}

function Worth({ classes, worth }: { classes: NonNullable<Curve["classes"]>; worth: number | undefined }) {
  const text = ({ more, gain, done }: NonNullable<Curve["classes"]>[string]) => {
    if (done) return t("understand.curve_class_done");
    if (more && gain && worth) return t("understand.curve_class_more", { count: more, gain: number(100 * worth, 0) });
    if (gain) return t("understand.curve_class_double", { gain: number(100 * gain, 1) });
    return t("understand.curve_class_unknown");
  };
  const groups = new Map<string, string[]>();
  for (const [name, row] of Object.entries(classes).sort(([, a], [, b]) => (b.gain ?? 0) - (a.gain ?? 0))) {
    const said = text(row);
    groups.set(said, [...(groups.get(said) ?? []), name]);
  }
  return (
    <div>
      <h3>{t("understand.curve_classes")}</h3>
      <ul className="understand-worth">
        {[...groups].map(([said, names]) => (
          <li key={said}>
            <strong>{names.join(", ")}</strong>: {said}
          </li>
        ))}
      </ul>
    </div>
  );
}
