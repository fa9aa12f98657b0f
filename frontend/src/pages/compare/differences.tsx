// Settings in which the runs differ, a row a setting; what most of them do not have stands out.

import type { Shapes } from "@/api";
import { Table } from "@/design";
import { runName } from "@/jobs/names";
import { number, t } from "@/words";
import type { Row } from "./columns";

const MOST = 8;
export const DIFFERENCES = "compare-differences";

function text(value: unknown): string {
  if (value === null || value === undefined || value === "") return t("compare.found");
  if (typeof value === "boolean") return t(value ? "compare.yes" : "compare.no");
  if (typeof value === "number") return number(value, 6);
  return Array.isArray(value) ? value.map(text).join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The value that most of them have; null where none is more frequent than another. */
function usual(values: readonly string[]): string | null {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const ranked = [...counts].sort(([, a], [, b]) => b - a);
  return ranked.length > 1 && ranked[0]?.[1] === ranked[1]?.[1] ? null : (ranked[0]?.[0] ?? null);
}

export function Differences({ rows, differences }: { rows: readonly Row[]; differences: readonly Shapes["Difference"][] }) {
  const first = rows.slice(0, MOST);
  const lines = differences
    .map(({ setting, label, values }) => ({ setting, label, values: first.map(({ card }) => text(values[card.id])) }))
    .filter(({ values }) => new Set(values).size > 1);
  return (
    <section className="stack tight">
      <div>
        <h2 id={DIFFERENCES} tabIndex={-1}>
          {t("compare.differences")}
        </h2>
        <p className="small muted">
          {lines.length ? t("compare.differences_lead") : t("compare.differences_none")} {rows.length > MOST && t("compare.differences_first", { n: MOST })}
        </p>
      </div>
      {lines.length > 0 && (
        <Table caption={t("compare.differences")}>
          <thead>
            <tr>
              <th scope="col">{t("compare.setting")}</th>
              {first.map(({ card }) => (
                <th key={card.id} scope="col">
                  <bdi>{runName(card)}</bdi>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {lines.map(({ setting, label, values }) => {
              const most = usual(values);
              return (
                <tr key={setting}>
                  <th scope="row">{label}</th>
                  {values.map((value, i) => (
                    <td key={first[i]?.card.id} className={most === null || value === most ? undefined : "compare-differs"}>
                      {value}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </Table>
      )}
    </section>
  );
}
