// Samples as a WAV file: mono, 16 bits. Knows the container only.

export function wavFile(wave: Float32Array, rateHz: number): Blob {
  const bytes = new ArrayBuffer(44 + 2 * wave.length);
  const view = new DataView(bytes);
  const text = (at: number, words: string) => [...words].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * wave.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rateHz, true);
  view.setUint32(28, 2 * rateHz, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * wave.length, true);
  wave.forEach((value, i) => view.setInt16(44 + 2 * i, Math.max(-32768, Math.min(32767, Math.round(value * 32768))), true));
  return new Blob([bytes], { type: "audio/wav" });
}
