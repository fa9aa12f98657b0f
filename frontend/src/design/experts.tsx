// What only those who know the field ask for, folded away from everybody else.

import type { ReactNode } from "react";
import { t } from "@/words";
import "./experts.css";

export function Experts({ title, children }: { title?: string; children: ReactNode }) {
  return (
    <details className="experts">
      <summary>{title ?? t("shell.experts")}</summary>
      <div className="experts-inside">{children}</div>
    </details>
  );
}
