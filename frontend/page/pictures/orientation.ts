// Which way up a picture is, as its EXIF says, and the same file without EXIF: browsers disagree about when they turn a
// picture, so they never get to see that it should be. Knows the containers JPEG, PNG and WebP, and pixels.

import type { Pixels } from "./resize";

export interface Upright {
  /** 1 to 8, as EXIF counts; 1 is upright. */
  orientation: number;
  /** The file without its EXIF. */
  bytes: Uint8Array<ArrayBuffer>;
}

export function withoutExif(bytes: Uint8Array<ArrayBuffer>): Upright {
  const parts = exifParts(bytes);
  if (!parts.length) return { orientation: 1, bytes };
  const [payload] = parts[0]!;
  const orientation = read(bytes.subarray(payload));
  const kept: Uint8Array[] = [];
  let at = 0;
  for (const [, begin, end] of parts) {
    kept.push(bytes.subarray(at, begin));
    at = end;
  }
  kept.push(bytes.subarray(at));
  const result = new Uint8Array(kept.reduce((sum, part) => sum + part.length, 0));
  let to = 0;
  for (const part of kept) {
    result.set(part, to);
    to += part.length;
  }
  if (ascii(result, 0, 4) === "RIFF") view(result).setUint32(4, result.length - 8, true);
  return { orientation, bytes: result };
}

/** [where the TIFF header is, where the part begins, where it ends] of each EXIF part. */
function exifParts(bytes: Uint8Array): [number, number, number][] {
  const found: [number, number, number][] = [];
  const data = view(bytes);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    let at = 2;
    while (at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda) {
      const end = at + 2 + data.getUint16(at + 2);
      if (bytes[at + 1] === 0xe1 && ascii(bytes, at + 4, 4) === "Exif") found.push([at + 10, at, end]);
      at = end;
    }
  } else if (ascii(bytes, 1, 3) === "PNG") {
    for (let at = 8; at + 12 <= bytes.length; ) {
      const end = at + 12 + data.getUint32(at);
      if (ascii(bytes, at + 4, 4) === "eXIf") found.push([at + 8, at, end]);
      at = end;
    }
  } else if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 4) === "WEBP") {
    for (let at = 12; at + 8 <= bytes.length; ) {
      const size = data.getUint32(at + 4, true);
      const end = at + 8 + size + (size & 1);
      const payload = ascii(bytes, at + 8, 4) === "Exif" ? at + 14 : at + 8;
      if (ascii(bytes, at, 4) === "EXIF") found.push([payload, at, end]);
      at = end;
    }
  }
  return found.filter(([payload, begin, end]) => begin < payload && payload < end && end <= bytes.length);
}

/** The orientation tag (0x0112) of a TIFF header. */
function read(tiff: Uint8Array): number {
  const data = view(tiff);
  const little = ascii(tiff, 0, 2) === "II";
  try {
    const directory = data.getUint32(4, little);
    const entries = data.getUint16(directory, little);
    for (let i = 0; i < entries; i++) {
      const at = directory + 2 + 12 * i;
      if (data.getUint16(at, little) === 0x0112) {
        const value = data.getUint16(at + 8, little);
        return value >= 1 && value <= 8 ? value : 1;
      }
    }
  } catch {
    // A directory that points outside: metadata decides nothing then.
  }
  return 1;
}

/** The picture as it is meant to be seen. */
export function turn(picture: Pixels, orientation: number): Pixels {
  if (orientation === 1) return picture;
  const { width, height, data } = picture;
  const lying = orientation >= 5;
  const [outWidth, outHeight] = lying ? [height, width] : [width, height];
  const mirrorX = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const mirrorY = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  const out = new Uint8Array(data.length);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      const [u, v] = lying ? [y, x] : [x, y];
      const fromX = mirrorX ? width - 1 - u : u;
      const fromY = mirrorY ? height - 1 - v : v;
      const from = (fromY * width + fromX) * 3;
      const to = (y * outWidth + x) * 3;
      out[to] = data[from]!;
      out[to + 1] = data[from + 1]!;
      out[to + 2] = data[from + 2]!;
    }
  }
  return { width: outWidth, height: outHeight, data: out };
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function ascii(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}
