// What samples are used for: learning and testing in turn, as usual, or kept for one of two tests alone.

import { useMemo } from "react";
import type { Shapes } from "@/api";
import { Experts, Notice, Select } from "@/design";
import type { Part, Sample } from "@/samples";
import { t } from "@/words";

export type Use = "" | "validation" | "test";

const uses = ["", "validation", "test"] as const;
const useWords = (use: Use): string => t(`collect.use_${use || "usual"}`);

/** The part a sample belongs to; whatever is not kept is for learning. */
const partOf = ({ split }: Sample): Part => (split === "validation" || split === "test" ? split : "train");

/** What a sample is kept for, in a word; nothing where it is used as usual. */
export function keptFor(sample: Sample): string {
  const part = partOf(sample);
  return part === "train" ? "" : t(`samples.part_${part}`);
}

export const kept = ({ validation, test }: Shapes["ClassCard"]): number => validation + test;

export function UseFor({ onUse }: { onUse: (use: Use) => void }) {
  return (
    <Select label={t("collect.use_for")} hideLabel value="…" onChange={(event) => onUse(event.target.value as Use)}>
      <option value="…" disabled>
        {t("collect.use_for")}
      </option>
      {uses.map((use) => (
        <option key={use} value={use}>
          {useWords(use)}
        </option>
      ))}
    </Select>
  );
}

/** Which samples a list shows. Only where some are kept, or a filter is on that nobody could take off otherwise. */
export function PartFilter({ classes, part, onPart }: { classes: Shapes["ClassCard"][]; part: Part | undefined; onPart: (part: Part | undefined) => void }) {
  if (part === undefined && !classes.some((card) => kept(card) > 0)) return null;
  return (
    <Select label={t("samples.part")} hideLabel value={part ?? ""} onChange={(event) => onPart((event.target.value as Part) || undefined)}>
      <option value="">{t("collect.use_any")}</option>
      {(["train", "validation", "test"] as const).map((one) => (
        <option key={one} value={one}>
          {useWords(one === "train" ? "" : one)}
        </option>
      ))}
    </Select>
  );
}

/** What is wrong with how the samples shown are divided, said at once. `whole`: they are all of the class, or of all classes. */
export function PartTrouble({ classes, samples, whole }: { classes: Shapes["ClassCard"][]; samples: readonly Sample[]; whole: boolean }) {
  const untrained = classes.filter((card) => card.count > 0 && kept(card) === card.count).map(({ name }) => name);
  const torn = useMemo(() => (whole ? tornTakes(samples) : []), [samples, whole]);
  return (
    <>
      {untrained.length > 0 && <Notice tone="warning">{t("collect.untrained", { count: untrained.length, names: named(untrained) })}</Notice>}
      {torn.length > 0 && <Notice tone="warning">{t("collect.torn", { count: torn.length, names: named(torn) })}</Notice>}
    </>
  );
}

export function AboutParts() {
  return (
    <Experts title={t("collect.use_experts")}>
      <p className="small">{t("collect.use_experts_about")}</p>
    </Experts>
  );
}

function tornTakes(samples: readonly Sample[]): string[] {
  const parts = new Map<string, Part>();
  const torn = new Set<string>();
  for (const sample of samples) {
    if (!sample.group) continue;
    const before = parts.get(sample.group);
    if (before === undefined) parts.set(sample.group, partOf(sample));
    else if (before !== partOf(sample)) torn.add(sample.group);
  }
  return [...torn];
}

const named = (names: string[]): string => names.slice(0, 3).map((name) => `“${name}”`).join(", ") + (names.length > 3 ? " …" : "");
