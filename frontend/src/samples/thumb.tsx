// A sample small: a picture, or the spectrogram of a sound. Words about it stand elsewhere.

import { useThumbnail } from "./thumbnails";
import "./thumb.css";

// Of a BMP with 4 x 4 pixels of 24 bits, the first row on top: its 54 bytes end where a character of base64 ends.
const HEAD = btoa(String.fromCharCode(66, 77, 102, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 4, 0, 0, 0, 252, 255, 255, 255, 1, 0, 24, ...Array<number>(25).fill(0)));

/** Nobody waits for what went by. */
const forgotten = (img: HTMLImageElement) => () => {
  if (!img.complete) img.removeAttribute("src");
};

interface ThumbProps {
  p: string;
  s: string;
  size: number;
  alt?: string;
  /** The few pixels that a list gives with a sample, shown until the picture is here. */
  glimpse?: string | undefined;
}

export function Thumb({ p, s, size, alt = "", glimpse }: ThumbProps) {
  return (
    <img
      ref={forgotten}
      className="thumb"
      src={useThumbnail(p, s)}
      alt={alt}
      width={size}
      height={size}
      decoding="async"
      draggable={false}
      style={glimpse ? { backgroundImage: `url(data:image/bmp;base64,${HEAD}${glimpse})` } : undefined}
    />
  );
}
