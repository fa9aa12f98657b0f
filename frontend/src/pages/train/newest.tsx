// The newest model of the project: how good it is, and where to look next.

import { IntervalBar } from "@/charts";
import type { Shapes } from "@/api";
import { ButtonLink, Card } from "@/design";
import { beatsChance, runName } from "@/jobs";
import { pathOf } from "@/shell/steps";
import { number, percent, t, when } from "@/words";

export function Newest({ project, run }: { project: Shapes["Project"]; run: Shapes["RunCard"] }) {
  const score = run.score;
  const said = score && t("train.score_said", { value: percent(score.value, 0), low: percent(score.low, 0), high: percent(score.high, 0), n: score.n, sure: percent(0.95, 0) });
  const chance = score?.chance ?? undefined;
  return (
    <Card className="train-newest">
      <div className="train-newest-score">
        {score ? <span className="train-newest-value number">{percent(score.value, 0)}</span> : <span className="train-newest-value">–</span>}
        {score && said && <IntervalBar value={score.value} low={score.low} high={score.high} chance={chance} label={said} />}
      </div>
      <div className="train-newest-words">
        <h2>{t("train.newest")}</h2>
        <p className="number">{said ?? t("train.unmeasured")}</p>
        {score && chance !== undefined && <p className="number">{t(beatsChance(score) ? "train.score_chance" : "train.score_no_better", { chance: percent(chance, 0) })}</p>}
        <p className="small muted number">{[runName(run), t(`train.method_${run.method}`), when(run.created), t("train.samples", { count: run.samples, n: number(run.samples) })].join(" · ")}</p>
      </div>
      <div className="row">
        <ButtonLink icon="understand" href={pathOf(project.id, "understand", run.id)}>
          {t("train.understand")}
        </ButtonLink>
        <ButtonLink icon="try" href={pathOf(project.id, "try", run.id)}>
          {t("train.try")}
        </ButtonLink>
      </div>
    </Card>
  );
}
