// Channels to the windows a model takes, by the rule of features/audio.py: mono, one rate, as few windows as cover the
// sound, evenly spread; a short one padded with silence at its end. Knows nothing of files or models.

import type { Sound } from "./decode";
import { resample } from "./resample";

const UNCOVERED = 0.1; // share of a window that is not worth another window
const MAX_VALUE = 1e6; // no recording goes beyond; what does, or is no number, becomes silence

export interface SoundSettings {
  sample_rate_hz: number;
  seconds: number;
  max_windows: number;
}

/** Samples in one window. */
export function windowLength({ sample_rate_hz, seconds }: SoundSettings): number {
  return halfToEven(sample_rate_hz * seconds);
}

export function windows(sound: Sound, settings: SoundSettings): Float32Array[] {
  const wave = resample(mono(sound.channels), sound.rate, settings.sample_rate_hz);
  const length = windowLength(settings);
  const total = Math.max(1, wave.length);
  return starts(total, length, settings.max_windows).map((start) => {
    const window = new Float32Array(length);
    window.set(wave.subarray(start, start + length));
    return window;
  });
}

export function mono(channels: Float32Array[]): Float32Array {
  const out = new Float32Array(channels[0]!.length);
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (const channel of channels) {
      const value = channel[i]!;
      if (Math.abs(value) <= MAX_VALUE) sum += value;
    }
    out[i] = sum / channels.length;
  }
  return out;
}

/** First samples of the windows. */
export function starts(total: number, length: number, most: number): number[] {
  const spare = total - length;
  const count = Math.min(most, Math.max(1, Math.ceil(total / length - UNCOVERED)));
  if (count === 1) return [Math.max(0, Math.floor(spare / 2))];
  return Array.from({ length: count }, (_, i) => halfToEven((i * spare) / (count - 1)));
}

/** Python's round. */
function halfToEven(value: number): number {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}
