// Targets that this machine cannot write: why, and what would change that.

import type { Shapes } from "@/api";
import { t } from "@/words";
import { aboutOf, titleOf } from "./names";

export function Elsewhere({ formats }: { formats: Shapes["Format"][] }) {
  if (formats.length === 0) return null;
  return (
    <section className="stack tight">
      <h2>{t("export.elsewhere")}</h2>
      <ul className="export-elsewhere-list">
        {formats.map((format) => (
          <li key={format.name} data-format={format.name}>
            <h3>{titleOf(format)}</h3>
            <p className="muted">{aboutOf(format)}</p>
            {format.why_not && <p>{t("export.why_not", { why: format.why_not })}</p>}
            {format.command && (
              <p>
                <code>{format.command}</code>
              </p>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
