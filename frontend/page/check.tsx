// The proof, in this browser: every test file that came with the model, answered here and compared with what the trained
// model said. The same measure as in Python: the largest difference of a logit as a share of the logits' spread.

import { useEffect, useState } from "react";
import { Notice, Progress } from "@/design/surfaces";
import { t } from "@/words";
import { sentence } from "./app";
import type { Model } from "./model";

const PERMITTED = 1e-3; // of the spread, as in Python
const ENOUGH_SPREAD = 1e-6;

interface Vector {
  file: string;
  logits: number[];
}

interface Row {
  file: string;
  expected: string;
  found: string;
  /** Largest difference of a logit; null where the file was refused. */
  difference: number | null;
}

interface State {
  of: number;
  rows: Row[];
  spread: number;
  fault: string;
}

export function Check({ model }: { model: Model }) {
  const [state, setState] = useState<State>({ of: 0, rows: [], spread: 0, fault: "" });
  useEffect(() => {
    let gone = false;
    void compare(model, (next) => gone || setState(next));
    return () => {
      gone = true;
    };
  }, [model]);

  const { rows, of, spread } = state;
  const done = of > 0 && rows.length === of;
  return (
    <>
      <div className="headline">
        <h1>{t("page.check_title")}</h1>
        <p className="muted">{t("page.check_lead")}</p>
      </div>
      {state.fault ? (
        <Notice tone="warning" title={state.fault} />
      ) : (
        <div role="status">
          {done ? <Result rows={rows} spread={spread} /> : <Progress share={of ? rows.length / of : null} label={t("page.check_title")} words={t("page.check_running", { done: rows.length, of })} />}
        </div>
      )}
      {rows.length > 0 && (
        <table className="tried-table">
          <thead>
            <tr>
              <th scope="col">{t("page.check_file")}</th>
              <th scope="col">{t("page.check_expected")}</th>
              <th scope="col">{t("page.check_found")}</th>
              <th scope="col" className="number">
                {t("page.check_difference")}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.file} data-difference={row.difference}>
                <td>{row.file.replace(/^.*\//, "")}</td>
                <td>{row.expected}</td>
                <td>{row.found}</td>
                <td className="number">{row.difference === null ? "–" : share(row.difference / spread)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p className="back">
        <a href="./">{t("page.check_back")}</a>
      </p>
    </>
  );
}

function Result({ rows, spread }: { rows: Row[]; spread: number }) {
  const agree = rows.filter((row) => row.difference !== null && row.found === row.expected).length;
  const error = rows.some((row) => row.difference === null) || spread < ENOUGH_SPREAD ? Infinity : Math.max(...rows.map((row) => row.difference ?? 0)) / spread;
  const all = agree === rows.length && Number.isFinite(error);
  const state = all && error <= PERMITTED ? "good" : all ? "near" : "bad";
  return (
    <div data-state={state} data-agree={agree} data-n={rows.length} data-error={error}>
      <Notice tone={({ good: "good", near: "warning", bad: "error" } as const)[state]} title={t(`page.check_${state}`)}>
        <p>{t("page.check_same", { agree, n: rows.length, error: share(error) })}</p>
        {state === "near" && <p>{t("page.check_near_how")}</p>}
      </Notice>
    </div>
  );
}

const share = (value: number) => (Number.isFinite(value) ? value.toExponential(1) : "∞");

async function compare(model: Model, tell: (state: State) => void): Promise<void> {
  const response = await fetch("vectors.json");
  if (!response.ok) return tell({ of: 0, rows: [], spread: 0, fault: t("page.check_none") });
  const vectors = (await response.json()) as Vector[];
  const { classes } = model.about.metadata;
  const best = (logits: number[]) => classes[logits.indexOf(Math.max(...logits))] ?? "";
  const spread = Math.max(...classes.map((_, k) => Math.max(...vectors.map((v) => v.logits[k]!)) - Math.min(...vectors.map((v) => v.logits[k]!))));
  const rows: Row[] = [];
  tell({ of: vectors.length, rows: [], spread, fault: "" });
  for (const { file, logits } of vectors) {
    const expected = best(logits);
    try {
      const content = await fetch(file.split("/").map(encodeURIComponent).join("/"));
      const outcome = await model.file(await content.blob());
      rows.push({ file, expected, found: outcome.label, difference: Math.max(...outcome.logits.map((value, k) => Math.abs(value - logits[k]!))) });
    } catch (refused) {
      rows.push({ file, expected, found: sentence(refused), difference: null });
    }
    tell({ of: vectors.length, rows: [...rows], spread, fault: "" });
  }
}
