// The table of models: sortable, columns to choose, rows to select.

import { useState } from "react";
import { Button, Checkbox, Dialog, Icon, Table } from "@/design";
import { runName } from "@/jobs/names";
import { t } from "@/words";
import { DIFFERENCES } from "./differences";
import { columns as allColumns, type Row } from "./columns";

const PLACE = "handful.compare.columns";
const AT_ONCE = 50;

function kept(): string[] | null {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? "null") as string[] | null;
  } catch {
    return null;
  }
}

interface Props {
  p: string;
  rows: readonly Row[];
  /** some runs were chosen to be compared, others left out */
  narrowed: boolean;
  onOnly: (ids: string[]) => void;
}

export function Board({ p, rows, narrowed, onOnly }: Props) {
  const best = rows.find((row) => row.card.score && row.difference === 0 && row.tied_with_best)?.card.id ?? rows.find((row) => row.card.score)?.card.id;
  const all = allColumns(p, best);
  const [shown, setShown] = useState(() => kept() ?? all.filter((column) => !column.off).map((column) => column.key));
  const [sort, setSort] = useState<{ by: string; down: boolean }>({ by: "score", down: true });
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [choosing, setChoosing] = useState(false);
  const [limit, setLimit] = useState(AT_ONCE);
  const columns = all.filter((column) => column.key === "name" || shown.includes(column.key));
  const by = all.find((column) => column.key === sort.by);
  const sorted = [...rows].sort((a, b) => compare(by?.value(a), by?.value(b), sort.down));
  const from = Math.max(0, Math.floor(10 * Math.min(0.9, ...rows.map((row) => row.card.score?.low ?? 1))) / 10);
  const show = (keys: string[]) => {
    localStorage.setItem(PLACE, JSON.stringify(keys));
    setShown(keys);
  };
  const toggle = (id: string) =>
    setChosen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });

  return (
    <section className="stack tight">
      <div className="row apart">
        <h2>{t("compare.table")}</h2>
        <div className="row">
          {narrowed && (
            <Button small look="quiet" icon="close" onClick={() => onOnly([])}>
              {t("compare.all")}
            </Button>
          )}
          <Button
            small
            icon="compare"
            disabled={chosen.size < 2}
            onClick={() => {
              if (chosen.size < rows.length) onOnly([...chosen]);
              setChosen(new Set());
              const differences = document.getElementById(DIFFERENCES); // below the fold, where there are more than a few
              differences?.scrollIntoView({ block: "start" });
              differences?.focus({ preventScroll: true });
            }}
          >
            {t("compare.selected", { count: chosen.size })}
          </Button>
          <Button small icon="grid" onClick={() => setChoosing(true)}>
            {t("compare.columns")}
          </Button>
        </div>
      </div>
      <div className="compare-table">
        <Table caption={t("compare.table")}>
          <thead>
            <tr>
              <th scope="col">
                <span className="unseen">{t("compare.select", { name: "" })}</span>
              </th>
              {columns.map((column) => {
                const name = t(`compare.${column.key}`);
                const active = sort.by === column.key;
                return (
                  <th key={column.key} scope="col" className={column.right ? "right" : undefined} aria-sort={active ? (sort.down ? "descending" : "ascending") : undefined}>
                    <button type="button" className="compare-sort" aria-label={t("compare.sort_by", { column: name })} onClick={() => setSort({ by: column.key, down: active ? !sort.down : typeof column.value(rows[0] as Row) === "number" && !column.rising })}>
                      {name}
                      <span className={`compare-sort-mark${active ? (sort.down ? " down" : " up") : ""}`} aria-hidden="true">
                        <Icon name="chevron" size={14} />
                      </span>
                    </button>
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {sorted.slice(0, limit).map((row) => (
              <tr key={row.card.id} className={row.card.id === best ? "best" : undefined}>
                <td>
                  <label className="compare-pick">
                    <input type="checkbox" checked={chosen.has(row.card.id)} aria-label={t("compare.select", { name: runName(row.card) })} onChange={() => toggle(row.card.id)} />
                  </label>
                </td>
                {columns.map((column) =>
                  column.key === "name" ? (
                    <th key={column.key} scope="row">
                      {column.show(row, from)}
                    </th>
                  ) : (
                    <td key={column.key} className={column.right ? "right" : undefined}>
                      {column.show(row, from)}
                    </td>
                  ),
                )}
              </tr>
            ))}
          </tbody>
        </Table>
      </div>
      {sorted.length > limit && (
        <div className="row">
          <Button onClick={() => setLimit(limit + AT_ONCE)}>{t("compare.more", { count: Math.min(AT_ONCE, sorted.length - limit) })}</Button>
        </div>
      )}
      {choosing && (
        <Dialog title={t("compare.columns_title")} size="small" onClose={() => setChoosing(false)}>
          <fieldset className="compare-choices">
            <legend className="unseen">{t("compare.columns_title")}</legend>
            {all.slice(1).map((column) => (
              <Checkbox key={column.key} label={t(`compare.${column.key}`)} checked={shown.includes(column.key)} onChange={({ target }) => show(target.checked ? [...shown, column.key] : shown.filter((key) => key !== column.key))} />
            ))}
          </fieldset>
        </Dialog>
      )}
    </section>
  );
}

/** What is missing comes last, whichever way. */
function compare(a: number | string | null | undefined, b: number | string | null | undefined, down: boolean): number {
  const absent = (value: unknown) => value === null || value === undefined;
  if (absent(a) || absent(b)) return Number(absent(a)) - Number(absent(b));
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  return down ? -order : order;
}
