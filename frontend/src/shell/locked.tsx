// Without the cookie of the one-time link the server answers nothing: say how to get in rather than fail everywhere.

import type { ReactNode } from "react";
import { Problem, useAbout } from "@/api";
import { EmptyState } from "@/design";
import { t } from "@/words";

export function Locked({ children }: { children: ReactNode }) {
  const about = useAbout();
  if (!(about.error instanceof Problem) || about.error.status !== 401) return children;
  return (
    <main>
      <EmptyState icon="key" title={t("shell.locked")}>
        {t("shell.locked_how")}
      </EmptyState>
    </main>
  );
}
