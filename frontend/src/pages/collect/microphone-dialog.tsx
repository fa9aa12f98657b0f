// Records sounds into a class. The level shows before the first take that something is heard; silence is not kept.

import { useEffect, useRef, useState } from "react";
import { Loading, Select } from "@/design";
import { level, listDevices, Microphone, refusal, wavFile } from "@/recording";
import { duration, number, t } from "@/words";
import { HoldButton } from "./hold-button";
import { DevicePicker, RecorderDialog, Refused } from "./recorder-dialog";
import { useRecorder } from "./take";

const LENGTHS = [0.5, 1, 2, 3, 5, 10];
const SILENT = 1e-4; // of full scale: nothing but the noise of a switched-off input
const LONGEST_S = 300;

function LevelMeter({ bar, heard }: { bar: React.RefObject<HTMLDivElement | null>; heard: boolean | null }) {
  return (
    <div className="level-meter">
      <div className="level-meter-track" role="img" aria-label={t("collect.level")}>
        <div ref={bar} className="level-meter-bar" />
      </div>
      <p className="small muted" role="status">
        {heard === null ? "" : t(heard ? "collect.heard" : "collect.not_heard")}
      </p>
    </div>
  );
}

export function MicrophoneDialog({ p, label, onClose, onUpload }: { p: string; label: string; onClose: () => void; onUpload: () => void }) {
  const recorder = useRecorder(p, label, "microphone");
  const [device, setDevice] = useState("");
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  const [attempt, setAttempt] = useState(0);
  const [reason, setReason] = useState("");
  const [microphone, setMicrophone] = useState<Microphone | null>(null);
  const [seconds, setSeconds] = useState(() => Number(localStorage.getItem("handful.clip") ?? 1) || 1);
  const [recording, setRecording] = useState(false);
  const [length, setLength] = useState(0);
  const [problem, setProblem] = useState(""); // with the last take
  const [heard, setHeard] = useState<boolean | null>(null);
  const bar = useRef<HTMLDivElement>(null);
  const pieces = useRef<Float32Array[] | null>(null);

  useEffect(() => {
    let gone = false;
    let opened: Microphone | undefined;
    setReason("");
    Microphone.open(device).then(
      async (found) => {
        if (gone) return found.close();
        opened = found;
        let last = 0;
        let silence = performance.now();
        found.onPiece = (piece) => {
          pieces.current?.push(piece.slice());
          const loud = level(piece);
          const now = performance.now();
          if (loud > 0.15) silence = now;
          if (now - last < 40) return;
          last = now;
          if (bar.current) bar.current.style.transform = `scaleX(${Math.min(1, loud)})`;
          setHeard(now - silence < 2000);
          if (pieces.current) setLength(pieces.current.reduce((sum, one) => sum + one.length, 0) / found.rateHz);
        };
        found.stream.getAudioTracks()[0]?.addEventListener("ended", () => !gone && setReason("recording.refused_gone"));
        setMicrophone(found);
        const all = await listDevices("audioinput");
        if (!gone) setDevices(all);
      },
      (error: unknown) => !gone && setReason(refusal(error)),
    );
    return () => {
      gone = true;
      pieces.current = null;
      setRecording(false);
      setMicrophone(null);
      opened?.close();
    };
  }, [device, attempt]);

  const start = (): void => {
    if (!microphone || pieces.current) return;
    pieces.current = [];
    setLength(0);
    setProblem("");
    setRecording(true);
    recorder.begin(microphone.name);
  };
  const stop = (): void => {
    const kept = pieces.current;
    pieces.current = null;
    setRecording(false);
    if (!kept || !microphone) return;
    const wave = new Float32Array(kept.reduce((sum, one) => sum + one.length, 0));
    kept.reduce((at, one) => (wave.set(one, at), at + one.length), 0);
    if (wave.length < microphone.rateHz * 0.1) return setProblem("collect.too_short");
    if (!wave.some((value) => Math.abs(value) > SILENT)) return setProblem("collect.silent");
    recorder.add(wavFile(wave, microphone.rateHz), seconds);
  };
  useEffect(() => {
    if (recording && length > LONGEST_S) stop();
  });

  return (
    <RecorderDialog p={p} label={label} recorder={recorder} onClose={onClose}>
      {reason ? (
        <Refused reason={reason} kind="microphone" onAgain={() => setAttempt(attempt + 1)} onUpload={onUpload} />
      ) : !microphone ? (
        <Loading label={t("collect.opening")} />
      ) : (
        <>
          <div className="recorder-fields">
            <DevicePicker label={t("recording.microphone")} devices={devices} value={device} onChange={setDevice} />
            <Select
              label={t("collect.clip")}
              value={seconds}
              onChange={(event) => {
                setSeconds(Number(event.target.value));
                localStorage.setItem("handful.clip", event.target.value);
              }}
            >
              {LENGTHS.map((one) => (
                <option key={one} value={one}>
                  {duration(one)}
                </option>
              ))}
            </Select>
          </div>
          <LevelMeter bar={bar} heard={heard} />
          <HoldButton recording={recording} disabled={false} onStart={start} onStop={stop} />
          <p className="field-fault" role="status">
            {problem && t(problem)}
          </p>
          <p className="small muted number">{recording ? t("collect.length_now", { seconds: number(length, 1), clips: Math.max(1, Math.round(length / seconds)) }) : t("collect.hold_sound")}</p>
        </>
      )}
    </RecorderDialog>
  );
}
