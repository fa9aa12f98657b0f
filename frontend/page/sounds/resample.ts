// From one sample rate to another as soxr's quality HQ does it: a linear-phase low pass at 0.957 of the lower rate's half,
// made of a sinc under a Kaiser window. Where the rates have no small ratio (44.1 kHz to 16 or 48 kHz), soxr adds a stage that
// takes up to 0.001 off the highest tones; so does `droop`. The constants were fitted to soxr 1.1 on white noise: what is left
// differs by 1e-4 of the level where the rates have a small ratio, by 4e-5 from 44.1 to 16 kHz, by 2e-4 elsewhere, but for
// the first three samples of a sound that begins abruptly (soxr cuts off what rings before them). Knows samples only.

const CUTOFF = 0.956872;
/** `reach`: half the width in samples of the lower rate. `table`: from the middle to the end. */
interface Window {
  reach: number;
  table: Float64Array;
}
const PLAIN = windowOf(13.04006, 97);
const DROOPING = windowOf(13.775, 102.1);
const KEPT_PHASES = 1024;
const SMALL_RATIO = 100;
const DROOP = 2.23e-3; // lost at half the lower rate
const DROOP_POWER = 8.4;
const DROOP_REACH = 24;

/** As many samples as soxr gives: the nearest whole number, halves up. */
export function resampledLength(length: number, from: number, to: number): number {
  return Math.floor((length * to) / from + 0.5);
}

/** Mono `wave` at rate `from` as mono at rate `to`. */
export function resample(wave: Float32Array, from: number, to: number): Float32Array<ArrayBuffer> {
  if (from === to) return new Float32Array(wave);
  if (Math.max(from, to) / gcd(from, to) < SMALL_RATIO) return lowPass(wave, from, to, PLAIN);
  return from > to ? droop(lowPass(wave, from, to, DROOPING)) : lowPass(droop(wave), from, to, DROOPING);
}

function lowPass(wave: Float32Array, from: number, to: number, window: Window): Float32Array<ArrayBuffer> {
  const divisor = gcd(from, to);
  const up = to / divisor;
  const down = from / divisor;
  const slower = Math.min(from, to) / from; // samples of the lower rate in one sample of `wave`
  const reach = window.reach / slower;
  const out = new Float32Array(resampledLength(wave.length, from, to));
  const kept = new Map<number, Float64Array>();
  for (let i = 0; i < out.length; i++) {
    const whole = Math.floor((i * down) / up);
    const phase = i * down - whole * up;
    let row = kept.get(phase);
    if (!row) {
      row = weights(phase / up, reach, slower, window);
      if (up <= KEPT_PHASES) kept.set(phase, row);
    }
    const first = whole - Math.floor(reach);
    const begin = Math.max(0, -first);
    const end = Math.min(row.length, wave.length - first);
    let sum = 0;
    for (let k = begin; k < end; k++) sum += row[k]! * wave[first + k]!;
    out[i] = sum;
  }
  return out;
}

let drooping: Float64Array | undefined;

/** Takes DROOP * f ** DROOP_POWER off the tones at f, 1 being half the rate: a cosine series of that, as a filter. */
function droop(wave: Float32Array): Float32Array<ArrayBuffer> {
  drooping ??= Float64Array.from({ length: DROOP_REACH + 1 }, (_, k) => -DROOP * cosinePart(k));
  const out = new Float32Array(wave.length);
  for (let i = 0; i < out.length; i++) {
    let sum = (1 + drooping[0]!) * wave[i]!;
    for (let k = 1; k <= DROOP_REACH; k++) sum += drooping[k]! * ((wave[i - k] ?? 0) + (wave[i + k] ?? 0));
    out[i] = sum;
  }
  return out;
}

/** The integral of f ** DROOP_POWER * cos(pi k f) over 0..1, by the midpoint rule. */
function cosinePart(k: number): number {
  const steps = 4096;
  let sum = 0;
  for (let i = 0; i < steps; i++) {
    const f = (i + 0.5) / steps;
    sum += f ** DROOP_POWER * Math.cos(Math.PI * k * f);
  }
  return sum / steps;
}

/** Weights of the samples around a place that lies `fraction` behind a sample, from floor(reach) before it on. */
function weights(fraction: number, reach: number, slower: number, window: Window): Float64Array {
  const before = Math.floor(reach);
  const row = new Float64Array(2 * before + 2);
  for (let k = 0; k < row.length; k++) {
    const time = (k - before - fraction) * slower;
    const place = time / window.reach;
    if (Math.abs(place) > 1) continue;
    const angle = Math.PI * CUTOFF * time;
    const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
    row[k] = CUTOFF * slower * sinc * at(window.table, place);
  }
  return row;
}

/** The window at -1..1, from its table: straight between entries, which is off by less than 1e-8. */
function at(table: Float64Array, place: number): number {
  const entry = Math.abs(place) * (table.length - 2);
  const low = Math.floor(entry);
  return table[low]! + (entry - low) * (table[low + 1]! - table[low]!);
}

/** A Kaiser window. */
function windowOf(beta: number, reach: number): Window {
  const steps = 8192;
  const table = Float64Array.from({ length: steps + 2 }, (_, i) => (i > steps ? 0 : bessel(beta * Math.sqrt(1 - (i / steps) ** 2)) / bessel(beta)));
  return { reach, table };
}

/** The modified Bessel function of order zero, by its power series. */
function bessel(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
