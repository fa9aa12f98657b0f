// A sound to see and to hear: its outline, its spectrogram with a frequency axis, a cursor that one can put anywhere.
// Played sample by sample from the decoded sound, and never unasked.

import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState, type KeyboardEvent, type MouseEvent } from "react";
import { api, keys, problemOf, take, url, type Shapes } from "@/api";
import { IconButton, Notice, token, toastProblem, useDark } from "@/design";
import { duration, number, t } from "@/words";
import "./sound-view.css";

interface Spectrogram {
  picture: string;
  lowHz: number;
  highHz: number;
  seconds: number;
}

async function fetchSpectrogram(p: string, s: string): Promise<Spectrogram> {
  const response = await fetch(url.spectrogram(p, s));
  if (!response.ok) throw await problemOf(response);
  const axis = (name: string) => Number(response.headers.get(name) ?? 0);
  return { picture: URL.createObjectURL(await response.blob()), lowHz: axis("X-Low-Hz"), highHz: axis("X-High-Hz"), seconds: axis("X-Seconds") };
}

const mel = (hz: number) => 2595 * Math.log10(1 + hz / 700);

/** Round frequencies with their places on the mel axis, 0 at the bottom to 1. */
function ticks(lowHz: number, highHz: number): { hz: number; share: number }[] {
  const share = (hz: number) => (mel(hz) - mel(lowHz)) / (mel(highHz) - mel(lowHz));
  const shown: { hz: number; share: number }[] = [];
  for (const hz of [100, 500, 1000, 2000, 4000, 8000, 16000]) {
    const at = share(hz);
    if (at > 0.05 && at < 0.95 && at - (shown.at(-1)?.share ?? -1) > 0.11) shown.push({ hz, share: at });
  }
  return shown;
}

const hertz = (hz: number) => (hz >= 1000 ? t("samples.khz", { n: number(hz / 1000, 1) }) : t("samples.hz", { n: hz }));

function drawOutline(canvas: HTMLCanvasElement, wave: Shapes["Wave"]): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const scale = devicePixelRatio;
  const width = (canvas.width = Math.round(canvas.clientWidth * scale));
  const height = (canvas.height = Math.round(canvas.clientHeight * scale));
  const peak = Math.max(0.05, ...wave.high, ...wave.low.map((value) => -value));
  context.fillStyle = token("--accent");
  const step = width / wave.low.length;
  wave.low.forEach((low, i) => {
    const top = (1 - (wave.high[i] ?? 0) / peak) * (height / 2);
    const bottom = (1 - low / peak) * (height / 2);
    context.fillRect(i * step, top, Math.max(step, 1), Math.max(bottom - top, scale));
  });
}

/** Plays from any place; tells where it is while it plays. */
function usePlayer(p: string, s: string, rateHz: number) {
  const context = useRef<AudioContext>(null);
  const sound = useRef<AudioBuffer>(null);
  const source = useRef<AudioBufferSourceNode>(null);
  const [playing, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const frame = useRef(0);

  const halt = useCallback(() => {
    cancelAnimationFrame(frame.current);
    if (source.current) {
      source.current.onended = null;
      source.current.stop();
      source.current = null;
    }
    setPlaying(false);
  }, []);

  const play = useCallback(
    async (from: number) => {
      try {
        context.current ??= new AudioContext({ sampleRate: Math.min(96_000, Math.max(8_000, rateHz)) });
        if (!sound.current) {
          const response = await fetch(url.preview(p, s));
          if (!response.ok) throw await problemOf(response);
          sound.current = await context.current.decodeAudioData(await response.arrayBuffer());
        }
        await context.current.resume();
        halt();
        const begin = from >= sound.current.duration - 0.005 ? 0 : from;
        const node = context.current.createBufferSource();
        node.buffer = sound.current;
        node.connect(context.current.destination);
        const started = context.current.currentTime;
        node.start(0, begin);
        source.current = node;
        setPlaying(true);
        const total = sound.current.duration;
        node.onended = () => {
          halt();
          setAt(total);
        };
        const follow = () => {
          setAt(Math.min(total, begin + (context.current?.currentTime ?? 0) - started));
          frame.current = requestAnimationFrame(follow);
        };
        follow();
      } catch (error) {
        toastProblem(error);
      }
    },
    [p, s, rateHz, halt],
  );

  useEffect(() => {
    sound.current = null;
    setAt(0);
    return () => {
      halt();
      void context.current?.close();
      context.current = null;
    };
  }, [p, s, halt]);

  const seek = useCallback(
    (to: number) => {
      setAt(to);
      if (source.current) void play(to);
    },
    [play],
  );
  return { playing, at, play, halt, seek };
}

export function SoundView({ p, sample }: { p: string; sample: Shapes["Sample"] }) {
  const wave = useQuery({
    queryKey: keys.project(p, "wave", sample.id),
    queryFn: () => take(api.GET("/api/projects/{p}/samples/{s}/wave", { params: { path: { p, s: sample.id } } })),
    staleTime: Infinity,
  });
  const [picture, setPicture] = useState<Spectrogram | null>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = useDark();
  const seconds = wave.data?.seconds ?? sample.seconds ?? 0;
  const { playing, at, play, halt, seek } = usePlayer(p, sample.id, wave.data?.rate_hz ?? sample.rate_hz ?? 48_000);

  useEffect(() => {
    let gone = false;
    let made: Spectrogram | undefined;
    fetchSpectrogram(p, sample.id).then((found) => {
      made = found;
      if (gone) URL.revokeObjectURL(found.picture);
      else setPicture(found);
    }, toastProblem);
    return () => {
      gone = true;
      setPicture(null);
      if (made) URL.revokeObjectURL(made.picture);
    };
  }, [p, sample.id]);

  useEffect(() => {
    const element = canvas.current;
    const outline = wave.data;
    if (!element || !outline) return;
    const draw = () => drawOutline(element, outline);
    const observer = new ResizeObserver(draw);
    observer.observe(element);
    return () => observer.disconnect();
  }, [wave.data, dark]);

  const click = (event: MouseEvent<HTMLElement>) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    seek(Math.min(1, Math.max(0, (event.clientX - left) / width)) * seconds);
  };
  const press = (event: KeyboardEvent) => {
    if (event.key !== " " || event.target instanceof HTMLButtonElement) return;
    event.preventDefault();
    if (playing) halt();
    else void play(at);
  };

  if (wave.error) return <Notice tone="error" title={wave.error.message} />;
  return (
    <div className="sound-view" onKeyDown={press}>
      <div className="sound-view-plot">
        <div className="sound-view-axis small muted number" aria-hidden="true">
          {picture && ticks(picture.lowHz, picture.highHz).map(({ hz, share }) => (
            <span key={hz} style={{ bottom: `${share * 100}%` }}>
              {hertz(hz)}
            </span>
          ))}
        </div>
        <div className="sound-view-layers" onClick={click}>
          <canvas ref={canvas} className="sound-view-wave" role="img" aria-label={t("samples.outline", { time: duration(seconds) })} />
          <div className="sound-view-spectrogram">
            {picture && (
              <img
                src={picture.picture}
                alt={t("samples.spectrogram", { low: hertz(Math.round(picture.lowHz)), high: hertz(Math.round(picture.highHz)) })}
                style={{ width: `${seconds > 0 ? (100 * Math.min(seconds, picture.seconds)) / seconds : 100}%` }}
              />
            )}
          </div>
          <div className="sound-view-cursor" style={{ left: `${seconds > 0 ? (at / seconds) * 100 : 0}%` }} />
        </div>
      </div>
      <div className="sound-view-controls">
        <IconButton icon={playing ? "pause" : "play"} label={t(playing ? "samples.pause" : "samples.play")} onClick={() => (playing ? halt() : void play(at))} />
        <input
          type="range"
          min={0}
          max={seconds}
          step={Math.max(0.001, seconds / 200)}
          value={at}
          aria-label={t("samples.position")}
          aria-valuetext={t("samples.position_of", { at: number(at, 2), seconds: number(seconds, 2) })}
          onChange={(event) => seek(Number(event.target.value))}
        />
        <span className="number small">{t("samples.position_of", { at: number(at, 2), seconds: number(seconds, 2) })}</span>
      </div>
    </div>
  );
}
