// run.json as this page reads it: every part may be missing, for older runs and other strategies.

import { percent } from "@/words";

export interface Rate {
  value: number;
  low: number;
  high: number;
  n: number;
}

export interface ClassRow {
  precision: number | null;
  recall: number | null;
  f1: number | null;
  n: number;
  recall_low?: number;
  recall_high?: number;
  precision_low?: number;
  precision_high?: number;
}

export interface Doubt {
  file: string;
  label: string;
  suggested: string;
  given: number;
  confidence: number;
}

export interface CurveRow {
  per_class: number;
  value: number;
  low: number;
  high: number;
}

export interface Curve {
  points?: CurveRow[];
  band?: CurveRow[];
  classes?: Record<string, { more?: number | null; gain?: number | null; done?: boolean }>;
  worth?: number;
  why?: string | null;
}

export interface Result {
  modality?: string;
  classes?: string[];
  head?: string | null;
  why?: string;
  command?: string;
  score?: (Rate & { metric?: string; method?: string }) | null;
  test?: (Rate & { metric?: string }) | null;
  per_class?: Record<string, ClassRow | null>;
  per_group?: Record<string, { accuracy: number; n: number }>;
  confusion?: { labels: string[]; counts: number[][] };
  calibration?: { ece?: number | null; ece_limit?: number | null; temperature?: number; bins?: { confidence: number; accuracy: number; n: number }[] };
  untested?: string[];
  doubtful?: Doubt[] | null;
  curve?: Curve | null;
  unknown?: { below?: number; asked?: number; false_alarm?: Rate | null; miss?: Rate | null; auroc?: number; classes?: Record<string, { miss: number; n: number }> } | null;
  sets?: { asked: number; covered: Rate; mean_size: number; empty: number } | null;
  leak?: { naive: Rate } | null;
  shortcuts?: { name: string; score: Rate; chance: number; above_chance: boolean }[];
}

/** Share of right answers when always naming the most frequent class. */
export function chance(result: Result): number {
  const counts = Object.values(result.per_class ?? {}).map((row) => row?.n ?? 0);
  const total = counts.reduce((sum, n) => sum + n, 0);
  return total > 0 ? Math.max(...counts) / total : 0;
}

export interface Mistake {
  truth: string;
  predicted: string;
  n: number;
  of: number;
}

/** Pairs of classes that were mixed up, the most frequent first. */
export function mistakes(confusion: NonNullable<Result["confusion"]>): Mistake[] {
  return confusion.counts
    .flatMap((row, i) => {
      const of = row.reduce((sum, n) => sum + n, 0);
      return row.map((n, j) => ({ truth: confusion.labels[i] ?? "", predicted: confusion.labels[j] ?? "", n, of, wrong: i !== j }));
    })
    .filter((cell) => cell.wrong && cell.n > 0)
    .sort((a, b) => b.n - a.n || b.n / b.of - a.n / a.of);
}

/** A name that somebody else chose, within a sentence: one that runs from right to left cannot turn the rest around. */
export function named(name: string): string {
  return /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name;
}

/** A probability in whole percent; what is nearly certain is not called certain. */
export function sureness(probability: number): string {
  const whole = Math.round(100 * probability);
  return percent(probability < 1 && whole === 100 ? 0.999 : probability > 0 && whole === 0 ? 0.001 : probability, whole === 100 || whole === 0 ? 1 : 0);
}
