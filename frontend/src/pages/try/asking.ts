// Questions to a run on the server, and what was asked: the blob that an answer is about is the one that can be kept.

import { Problem, send, type Shapes } from "@/api";
import { t } from "@/words";
import type { Verdict } from "./verdict";

export interface Tried extends Verdict {
  blob: Blob;
  /** Name of a file; "" for what was seen or heard live. */
  name: string;
  /** What the model hears at once; null where it looks at pictures. */
  windowSeconds: number | null;
}

/** Throws Problem where the server refuses. */
export async function ask(p: string, run: Shapes["RunCard"], blob: Blob, name = ""): Promise<Tried> {
  const answer = await send<Shapes["Answer"]>("POST", `/api/projects/${p}/runs/${run.id}/predict`, blob);
  const shares = new Map(Object.entries(answer.scores));
  return {
    label: answer.label,
    confidence: answer.confidence,
    shares: run.classes.map((label) => ({ name: label, share: shares.get(label) ?? 0 })),
    set: answer.set,
    unknown: answer.unknown,
    milliseconds: answer.milliseconds,
    windowSeconds: answer.window_seconds ?? null,
    blob,
    name,
  };
}

/** Why there is no answer, in one plain sentence. */
export function faultOf(refused: Error, modality: "image" | "audio"): string {
  if (!(refused instanceof Problem)) return refused.message;
  if (refused.status === 0) return t("shell.unreachable");
  if (refused.status === 413) return t("try.too_large");
  if (refused.hint.startsWith("pip ")) return t("try.needs", { command: refused.hint });
  return refused.status === 415 || refused.status === 422 ? t(modality === "image" ? "try.unreadable_image" : "try.unreadable_audio") : refused.message;
}

const JPEG_QUALITY = 0.92;
const MOST_PIXELS = 640; // of the longer side: models look at less

/** What the camera sees now, as a JPEG. */
export function snapshot(video: HTMLVideoElement): Promise<Blob | null> {
  const scale = Math.min(1, MOST_PIXELS / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  const context = canvas.getContext("2d");
  if (!context || canvas.width === 0) return Promise.resolve(null);
  context.imageSmoothingQuality = "high";
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
}
