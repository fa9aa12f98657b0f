// Any sound file to channels at the file's own rate. WAV is read here; everything else is the browser's, which is asked
// for the rate that the file has: decodeAudioData would resample otherwise. Knows nothing of windows or models.

import { ascii } from "../pictures/orientation";
import { Refusal } from "../refusal";
import { readWav } from "./wav";

export interface Sound {
  rate: number;
  channels: Float32Array<ArrayBuffer>[];
}

const USUAL_RATE = 48_000;
const MIN_CONTEXT_RATE = 3_000;
const MAX_CONTEXT_RATE = 768_000;

/** Throws `Refusal`. */
export async function decodeSound(bytes: Uint8Array<ArrayBuffer>): Promise<Sound> {
  if (!bytes.length) throw new Refusal("empty");
  const wav = readWav(bytes);
  if (wav) {
    if (!wav.channels[0]!.length) throw new Refusal("silent_file");
    return wav;
  }
  const claimed = fileRate(bytes);
  const rate = claimed >= MIN_CONTEXT_RATE && claimed <= MAX_CONTEXT_RATE ? claimed : USUAL_RATE;
  let buffer: AudioBuffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.slice().buffer);
  } catch {
    throw new Refusal("sound");
  }
  if (!buffer.length) throw new Refusal("silent_file");
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) => new Float32Array(buffer.getChannelData(i)));
  return { rate: buffer.sampleRate, channels };
}

/** The rate in Hz that a file's header tells; 0 where it is not found. */
export function fileRate(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (ascii(bytes, 0, 4) === "fLaC") return flacRate(bytes, 0);
  if (ascii(bytes, 0, 4) === "OggS" && bytes.length > 80) {
    const packet = 27 + bytes[26]!;
    if (ascii(bytes, packet + 1, 6) === "vorbis") return view.getUint32(packet + 12, true);
    if (ascii(bytes, packet + 1, 4) === "FLAC") return flacRate(bytes, packet + 9);
    return USUAL_RATE;
  }
  if (ascii(bytes, 4, 4) === "ftyp") return mp4Rate(bytes);
  const start = ascii(bytes, 0, 3) === "ID3" ? 10 + tagLength(bytes) : 0;
  return mpegRate(bytes, start);
}

function flacRate(bytes: Uint8Array, at: number): number {
  return (bytes[at + 18]! << 12) | (bytes[at + 19]! << 4) | (bytes[at + 20]! >> 4);
}

/** The sample entry `mp4a` of a track: a rate in whole hertz 28 bytes after its name. */
function mp4Rate(bytes: Uint8Array): number {
  for (let at = 0; at + 30 < bytes.length; at++) {
    if (bytes[at] === 0x6d && ascii(bytes, at, 4) === "mp4a") return (bytes[at + 28]! << 8) | bytes[at + 29]!;
  }
  return 0;
}

function tagLength(bytes: Uint8Array): number {
  return (bytes[6]! << 21) | (bytes[7]! << 14) | (bytes[8]! << 7) | bytes[9]!;
}

const MPEG_RATES = [44_100, 48_000, 32_000];
const AAC_RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/** Of an MP3 frame or an ADTS frame, the first from `start` on. */
function mpegRate(bytes: Uint8Array, start: number): number {
  for (let at = start; at + 4 < bytes.length; at++) {
    if (bytes[at] !== 0xff || (bytes[at + 1]! & 0xe0) !== 0xe0) continue;
    const second = bytes[at + 1]!;
    if ((second & 0xf6) === 0xf0) return AAC_RATES[(bytes[at + 2]! >> 2) & 15] ?? 0;
    const rate = MPEG_RATES[(bytes[at + 2]! >> 2) & 3];
    if ((second & 0x18) === 0x08 || rate === undefined) continue;
    return rate >> ({ 0x18: 0, 0x10: 1, 0x00: 2 }[second & 0x18] ?? 0);
  }
  return 0;
}
