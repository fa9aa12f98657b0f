// Passes on what the microphone hears, mixed to one channel, in pieces of 1,024 samples: fewer messages than the 128 at a
// time that the browser hands out. Runs on the audio thread.

const PIECE = 1024;

export {}; // a module: its names are its own

declare const registerProcessor: (name: string, processor: unknown) => void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

class Tap extends AudioWorkletProcessor {
  private piece = new Float32Array(PIECE);
  private filled = 0;

  process([channels = []]: Float32Array[][]): boolean {
    const length = channels[0]?.length ?? 0;
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i] ?? 0;
      this.piece[this.filled++] = sum / channels.length;
      if (this.filled === PIECE) {
        this.port.postMessage(this.piece, [this.piece.buffer]);
        this.piece = new Float32Array(PIECE);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("tap", Tap);
