// The confusion matrix: a table of counts. One tab stop; arrow keys walk from number to number, Enter shows its samples.

import { useRef, useState, type KeyboardEvent } from "react";
import { Button } from "@/design";
import { number, percent, t } from "@/words";
import { mistakes, named, type Result } from "./result";
import type { Opened } from "./samples-dialog";
import { Section } from "./section";

const LISTED = 6;
const STEPS: Record<string, readonly [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export function cellOf(truth: string, predicted: string): Opened {
  const right = truth === predicted;
  return {
    filter: { true: truth, predicted },
    title: (count) => (right ? t("understand.samples_right", { truth: named(truth), count }) : t("understand.samples_cell", { truth: named(truth), predicted: named(predicted), count })),
    proposal: predicted,
  };
}

export function Confusion({ confusion, onOpen }: { confusion: NonNullable<Result["confusion"]>; onOpen: (opened: Opened) => void }) {
  const { labels, counts } = confusion;
  const pairs = mistakes(confusion);
  const total = counts.flat().reduce((sum, n) => sum + n, 0);
  const right = counts.reduce((sum, row, i) => sum + (row[i] ?? 0), 0);
  return (
    <Section title={t("understand.confusion")} lead={t("understand.confusion_lead")}>
      <p className="number">{pairs.length ? t("understand.confusion_summary", { right: number(right), of: number(total) }) : t("understand.confusion_perfect")}</p>
      <div className="understand-confusion">
        <Matrix labels={labels} counts={counts} onOpen={onOpen} />
        {pairs.length > 0 && (
          <div className="understand-confusion-list">
            <h3>{t("understand.confusion_worst")}</h3>
            <ol className="understand-pairs">
              {pairs.slice(0, LISTED).map((pair) => (
                <li key={`${pair.truth}\n${pair.predicted}`}>
                  <Button small look="quiet" onClick={() => onOpen(cellOf(pair.truth, pair.predicted))}>
                    {t("understand.confusion_pair", { truth: named(pair.truth), predicted: named(pair.predicted) })}
                    <span className="muted number"> {t("understand.confusion_of", { n: pair.n, of: pair.of })}</span>
                  </Button>
                </li>
              ))}
            </ol>
          </div>
        )}
      </div>
    </Section>
  );
}

function Matrix({ labels, counts, onOpen }: { labels: string[]; counts: number[][]; onOpen: (opened: Opened) => void }) {
  const body = useRef<HTMLTableSectionElement>(null);
  const first = counts.findIndex((row) => row.some((n) => n > 0));
  const [active, setActive] = useState<readonly [number, number]>([Math.max(0, first), Math.max(0, (counts[first] ?? []).findIndex((n) => n > 0))]);
  const upright = labels.length > 6 && labels.some((label) => label.length > 4);

  function walk(event: KeyboardEvent): void {
    const step = STEPS[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    let [i, j] = active;
    do {
      i += step[0];
      j += step[1];
    } while (counts[i]?.[j] === 0);
    if (counts[i]?.[j] === undefined) return;
    setActive([i, j]);
    body.current?.querySelector<HTMLElement>(`[data-cell="${i}-${j}"]`)?.focus();
  }

  return (
    <div className="understand-matrix-frame" role="region" aria-label={t("understand.confusion")} tabIndex={0}>
      <table className="understand-matrix number">
        <caption className="unseen">{t("understand.confusion")}</caption>
        <thead>
          <tr>
            <th scope="col" className="understand-matrix-corner small">
              <span>{t("understand.confusion_true")} ↓</span>
              <span>{t("understand.confusion_predicted")} →</span>
            </th>
            {labels.map((label) => (
              <th key={label} scope="col" className={upright ? "upright" : undefined}>
                <bdi title={label}>{label}</bdi>
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body} onKeyDown={walk}>
          {counts.map((row, i) => {
            const of = row.reduce((sum, n) => sum + n, 0);
            return (
              <tr key={labels[i]}>
                <th scope="row">
                  <bdi className="clip" title={labels[i]}>
                    {labels[i]}
                  </bdi>
                </th>
                {row.map((n, j) => {
                  const truth = labels[i] ?? "";
                  const predicted = labels[j] ?? "";
                  const strength = of && n ? Math.round(8 + (i === j ? 34 : 46) * (n / of)) : 0;
                  const tint = `color-mix(in oklab, var(${i === j ? "--accent" : "--warning"}) ${strength}%, var(--surface))`;
                  return (
                    <td key={predicted} className={i === j ? "diagonal" : undefined}>
                      {n > 0 ? (
                        <button
                          type="button"
                          data-cell={`${i}-${j}`}
                          tabIndex={active[0] === i && active[1] === j ? 0 : -1}
                          style={{ background: tint }}
                          aria-label={t("understand.confusion_cell", { truth: named(truth), predicted: named(predicted), count: n })}
                          title={`${t("understand.confusion_of", { n, of })}, ${percent(n / of, 0)}`}
                          onFocus={() => setActive([i, j])}
                          onClick={() => onOpen(cellOf(truth, predicted))}
                        >
                          {n}
                        </button>
                      ) : (
                        <span className="understand-matrix-zero">·</span>
                      )}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
