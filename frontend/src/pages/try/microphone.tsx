// What the microphone heard last, as a moving outline with a level, or the reason why there is none. Tells its parent the
// listening `Ear`.

import { useEffect, useRef, useState } from "react";
import { Loading } from "@/design/surfaces";
import { t } from "@/words";
import { Picker, Refused } from "./camera";
import { level as loudness, listDevices, refusal } from "@/recording";
import { Ear } from "./ear";
import "./stage.css";

const BARS = 96;
const NEWEST = 4096; // samples whose loudness the meter shows

export function Microphone({ seconds, onEar }: { seconds: number; onEar: (ear: Ear | null) => void }) {
  const tell = useRef(onEar);
  tell.current = onEar;
  const [device, setDevice] = useState("");
  const [all, setAll] = useState<MediaDeviceInfo[]>([]);
  const [ear, setEar] = useState<Ear | null>(null);
  const [reason, setReason] = useState("");
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let gone = false;
    let opened: Ear | undefined;
    setReason("");
    void (async () => {
      try {
        const found = await Ear.open(device, seconds);
        if (gone) return found.close();
        opened = found;
        found.stream.getAudioTracks()[0]?.addEventListener("ended", () => gone || setReason("recording.refused_gone"));
        setAll(await listDevices("audioinput"));
        setEar(found);
        tell.current(found);
      } catch (error) {
        if (!gone) setReason(refusal(error));
      }
    })();
    return () => {
      gone = true;
      tell.current(null);
      setEar(null);
      opened?.close();
    };
  }, [device, seconds, attempt]);

  return (
    <div className="try-stage">
      {reason ? (
        <Refused reason={reason} device="microphone" onAgain={() => setAttempt(attempt + 1)} />
      ) : ear ? (
        <>
          <Outline ear={ear} />
          <Picker label={t("recording.microphone")} all={all} value={device} onChange={setDevice} />
        </>
      ) : (
        <div className="try-stage-picture">
          <Loading label={t("try.microphone_opening")} />
        </div>
      )}
    </div>
  );
}

function Outline({ ear }: { ear: Ear }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [level, setLevel] = useState(0);

  useEffect(() => {
    let frame = 0;
    let counted = 0;
    function draw(): void {
      frame = requestAnimationFrame(draw);
      if (++counted % 3) return; // twenty times a second is smooth enough
      const wave = ear.last();
      if (canvas.current) paint(canvas.current, wave, ear.filled);
      setLevel(wave.length ? Math.min(1, loudness(wave.subarray(-NEWEST))) : 0);
    }
    draw();
    return () => cancelAnimationFrame(frame);
  }, [ear]);

  return (
    <div className="try-stage-sound">
      <canvas ref={canvas} width={BARS * 6} height={160} role="img" aria-label={t("try.heard", { seconds: ear.seconds })} />
      <div className="try-level" role="meter" aria-label={t("try.level")} aria-valuemin={0} aria-valuemax={1} aria-valuenow={Math.round(level * 20) / 20}>
        <div className="try-level-bar" style={{ width: `${level * 100}%` }} />
      </div>
    </div>
  );
}

/** The newest on the right. */
function paint(canvas: HTMLCanvasElement, wave: Float32Array, filled: number): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  context.fillStyle = getComputedStyle(canvas).color;
  const shown = Math.round(BARS * filled);
  for (let bar = 0; bar < shown; bar++) {
    const from = Math.floor((bar / shown) * wave.length);
    const until = Math.floor(((bar + 1) / shown) * wave.length);
    let peak = 0;
    for (let i = from; i < until; i++) peak = Math.max(peak, Math.abs(wave[i]!));
    const tall = Math.max(2, Math.sqrt(Math.min(1, peak)) * height);
    context.fillRect(width - (shown - bar) * 6 + 1, (height - tall) / 2, 4, tall);
  }
}
