// Leaderboards of races: candidates that were measured on the same folds, each a click from becoming a model.

import { useLocation } from "wouter";
import type { Shapes } from "@/api";
import { Badge, Button, Card, Table, toast } from "@/design";
import { useReadOnly, useStart } from "@/jobs";
import { pathOf } from "@/shell/steps";
import { bytes, duration, number, t, unbroken, when } from "@/words";
import { Measured, Standing } from "./columns";

export function Races({ p, races }: { p: string; races: readonly Shapes["Race"][] }) {
  return (
    <section className="stack tight">
      <h2>{t("compare.races")}</h2>
      {races.map((race) => (
        <Race key={race.id} p={p} race={race} />
      ))}
    </section>
  );
}

function Race({ p, race }: { p: string; race: Shapes["Race"] }) {
  const [, go] = useLocation();
  const start = useStart(p);
  const readOnly = useReadOnly();
  const title = t("compare.race_of", { when: when(race.made) });
  const from = Math.max(0, Math.floor(10 * Math.min(0.9, ...race.rows.map((row) => row.score.low))) / 10);
  const train = (row: Shapes["RaceRow"]) =>
    start.mutate(
      { kind: "train", settings: row.settings },
      {
        onSuccess: () => {
          toast(t("compare.race_training", { name: row.name }));
          go(pathOf(p, "train"));
        },
      },
    );
  return (
    <Card className="compare-race">
      <div>
        <h3>{title}</h3>
        <p className="small muted">
          {unbroken(race.why.charAt(0).toUpperCase() + race.why.slice(1))}. {race.folds && t("compare.race_folds", { folds: race.folds })}
        </p>
      </div>
      {race.rows.length > 0 && (
        <Table caption={title}>
          <thead>
            <tr>
              <th scope="col">{t("compare.name")}</th>
              <th scope="col">{t("compare.score")}</th>
              <th scope="col">{t("compare.standing")}</th>
              <th scope="col" className="right">
                {t("compare.bytes")}
              </th>
              <th scope="col" className="right">
                {t("compare.latency")}
              </th>
              <th scope="col" className="right">
                {t("compare.seconds")}
              </th>
              <th scope="col">
                <span className="unseen">{t("compare.race_train")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {race.rows.map((row, i) => (
              <tr key={row.name} className={row.recommended ? "best" : undefined}>
                <th scope="row">
                  <bdi>{row.name}</bdi>{" "}
                  {row.recommended && (
                    <Badge tone="good" icon="check">
                      {t("compare.race_recommended")}
                    </Badge>
                  )}
                </th>
                <td>
                  <Measured score={row.score} from={from} />
                </td>
                <td>
                  <Standing tied={row.tied_with_best} best={i === 0} difference={row.difference} low={row.low} high={row.high} n={row.score.n} />
                </td>
                <td className="right">{row.bytes ? bytes(row.bytes) : "–"}</td>
                <td className="right">{row.latency_ms ? t("compare.milliseconds", { n: number(row.latency_ms, 2) }) : "–"}</td>
                <td className="right">{row.seconds ? duration(row.seconds) : "–"}</td>
                <td className="right">
                  <Button small icon="train" disabled={readOnly} busy={start.isPending && start.variables?.settings === row.settings} onClick={() => train(row)}>
                    {t("compare.race_train")}
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
      {race.unfinished.length > 0 && (
        <details>
          <summary className="small">{t("compare.race_unfinished", { count: race.unfinished.length })}</summary>
          <ul className="compare-unfinished small">
            {race.unfinished.map((one) => (
              <li key={one.name}>{t("compare.race_unfinished_said", { name: one.name, why: one.why, done: one.folds_done, of: one.of })}</li>
            ))}
          </ul>
        </details>
      )}
    </Card>
  );
}
