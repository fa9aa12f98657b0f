// What a JPEG decoder gives when it is asked for half, a quarter or an eighth of the size. Python asks for that with large
// photos; browsers only decode whole. libjpeg shrinks each block so that its pixels become the means of 2 x 2, 4 x 4 or
// 8 x 8 pixels, which can as well be done afterwards. What is left are differences by one grey level, from rounding twice.

import type { Pixels } from "./resize";

/** By how much (1, 2, 4, 8) Python lets the decoder shrink a picture of which `side` pixels are wanted. */
export function draftScale(width: number, height: number, side: number): number {
  const spare = Math.min(Math.floor(width / (2 * side)), Math.floor(height / (2 * side)));
  return spare >= 8 ? 8 : spare >= 4 ? 4 : spare >= 2 ? 2 : 1;
}

/** `picture` shrunk by `scale` as its decoder would have done. */
export function shrink(picture: Pixels, scale: number): Pixels {
  if (scale === 1) return picture;
  const width = Math.ceil(picture.width / scale);
  const height = Math.ceil(picture.height / scale);
  const sums = new Uint32Array(width * 3);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let row = y * scale; row < (y + 1) * scale; row++) {
      // What is missing in the last block repeats the last pixels.
      const line = Math.min(row, picture.height - 1) * picture.width;
      for (let x = 0; x < width * scale; x++) {
        const from = (line + Math.min(x, picture.width - 1)) * 3;
        const to = Math.floor(x / scale) * 3;
        sums[to]! += picture.data[from]!;
        sums[to + 1]! += picture.data[from + 1]!;
        sums[to + 2]! += picture.data[from + 2]!;
      }
    }
    for (let i = 0; i < sums.length; i++) data[y * sums.length + i] = even(sums[i]! / scale ** 2);
  }
  return { width, height, data };
}

/** Halves go to the even neighbour: always going up would make the whole picture brighter by an eighth of a level. */
function even(value: number): number {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low & 1) : Math.round(value);
}
