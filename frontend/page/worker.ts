// The model, off the page's thread: gets files, camera frames or sounds, gives calibrated logits. One at a time, in order.

import * as ort from "onnxruntime-web/wasm";
import type { Frontend } from "./answer";
import { decode, decodeFrame } from "./pictures/decode";
import { Refusal } from "./refusal";
import type { Sound } from "./sounds/decode";
import { windows } from "./sounds/windows";

export type Ask =
  | { id: number; load: string; frontend: Frontend; tallFirst: boolean }
  | { id: number; picture: Uint8Array<ArrayBuffer> }
  | { id: number; frame: ImageBitmap }
  | { id: number; sound: Sound };

export type Told =
  | { id: number; logits: number[]; milliseconds: number }
  | { id: number; loaded: true }
  | { id: number; refused: { reason: string; details: Record<string, string | number> } };

// More threads need headers that a plain file server does not send; one thread also gives the same sums every time.
ort.env.wasm.numThreads = 1;

let session: ort.InferenceSession;
let frontend: Frontend;
let tallFirst = false;
let queue: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<Ask>) => {
  queue = queue.then(() => handle(data));
};

async function handle(ask: Ask): Promise<void> {
  try {
    if ("load" in ask) {
      await load(ask.load);
      frontend = ask.frontend;
      tallFirst = ask.tallFirst;
      tell({ id: ask.id, loaded: true });
      return;
    }
    const begin = performance.now();
    const logits = await run(await items(ask));
    tell({ id: ask.id, logits, milliseconds: performance.now() - begin });
  } catch (error) {
    const { reason, details } = error instanceof Refusal ? error : new Refusal("failed", { why: String(error) });
    tell({ id: ask.id, refused: { reason, details } });
  }
}

function tell(message: Told): void {
  self.postMessage(message);
}

async function load(url: string): Promise<void> {
  const response = await fetch(url);
  if (!response.ok) throw new Refusal("load", { status: response.status });
  session = await ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()), {
    executionProviders: ["wasm"],
  });
}

async function items(ask: Exclude<Ask, { load: string }>): Promise<(Uint8Array | Float32Array)[]> {
  if ("sound" in ask) {
    if (frontend.modality !== "audio") throw new Refusal("wants_picture");
    return windows(ask.sound, frontend);
  }
  if (frontend.modality !== "image") throw new Refusal("wants_sound");
  const settings = { size: frontend.size, fit: frontend.fit, tallFirst };
  return ["frame" in ask ? decodeFrame(ask.frame, settings) : await decode(ask.picture, settings)];
}

/** The mean over the items. */
async function run(parts: (Uint8Array | Float32Array)[]): Promise<number[]> {
  const sums: number[] = [];
  for (const part of parts) {
    const tensor =
      part instanceof Uint8Array
        ? new ort.Tensor("uint8", part, [1, Math.sqrt(part.length / 3), Math.sqrt(part.length / 3), 3])
        : new ort.Tensor("float32", part, [1, part.length]);
    const { logits } = await session.run({ input: tensor }, ["logits"]);
    (logits!.data as Float32Array).forEach((value, i) => (sums[i] = (sums[i] ?? 0) + value));
    tensor.dispose();
    logits!.dispose();
  }
  return sums.map((sum) => sum / parts.length);
}
