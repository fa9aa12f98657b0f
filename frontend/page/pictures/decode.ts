// Any picture file, or a frame of the camera, to the pixels a model takes: what features/_decode_image.py does in Python.
// The browser decodes; everything after it is done here. Knows nothing of models.

import { Refusal } from "../refusal";
import { draftScale, shrink } from "./draft";
import { ascii, turn, withoutExif } from "./orientation";
import { type Pixels, resize } from "./resize";

/** Side in pixels, how it is reached, and in which order, see `resize`. */
export interface PictureSettings {
  size: number;
  fit: "crop" | "stretch";
  tallFirst: boolean;
}

const MAX_PIXELS = 50_000_000;
const MIN_SIDE = 2;

/** A file's content as uint8 RGB [size, size, 3]. Throws `Refusal`. */
export async function decode(content: Uint8Array<ArrayBuffer>, settings: PictureSettings): Promise<Uint8Array> {
  if (!content.length) throw new Refusal("empty");
  const { orientation, bytes } = withoutExif(content);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Refusal("picture", { kind: kindOf(bytes) });
  }
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS || Math.min(width, height) < MIN_SIDE) {
    bitmap.close();
    throw new Refusal("pixels", { width, height });
  }
  const jpeg = bytes[0] === 0xff && bytes[1] === 0xd8;
  const scale = jpeg ? draftScale(width, height, shorterSide(settings)) : 1;
  const picture = shrink(onWhite(bitmap), scale);
  return fitted(turn(picture, orientation), settings);
}

/** A camera's frame in the same way. Closes it. */
export function decodeFrame(frame: ImageBitmap, settings: PictureSettings): Uint8Array {
  return fitted(onWhite(frame), settings);
}

function shorterSide({ size, fit }: PictureSettings): number {
  return fit === "stretch" ? size : Math.round((size * 256) / 224);
}

function fitted(picture: Pixels, settings: PictureSettings): Uint8Array {
  const { size, fit, tallFirst } = settings;
  if (fit === "stretch") return resize(picture, size, size, tallFirst).data;
  const scale = shorterSide(settings) / Math.min(picture.width, picture.height);
  const edge = size / scale;
  const left = (picture.width - edge) / 2;
  const top = (picture.height - edge) / 2;
  return resize(picture, size, size, tallFirst, { left, top, right: left + edge, bottom: top + edge }).data;
}

function onWhite(bitmap: ImageBitmap): Pixels {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new Refusal("pixels", { width, height });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    data[to] = rgba[from]!;
    data[to + 1] = rgba[from + 1]!;
    data[to + 2] = rgba[from + 2]!;
  }
  return { width, height, data };
}

function kindOf(bytes: Uint8Array): string {
  if (ascii(bytes, 4, 4) === "ftyp") return "HEIC / AVIF";
  if (ascii(bytes, 0, 2) === "II" || ascii(bytes, 0, 2) === "MM") return "TIFF";
  return "";
}
