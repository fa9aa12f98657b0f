// A microphone that hands out what it hears, sample by sample, at its own rate. Knows no page.

import { closeStream, openDevice } from "./devices";
import tapUrl from "./tap.worklet.ts?worker&url";

export class Microphone {
  /** Called with each piece, from the moment it is set. */
  onPiece: ((piece: Float32Array) => void) | null = null;

  private constructor(
    readonly stream: MediaStream,
    private readonly context: AudioContext,
  ) {}

  /** Throws what the browser throws where it gives no microphone. */
  static async open(device: string): Promise<Microphone> {
    const stream = await openDevice("audioinput", device);
    const context = contextFor(stream);
    try {
      await context.audioWorklet.addModule(tapUrl);
      const microphone = new Microphone(stream, context);
      const tap = new AudioWorkletNode(context, "tap", { numberOfOutputs: 0 });
      tap.port.onmessage = ({ data }: MessageEvent<Float32Array>) => microphone.onPiece?.(data);
      context.createMediaStreamSource(stream).connect(tap);
      await context.resume();
      return microphone;
    } catch (error) {
      closeStream(stream);
      void context.close();
      throw error;
    }
  }

  get rateHz(): number {
    return this.context.sampleRate;
  }

  get name(): string {
    return this.stream.getAudioTracks()[0]?.label ?? "";
  }

  close(): void {
    this.onPiece = null;
    closeStream(this.stream);
    void this.context.close();
  }
}

/** At the rate of the device where the browser tells it, so that nothing is resampled on the way. */
function contextFor(stream: MediaStream): AudioContext {
  const sampleRate = stream.getAudioTracks()[0]?.getSettings().sampleRate;
  try {
    return new AudioContext(sampleRate ? { sampleRate } : undefined);
  } catch {
    return new AudioContext();
  }
}

/** Loudness 0 to 1 of a piece for a meter: 0 is -60 dB of full scale. */
export function level(piece: Float32Array): number {
  let sum = 0;
  for (const value of piece) sum += value * value;
  return Math.max(0, 1 + (10 * Math.log10(sum / piece.length + 1e-12)) / 60);
}
