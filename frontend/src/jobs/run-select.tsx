// Which of the project's runs: a list in which each can be told from the others.

import type { Shapes } from "@/api";
import { Select } from "@/design";
import { t } from "@/words";
import { runLine } from "./names";

interface Props {
  runs: readonly Shapes["RunCard"][];
  run: Shapes["RunCard"] | undefined;
  onChange: (id: string) => void;
  hideLabel?: boolean;
}

export function RunSelect({ runs, run, onChange, hideLabel = false }: Props) {
  return (
    <Select label={t("train.model")} hideLabel={hideLabel} value={run?.id ?? ""} onChange={(event) => onChange(event.target.value)}>
      {!run && <option value="">{t("train.model")}</option>}
      {runs.map((one) => (
        <option key={one.id} value={one.id}>
          {runLine(one)}
        </option>
      ))}
    </Select>
  );
}
