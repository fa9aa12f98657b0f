// A microphone that remembers its last few seconds. Knows samples only.

import { Microphone } from "@/recording";

export class Ear {
  private readonly ring: Float32Array<ArrayBuffer>;
  private heard = 0;

  private constructor(
    private readonly microphone: Microphone,
    readonly seconds: number,
  ) {
    this.ring = new Float32Array(Math.round(microphone.rateHz * seconds));
    microphone.onPiece = (piece) => this.hear(piece);
  }

  /** Throws what the browser throws where it gives no microphone. */
  static async open(device: string, seconds: number): Promise<Ear> {
    return new Ear(await Microphone.open(device), seconds);
  }

  get rateHz(): number {
    return this.microphone.rateHz;
  }

  get name(): string {
    return this.microphone.name;
  }

  get stream(): MediaStream {
    return this.microphone.stream;
  }

  /** Share of the memory that is filled, 0 to 1. */
  get filled(): number {
    return Math.min(1, this.heard / this.ring.length);
  }

  /** The last `seconds`, oldest first; less in the beginning, never more than it remembers. */
  last(seconds = this.seconds): Float32Array<ArrayBuffer> {
    const size = this.ring.length;
    const wanted = Math.min(Math.round(seconds * this.rateHz), this.heard, size);
    const wave = new Float32Array(wanted);
    const begin = (this.heard - wanted) % size;
    const first = Math.min(wanted, size - begin);
    wave.set(this.ring.subarray(begin, begin + first));
    wave.set(this.ring.subarray(0, wanted - first), first);
    return wave;
  }

  close(): void {
    this.microphone.close();
  }

  private hear(piece: Float32Array): void {
    const size = this.ring.length;
    const part = piece.length > size ? piece.subarray(piece.length - size) : piece;
    const at = this.heard % size;
    const first = Math.min(part.length, size - at);
    this.ring.set(part.subarray(0, first), at);
    this.ring.set(part.subarray(first), 0);
    this.heard += part.length;
  }
}

const SILENT = 1e-4; // root of the mean square: -80 dB of full scale
const ENOUGH_SECONDS = 1;

/** The last `seconds` that `ear` heard; null while that is too little, "quiet" where there is nothing to hear. */
export function lastHeard(ear: Ear, seconds: number): Float32Array<ArrayBuffer> | "quiet" | null {
  const wave = ear.last(seconds);
  if (wave.length < Math.min(ENOUGH_SECONDS, seconds) * ear.rateHz * 0.98) return null;
  let sum = 0;
  for (const value of wave) sum += value * value;
  return Math.sqrt(sum / wave.length) < SILENT ? "quiet" : wave;
}
