// Plays one sound at a time, and only when asked to.

import { useEffect, useState } from "react";
import { Button, IconButton, toastProblem } from "@/design";
import { t } from "@/words";

let player: HTMLAudioElement | null = null;
const listeners = new Set<(src: string | null) => void>();
const tell = (src: string | null) => listeners.forEach((listener) => listener(src));

function stop(): void {
  player?.pause();
  player = null;
  tell(null);
}

function play(src: string): void {
  stop();
  const sound = new Audio(src);
  player = sound;
  sound.onended = () => player === sound && stop();
  tell(src);
  sound.play().catch((error: unknown) => {
    if (player !== sound) return;
    stop();
    toastProblem(error);
  });
}

export function PlayButton({ src, name, text }: { src: string; name: string; text?: string }) {
  const [playing, setPlaying] = useState(false);
  useEffect(() => {
    const hear = (now: string | null) => setPlaying(now === src);
    listeners.add(hear);
    return () => {
      listeners.delete(hear);
      if (player && player.src === new URL(src, location.href).href) stop();
    };
  }, [src]);
  const icon = playing ? "stop" : "play";
  const label = t(playing ? "understand.sample_stop" : "understand.sample_play", { name });
  const turn = () => (playing ? stop() : play(src));
  return text ? (
    <Button small icon={icon} aria-label={`${text}: ${label}`} onClick={turn}>
      {text}
    </Button>
  ) : (
    <IconButton icon={icon} size={18} className="understand-play" label={label} onClick={turn} />
  );
}
