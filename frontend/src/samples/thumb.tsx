// A sample small: a picture, or the spectrogram of a sound. Words about it stand elsewhere.

import { url } from "@/api";
import "./thumb.css";

export function Thumb({ p, s, size, alt = "" }: { p: string; s: string; size: number; alt?: string }) {
  return <img className="thumb" src={url.thumb(p, s)} alt={alt} width={size} height={size} loading="eager" decoding="async" draggable={false} />;
}
