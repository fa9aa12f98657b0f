// Takes pictures into a class: eight a second while the button is held.

import { useEffect, useRef, useState } from "react";
import { Loading } from "@/design";
import { closeStream, listDevices, openDevice, refusal } from "@/recording";
import { t } from "@/words";
import { HoldButton } from "./hold-button";
import { DevicePicker, RecorderDialog, Refused } from "./recorder-dialog";
import { useRecorder } from "./take";

const EVERY_MS = 125;
const LONGEST_SIDE = 640;
const MOST_WAITING = 24;

function picture(video: HTMLVideoElement): Promise<Blob | null> {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

export function CameraDialog({ p, label, onClose, onUpload }: { p: string; label: string; onClose: () => void; onUpload: () => void }) {
  const recorder = useRecorder(p, label, "webcam");
  const video = useRef<HTMLVideoElement>(null);
  const [device, setDevice] = useState("");
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  const [attempt, setAttempt] = useState(0);
  const [reason, setReason] = useState("");
  const [name, setName] = useState<string | null>(null); // of the camera that runs
  const [recording, setRecording] = useState(false);
  const { begin, add, waiting } = recorder;
  const behind = useRef(0);
  behind.current = waiting;

  useEffect(() => {
    let gone = false;
    let stream: MediaStream | undefined;
    setReason("");
    void (async () => {
      try {
        const opened = await openDevice("videoinput", device);
        if (gone) return closeStream(opened);
        stream = opened;
        const track = opened.getVideoTracks()[0];
        track?.addEventListener("ended", () => !gone && setReason("recording.refused_gone"));
        if (!video.current) return;
        video.current.srcObject = opened;
        await video.current.play();
        const all = await listDevices("videoinput");
        if (gone) return;
        setName(track?.label ?? "");
        setDevices(all);
      } catch (error) {
        if (!gone) setReason(refusal(error));
      }
    })();
    return () => {
      gone = true;
      setRecording(false);
      setName(null);
      if (stream) closeStream(stream);
    };
  }, [device, attempt]);

  useEffect(() => {
    if (!recording) return;
    const snap = () => {
      if (video.current && behind.current < MOST_WAITING) void picture(video.current).then((blob) => blob && add(blob));
    };
    snap();
    const timer = setInterval(snap, EVERY_MS);
    return () => clearInterval(timer);
  }, [recording, add]);

  const start = (): void => {
    begin(name ?? "");
    setRecording(true);
  };

  return (
    <RecorderDialog p={p} label={label} recorder={recorder} onClose={onClose}>
      {reason && <Refused reason={reason} kind="camera" onAgain={() => setAttempt(attempt + 1)} onUpload={onUpload} />}
      <div className="recorder-picture" hidden={Boolean(reason)}>
        <video ref={video} muted playsInline aria-label={t("collect.camera_picture")} />
        {name === null && <Loading label={t("collect.opening")} />}
      </div>
      {!reason && name !== null && (
        <>
          {devices.length > 1 && <DevicePicker label={t("recording.camera")} devices={devices} value={device} onChange={setDevice} />}
          <HoldButton recording={recording} disabled={false} onStart={start} onStop={() => setRecording(false)} />
          <p className="small muted">{t("collect.hold_picture")}</p>
        </>
      )}
    </RecorderDialog>
  );
}
