// Kinds of findings in words, and how grave they are in icons.

import type { Shapes } from "@/api";
import type { IconName } from "@/design";
import { has, t } from "@/words";

export type Finding = Shapes["FindingCard"];
export type Severity = Finding["severity"];

export const severities: readonly Severity[] = ["error", "warning", "note"];
export const severityIcon: Record<Severity, IconName> = { error: "error", warning: "warning", note: "info" };

/** A kind that these pages do not know yet is shown by its name. */
export const titleOf = (finding: Finding): string => (has(`check.kind_${finding.kind}`) ? t(`check.kind_${finding.kind}`) : finding.kind);

export const actionOf = (finding: Finding): string => (has(`check.action_${finding.kind}`) ? t(`check.action_${finding.kind}`) : (finding.action ?? ""));
