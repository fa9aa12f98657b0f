// A chart with what it says in a sentence above and its numbers as a table below. Knows no numbers itself.

import type { ReactNode } from "react";
import { Table } from "@/design";
import { t } from "@/words";
import "./charts.css";

export interface Column {
  name: string;
  /** numbers stand at the right */
  right?: boolean;
}

interface Props {
  summary: ReactNode;
  caption: string;
  columns: readonly Column[];
  rows: readonly (readonly ReactNode[])[];
  children: ReactNode;
}

export function Figure({ summary, caption, columns, rows, children }: Props) {
  const right = (i: number) => (columns[i]?.right ? "right" : undefined);
  return (
    <figure className="chart-figure">
      <figcaption>{summary}</figcaption>
      {children}
      <details>
        <summary>{t("charts.table")}</summary>
        <Table caption={caption}>
          <thead>
            <tr>
              {columns.map((column, i) => (
                <th key={column.name} scope="col" className={right(i)}>
                  {column.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, i) => (
              <tr key={i}>
                {row.map((cell, j) => (
                  <td key={j} className={right(j)}>
                    {cell}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </Table>
      </details>
    </figure>
  );
}
