// Pillow's way of making a picture smaller or larger, number for number: box reduction by whole factors, then two
// passes of an antialiased triangle filter in fixed point with 8-bit pixels between them. Knows pixels only.

/** 8-bit RGB, rows from top to bottom. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8Array;
}

/** A part of a picture in its pixels; edges need not be whole. */
export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** How many times larger than needed a picture may be before it is first reduced by a whole factor. */
const REDUCING_GAP = 2;
const FRACTION_BITS = 22; // of fixed-point weights: sums of 8-bit pixels stay inside 32 bits
const TRIANGLE_SUPPORT = 1;

/**
 * `Image.resize((width, height), BILINEAR, box, reducing_gap=2)`. `tallFirst`: Pillow 13 makes pictures lower before it makes
 * them narrower where they lose much more height; the order shows in the last bit, because pixels are rounded in between.
 */
export function resize(source: Pixels, width: number, height: number, tallFirst: boolean, box: Box = whole(source)): Pixels {
  if (source.width === width && source.height === height && same(box, whole(source))) return source;
  const stepX = (box.right - box.left) / width;
  const stepY = (box.bottom - box.top) / height;
  const factorX = Math.trunc(stepX / REDUCING_GAP) || 1;
  const factorY = Math.trunc(stepY / REDUCING_GAP) || 1;
  let from = source;
  let part = box;
  if (factorX > 1 || factorY > 1) {
    const near = surroundings(source, box, stepX, stepY);
    from = reduce(source, factorX, factorY, near);
    part = {
      left: (box.left - near.left) / factorX,
      top: (box.top - near.top) / factorY,
      right: (box.right - near.left) / factorX,
      bottom: (box.bottom - near.top) / factorY,
    };
  }
  const across = weights(from.width, part.left, part.right, width);
  const down = weights(from.height, part.top, part.bottom, height);
  const shorter = from.height - height;
  return tallFirst && shorter > 0 && shorter > 2 * (from.width - width)
    ? horizontal(vertical(from, down, height), across, width)
    : vertical(horizontal(from, across, width, down), down, height);
}

export function whole(picture: Pixels): Box {
  return { left: 0, top: 0, right: picture.width, bottom: picture.height };
}

function same(a: Box, b: Box): boolean {
  return a.left === b.left && a.top === b.top && a.right === b.right && a.bottom === b.bottom;
}

/** The whole pixels that the filter may touch around `box`. */
function surroundings(source: Pixels, box: Box, stepX: number, stepY: number): Box {
  const reachX = (TRIANGLE_SUPPORT - 0.5) * stepX;
  const reachY = (TRIANGLE_SUPPORT - 0.5) * stepY;
  return {
    left: Math.max(0, Math.trunc(box.left - reachX)),
    top: Math.max(0, Math.trunc(box.top - reachY)),
    right: Math.min(source.width, Math.ceil(box.right + reachX)),
    bottom: Math.min(source.height, Math.ceil(box.bottom + reachY)),
  };
}

/** Means of cells of factorX x factorY pixels; cells at the right and bottom edge may be smaller. */
export function reduce(source: Pixels, factorX: number, factorY: number, box: Box): Pixels {
  const width = Math.ceil((box.right - box.left) / factorX);
  const height = Math.ceil((box.bottom - box.top) / factorY);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const top = box.top + y * factorY;
    const bottom = Math.min(box.bottom, top + factorY);
    for (let x = 0; x < width; x++) {
      const left = box.left + x * factorX;
      const right = Math.min(box.right, left + factorX);
      const count = (right - left) * (bottom - top);
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let row = top; row < bottom; row++) {
        let at = (row * source.width + left) * 3;
        for (let column = left; column < right; column++, at += 3) {
          red += source.data[at]!;
          green += source.data[at + 1]!;
          blue += source.data[at + 2]!;
        }
      }
      const to = (y * width + x) * 3;
      data[to] = mean(red, count);
      data[to + 1] = mean(green, count);
      data[to + 2] = mean(blue, count);
    }
  }
  return { width, height, data };
}

/** Division by a rounded reciprocal in 32 bits, as Pillow does it: a true division would differ by one now and then. */
function mean(sum: number, count: number): number {
  const reciprocal = Math.floor(Math.fround(4294967296 / Math.fround(256 * count)));
  return Math.floor(((sum + (count >> 1)) * reciprocal) / 16777216);
}

/** Which pixels make each pixel of the result, and with which fixed-point weights. */
interface Weights {
  first: Int32Array;
  count: Int32Array;
  values: Int32Array;
  stride: number;
}

function weights(size: number, low: number, high: number, wanted: number): Weights {
  const scale = (high - low) / wanted;
  const stretch = Math.max(1, scale);
  const support = TRIANGLE_SUPPORT * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(wanted);
  const count = new Int32Array(wanted);
  const values = new Int32Array(wanted * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < wanted; i++) {
    const centre = low + (i + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(size, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let k = 0; k < end - begin; k++) {
      const weight = Math.max(0, 1 - Math.abs((k + begin - centre + 0.5) * (1 / stretch)));
      exact[k] = weight;
      sum += weight;
    }
    for (let k = 0; k < end - begin; k++) {
      const weight = (sum === 0 ? exact[k]! : exact[k]! / sum) * (1 << FRACTION_BITS);
      values[i * stride + k] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    first[i] = begin;
    count[i] = end - begin;
  }
  return { first, count, values, stride };
}

/** Only rows that `down` will read are made; the others stay black. */
function horizontal(source: Pixels, across: Weights, width: number, down?: Weights): Pixels {
  const begin = down ? down.first[0]! : 0;
  const end = down ? down.first.at(-1)! + down.count.at(-1)! : source.height;
  const data = new Uint8Array(width * source.height * 3);
  for (let y = begin; y < end; y++) {
    for (let x = 0; x < width; x++) {
      let at = (y * source.width + across.first[x]!) * 3;
      const from = x * across.stride;
      const until = from + across.count[x]!;
      let red = 1 << (FRACTION_BITS - 1);
      let green = red;
      let blue = red;
      for (let k = from; k < until; k++, at += 3) {
        const weight = across.values[k]!;
        red += source.data[at]! * weight;
        green += source.data[at + 1]! * weight;
        blue += source.data[at + 2]! * weight;
      }
      const to = (y * width + x) * 3;
      data[to] = clip(red);
      data[to + 1] = clip(green);
      data[to + 2] = clip(blue);
    }
  }
  return { width, height: source.height, data };
}

function vertical(source: Pixels, down: Weights, height: number): Pixels {
  const row = source.width * 3;
  const data = new Uint8Array(height * row);
  for (let y = 0; y < height; y++) {
    const from = y * down.stride;
    const until = from + down.count[y]!;
    for (let x = 0; x < row; x++) {
      let at = down.first[y]! * row + x;
      let sum = 1 << (FRACTION_BITS - 1);
      for (let k = from; k < until; k++, at += row) sum += source.data[at]! * down.values[k]!;
      data[y * row + x] = clip(sum);
    }
  }
  return { width: source.width, height, data };
}

function clip(sum: number): number {
  const value = sum >> FRACTION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
