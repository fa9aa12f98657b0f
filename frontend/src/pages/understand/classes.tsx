// Class by class: recall and precision with their intervals; each number opens its samples.

import { useState } from "react";
import { IntervalBar } from "@/charts";
import { Button, Icon, Table } from "@/design";
import { number, percent, t } from "@/words";
import { named, type ClassRow, type Result } from "./result";
import type { Opened } from "./samples-dialog";
import { Section } from "./section";

type Key = "class" | "recall" | "precision" | "n";

export function Classes({ result, onOpen }: { result: Result; onOpen: (opened: Opened) => void }) {
  const [sort, setSort] = useState<{ by: Key; down: boolean }>({ by: "class", down: false });
  const untested = new Set(result.untested ?? []);
  const rows = Object.entries(result.per_class ?? {}).map(([name, row]) => ({ name, row, known: Boolean(row && row.n && row.recall !== null && !untested.has(name)) }));
  if (rows.length === 0) return null;
  const value = ({ row }: (typeof rows)[number]): number => (sort.by === "class" ? 0 : sort.by === "n" ? row?.n ?? 0 : row?.[sort.by] ?? 2);
  const sorted = sort.by === "class" ? (sort.down ? [...rows].reverse() : rows) : [...rows].sort((a, b) => (sort.down ? value(b) - value(a) : value(a) - value(b)));
  const head = (by: Key, text: string, right = false) => (
    <th scope="col" className={right ? "right" : undefined} aria-sort={sort.by === by ? (sort.down ? "descending" : "ascending") : undefined}>
      <button type="button" className="understand-sort" onClick={() => setSort({ by, down: sort.by === by && !sort.down })} aria-label={t("understand.sort_by", { column: text })}>
        {text}
        <span className={`understand-sort-mark${sort.by === by ? (sort.down ? " down" : " up") : ""}`} aria-hidden="true">
          <Icon name="chevron" size={14} />
        </span>
      </button>
    </th>
  );
  return (
    <Section title={t("understand.classes")} lead={t("understand.classes_lead")}>
      <Table caption={t("understand.classes")}>
        <thead>
          <tr>
            {head("class", t("understand.class"))}
            {head("recall", t("understand.recall"))}
            {head("precision", t("understand.precision"))}
            {head("n", t("understand.samples"), true)}
          </tr>
        </thead>
        <tbody>
          {sorted.map(({ name, row, known }) => (
            <tr key={name}>
              <th scope="row">
                <bdi>{name}</bdi>
              </th>
              {known && row ? (
                <>
                  <td>
                    <Measured row={row} kind="recall" label={t("understand.open_true", { name: named(name) })} onOpen={() => onOpen({ filter: { true: name }, title: (count) => t("understand.samples_true", { truth: named(name), count }), proposal: name })} />
                  </td>
                  <td>
                    <Measured row={row} kind="precision" label={t("understand.open_predicted", { name: named(name) })} onOpen={() => onOpen({ filter: { predicted: name }, title: (count) => t("understand.samples_predicted", { predicted: named(name), count }), proposal: name })} />
                  </td>
                </>
              ) : (
                <td colSpan={2} className="muted">
                  {t("understand.untested")}
                </td>
              )}
              <td className="right">{number(row?.n ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}

function Measured({ row, kind, label, onOpen }: { row: ClassRow; kind: "recall" | "precision"; label: string; onOpen: () => void }) {
  const value = row[kind];
  if (value === null || value === undefined) return <span className="muted">–</span>;
  const low = row[`${kind}_low`];
  const high = row[`${kind}_high`];
  const sure = low !== undefined && high !== undefined;
  return (
    <div className="understand-measured">
      <Button small look="quiet" aria-label={`${percent(value, 0)}. ${label}`} onClick={onOpen}>
        {percent(value, 0)}
      </Button>
      {sure && (
        <>
          <IntervalBar value={value} low={low} high={high} label={t(`understand.${kind}_said`, { value: percent(value, 0), low: percent(low, 0), high: percent(high, 0) })} />
          <span className="small muted understand-measured-interval">{t("understand.interval", { low: percent(low, 0), high: percent(high, 0) })}</span>
        </>
      )}
    </div>
  );
}
