// Whether the model is as often right as it says.

import { CalibrationPlot, Figure } from "@/charts";
import { Button, Experts } from "@/design";
import { number, percent, t } from "@/words";
import type { Result } from "./result";
import type { Opened } from "./samples-dialog";
import { Section } from "./section";

export function Confidence({ calibration, onOpen }: { calibration: NonNullable<Result["calibration"]>; onOpen: (opened: Opened) => void }) {
  const { ece, ece_limit: limit, bins = [] } = calibration;
  if (ece === null || ece === undefined) return null;
  const kind = limit === null || limit === undefined ? "plain" : ece <= limit ? "good" : "bad";
  const summary = t(`understand.calibration_${kind}`, { ece: percent(ece) });
  // A bin is known by its mean confidence alone: a sample belongs to the nearest.
  const nearest = (confidence: number) => bins.reduce((best, bin, i) => (Math.abs(bin.confidence - confidence) < Math.abs((bins[best]?.confidence ?? 2) - confidence) ? i : best), 0);
  const open = (i: number) =>
    onOpen({
      filter: {},
      keep: (one) => nearest(one.confidence) === i,
      title: (count) => t("understand.samples_bin", { count, confidence: percent(bins[i]?.confidence ?? 0) }),
    });
  return (
    <Section title={t("understand.calibration")}>
      <p>{summary}</p>
      {bins.length > 1 && (
        <Experts title={t("understand.calibration_experts")}>
          <Figure
            summary={t("understand.calibration_read")}
            caption={t("understand.calibration")}
            columns={[{ name: t("understand.confidence"), right: true }, { name: t("understand.right_share"), right: true }, { name: t("understand.predictions"), right: true }]}
            rows={bins.map((bin, i) => [
              <Button key={i} small look="quiet" onClick={() => open(i)}>
                {percent(bin.confidence)}
              </Button>,
              percent(bin.accuracy),
              number(bin.n),
            ])}
          >
            <CalibrationPlot
              bins={bins}
              xTitle={t("understand.confidence")}
              yTitle={t("understand.right_share")}
              percent={(share) => percent(share, 0)}
              describe={(bin) => t("understand.calibration_bin", { confidence: percent(bin.confidence), accuracy: percent(bin.accuracy), n: number(bin.n) })}
            />
          </Figure>
        </Experts>
      )}
    </Section>
  );
}
