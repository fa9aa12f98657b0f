// The way from pictures and sounds to a model that one can use, step by step.

import type { IconName } from "@/design";

export const steps = ["collect", "check", "train", "understand", "try", "export", "compare"] as const;
export type Step = (typeof steps)[number];
export const stepIcons: Record<Step, IconName> = {
  collect: "collect",
  check: "check",
  train: "train",
  understand: "understand",
  try: "try",
  export: "export",
  compare: "compare",
};

/** The address of a step; `rest` e.g. a run's id. */
export const pathOf = (p: string, step: Step, rest = ""): string => `/p/${p}/${step}${rest && `/${encodeURIComponent(rest)}`}`;
