// Predict with Node.js: npm install onnxruntime-node, then
//
//     python predict.py --decode FILE input.bin     (or decode in your own program, see below)
//     node predict.mjs input.bin
//
// input.bin holds what decode.py makes of a file: for pictures uint8 pixels, rows of RGB; for sounds float32 windows, mono,
// one after another. The front-end's sizes are in settings.json, class names in labels.json.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-node";

const read = (name) => readFileSync(new URL(name, import.meta.url));
const settings = JSON.parse(read("settings.json"));
const labels = JSON.parse(read("labels.json"));
const session = await ort.InferenceSession.create(fileURLToPath(new URL("model.onnx", import.meta.url)));
// On one line: what would move a terminal's cursor or break the table becomes an escape.
const plain = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

const { modality, size, sample_rate_hz, seconds } = settings.frontend;
const shape = modality === "image" ? [size, size, 3] : [Math.round(sample_rate_hz * seconds)];
const length = shape.reduce((a, b) => a * b, 1);

for (const file of process.argv.slice(2)) {
  const bytes = readFileSync(file);
  const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const data = modality === "image" ? new Uint8Array(copy) : new Float32Array(copy);
  const items = data.length / length;
  if (!Number.isInteger(items) || items === 0) throw new Error(`${file}: not a whole number of items of ${length} values`);
  const input = new ort.Tensor(modality === "image" ? "uint8" : "float32", data, [items, ...shape]);
  const { logits } = await session.run({ input }, ["logits"]);
  const mean = labels.map((_, k) => {
    let sum = 0;
    for (let i = 0; i < items; i++) sum += logits.data[i * labels.length + k];
    return sum / items;
  });
  const top = Math.max(...mean);
  const weights = mean.map((v) => Math.exp(v - top));
  const total = weights.reduce((a, b) => a + b, 0);
  const best = mean.indexOf(top);
  console.log(`${plain(file)}\t${plain(labels[best])}\t${(weights[best] / total).toFixed(4)}`);
}
