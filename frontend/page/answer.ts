// What logits mean: probabilities, the classes that cannot be ruled out, and whether it may be something unknown. The same
// rules as inference.py.

import type { Verdict } from "@/pages/try/verdict";

export interface Metadata {
  classes: string[];
  frontend: Frontend;
  set_quantile: number;
  unknown_below: number;
  licence: string;
}

export type Frontend =
  | { modality: "image"; size: number; fit: "crop" | "stretch" }
  | { modality: "audio"; sample_rate_hz: number; seconds: number; max_windows: number };

/** `shares` are probabilities, in the order of the classes. */
export function answer(logits: ArrayLike<number>, metadata: Metadata): Omit<Verdict, "milliseconds"> {
  const values = Array.from(logits);
  const top = Math.max(...values);
  const weights = values.map((value) => Math.exp(value - top));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const shares = metadata.classes.map((name, i) => ({ name, share: (weights[i] ?? 0) / total }));
  const confidence = Math.max(...shares.map(({ share }) => share));
  return {
    label: shares.find(({ share }) => share === confidence)?.name ?? "",
    confidence,
    shares,
    set: shares.filter(({ share }) => share >= 1 - metadata.set_quantile).map(({ name }) => name),
    unknown: confidence < metadata.unknown_below,
  };
}
