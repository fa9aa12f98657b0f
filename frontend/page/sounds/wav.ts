// WAV files to samples, as libsndfile reads them: integers divided by their full scale, so that nothing is rounded or
// resampled on the way. Other containers are the browser's. Knows the container only.

import { ascii } from "../pictures/orientation";
import type { Sound } from "./decode";

const INTEGER = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;

/** Channels of a WAV file; undefined where it is none or of a kind that is left to the browser (ADPCM, A-law, RIFX). */
export function readWav(bytes: Uint8Array): Sound | undefined {
  const id = ascii(bytes, 0, 4);
  if ((id !== "RIFF" && id !== "RF64") || ascii(bytes, 8, 4) !== "WAVE") return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let kind = 0;
  let channels = 0;
  let rate = 0;
  let bits = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = ascii(bytes, at, 4);
    const size = view.getUint32(at + 4, true);
    const begin = at + 8;
    if (name === "fmt " && begin + 16 <= bytes.length) {
      kind = view.getUint16(begin, true);
      channels = view.getUint16(begin + 2, true);
      rate = view.getUint32(begin + 4, true);
      bits = view.getUint16(begin + 14, true);
      if (kind === EXTENSIBLE && size >= 40) kind = view.getUint16(begin + 24, true);
    } else if (name === "data") {
      const read = reader(kind, bits);
      if (!read || !channels || !rate) return undefined;
      // A size of 0 or beyond the end is what programs write that were cut off, or that write to a pipe.
      const end = size === 0 || begin + size > bytes.length ? bytes.length : begin + size;
      return { rate, channels: deinterleave(view, begin, end, channels, bits / 8, read) };
    }
    at = begin + size + (size & 1);
  }
  return undefined;
}

type Read = (view: DataView, at: number) => number;

function reader(kind: number, bits: number): Read | undefined {
  if (kind === FLOAT && bits === 32) return (view, at) => view.getFloat32(at, true);
  if (kind === FLOAT && bits === 64) return (view, at) => view.getFloat64(at, true);
  if (kind !== INTEGER) return undefined;
  if (bits === 8) return (view, at) => (view.getUint8(at) - 128) / 128;
  if (bits === 16) return (view, at) => view.getInt16(at, true) / 32768;
  if (bits === 24) return (view, at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608;
  if (bits === 32) return (view, at) => view.getInt32(at, true) / 2147483648;
  return undefined;
}

function deinterleave(view: DataView, begin: number, end: number, channels: number, width: number, read: Read): Float32Array<ArrayBuffer>[] {
  const frames = Math.floor((end - begin) / (width * channels));
  return Array.from({ length: channels }, (_, channel) => {
    const samples = new Float32Array(frames);
    for (let i = 0; i < frames; i++) samples[i] = read(view, begin + (i * channels + channel) * width);
    return samples;
  });
}
