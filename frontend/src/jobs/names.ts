// What runs, jobs and their stages are called: as their user called them, else by their number. Knows no component.

import type { Shapes } from "@/api";
import { duration, has, language, percent, t, unbroken, when } from "@/words";

type Run = Shapes["RunCard"];
type Job = Shapes["Job"];

const known = (number: number | null | undefined): number is number => number !== null && number !== undefined;

export const runName = (run: Pick<Run, "name" | "number">): string => (known(run.number) ? t("train.numbered", { n: run.number }) : run.name);

/** Whether a score is shown to be better than guessing: its whole interval is. */
export const beatsChance = (score: Shapes["Score"]): boolean => typeof score.chance === "number" && score.low > score.chance;

/** What tells a run from others in a list: its name, how often it is right, when it was made. */
export const runLine = (run: Run): string => [runName(run), run.score ? t("train.right", { share: percent(run.score.value, 0) }) : t("train.unmeasured"), when(run.created)].join(" · ");

export function nameOf(job: Job): string {
  const kind = t(`train.kind_${job.kind}`);
  const run = known(job.number) ? t("train.numbered", { n: job.number }) : "";
  if (job.kind === "train") return job.title || run || kind;
  if (job.kind === "export" && has(`export.title_${job.title}`)) return `${kind}: ${t(`export.title_${job.title}`)}`;
  return job.title || [kind, run].filter(Boolean).join(": ");
}

/** What the server calls a stage, in the words of the page where they are known. */
export function stageOf(job: Job): string {
  if (!job.progress) return job.state === "running" ? t("train.stage_starting") : "";
  const { stage, done, of } = job.progress;
  const words = job.kind === "check" && stage === "fit" ? "train.stage_check" : `train.stage_${stage.toLowerCase().replaceAll(/[^a-z]+/g, "_")}`;
  const name = has(words) ? t(words) : stage;
  return of > 1 ? t("train.step_of", { stage: name, done, of }) : name;
}

/** How long a job will go on, roughly; "" while nobody knows. */
export const leftOf = (job: Job): string => (job.state === "running" && job.eta_seconds ? t("train.left", { time: duration(Math.max(1, Math.round(job.eta_seconds))) }) : "");

/** Why a job ended as it did and what to do, in the language of the page where it can be said so. */
export function toldOf(job: Shapes["Job"]): { error: string; hint: string } {
  const told = job.told?.[language()];
  return { error: unbroken(told?.error || (job.error ?? "")), hint: unbroken(told?.hint || (job.hint ?? "")) };
}
