// What came out, in words and as a bar with its interval.

import { IntervalBar } from "@/charts";
import type { Shapes } from "@/api";
import { Button, Card } from "@/design";
import { percent, t, unbroken } from "@/words";
import { chance, type Rate, type Result } from "./result";
import type { Opened } from "./samples-dialog";

export function Headline({ detail, result, onOpen }: { detail: Shapes["RunDetail"]; result: Result; onOpen: (opened: Opened) => void }) {
  const score = detail.card.score;
  const guess = chance(result);
  const wrong = score && score.metric === "accuracy" ? Math.round((1 - score.value) * score.n) : null;
  return (
    <Card className="understand-headline" aria-label={t("understand.title")}>
      <div className="understand-headline-words">
        {detail.headline.map((sentence, i) => (
          <p key={i} className={i === 0 ? "understand-headline-first" : "muted"}>
            {unbroken(sentence)}
          </p>
        ))}
        {result.test?.value !== undefined && result.test && <Test test={result.test} />}
        {wrong !== null && (
          <div className="row">
            {wrong > 0 ? (
              <Button icon="search" onClick={() => onOpen({ filter: { wrong: true }, title: (count) => t("understand.samples_wrong", { count }) })}>
                {t("understand.mistakes", { count: wrong })}
              </Button>
            ) : (
              <p>{t("understand.no_mistakes")}</p>
            )}
          </div>
        )}
      </div>
      {score ? (
        <div className="understand-headline-score">
          <p className="understand-headline-value number">
            {percent(score.value, 0)} <span className="understand-headline-metric">{score.metric === "accuracy" ? t("understand.accuracy") : score.metric}</span>
          </p>
          <IntervalBar large value={score.value} low={score.low} high={score.high} chance={guess} label={said(score)} />
          <p className="understand-headline-scale small muted number">
            {guess > 0 && t("understand.score_chance", { chance: percent(guess, 0) })}
          </p>
        </div>
      ) : (
        <p className="understand-headline-value">{t("understand.unmeasured")}</p>
      )}
    </Card>
  );
}

const said = (rate: { value: number; low: number; high: number }) => t("understand.score_said", { value: percent(rate.value), low: percent(rate.low), high: percent(rate.high), sure: percent(0.95, 0) });

function Test({ test }: { test: Rate }) {
  return (
    <div className="understand-headline-test">
      <h3>{t("understand.test_title")}</h3>
      <IntervalBar value={test.value} low={test.low} high={test.high} label={said(test)} />
    </div>
  );
}
