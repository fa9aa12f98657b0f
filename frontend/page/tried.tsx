// The files that were tried, newest first, each with what the model said of it.

import { Button } from "@/design/button";
import { VerdictBadge } from "@/pages/try/verdict";
import { percent, t } from "@/words";
import type { Outcome } from "./model";

export interface Tried {
  id: number;
  file: File;
  /** Words where the file was refused. */
  outcome: Outcome | string;
}

export function TriedList({ tried, onClear }: { tried: Tried[]; onClear: () => void }) {
  return (
    <section className="tried">
      <div className="tried-head">
        <h2>{t("try.tried", { count: tried.length })}</h2>
        <Button small look="quiet" icon="close" onClick={onClear}>
          {t("try.clear")}
        </Button>
      </div>
      <table className="tried-table">
        <thead>
          <tr>
            <th scope="col">{t("page.check_file")}</th>
            <th scope="col">{t("page.result")}</th>
            <th scope="col" className="number">
              {t("page.confidence")}
            </th>
          </tr>
        </thead>
        <tbody>
          {tried.map(({ id, file, outcome }) => (
            <tr key={id} data-file={file.name} data-label={typeof outcome === "string" ? "" : outcome.label}>
              <td>{file.name}</td>
              <td>{typeof outcome === "string" ? outcome : <VerdictBadge verdict={outcome} />}</td>
              <td className="number">{typeof outcome === "string" ? "–" : percent(outcome.confidence)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
