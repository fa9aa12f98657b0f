// The camera's picture with a choice of cameras, or the reason why there is none. Tells its parent the running <video>.

import { useEffect, useRef, useState } from "react";
import { Select } from "@/design/fields";
import { Loading, Notice } from "@/design/surfaces";
import { Button } from "@/design/button";
import { t } from "@/words";
import { closeStream, listDevices, openDevice, refusal } from "@/recording";
import "./stage.css";

export function Camera({ onVideo }: { onVideo: (video: HTMLVideoElement | null) => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const tell = useRef(onVideo);
  tell.current = onVideo;
  const [device, setDevice] = useState("");
  const [all, setAll] = useState<MediaDeviceInfo[]>([]);
  const [state, setState] = useState<"opening" | "live" | string>("opening");
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let gone = false;
    let stream: MediaStream | undefined;
    setState("opening");
    void (async () => {
      try {
        const opened = await openDevice("videoinput", device);
        if (gone) return closeStream(opened);
        stream = opened;
        opened.getVideoTracks()[0]?.addEventListener("ended", () => gone || setState("recording.refused_gone"));
        const element = video.current;
        if (!element) return;
        element.srcObject = opened;
        await element.play();
        if (gone) return;
        setAll(await listDevices("videoinput"));
        setState("live");
        tell.current(element);
      } catch (error) {
        if (!gone) setState(refusal(error));
      }
    })();
    return () => {
      gone = true;
      tell.current(null);
      if (stream) closeStream(stream);
    };
  }, [device, attempt]);

  const live = state === "live";
  return (
    <div className="try-stage">
      <div className="try-stage-picture" hidden={!live && state !== "opening"}>
        <video ref={video} muted playsInline aria-label={t("try.camera_picture")} />
        {state === "opening" && <Loading label={t("try.camera_opening")} />}
      </div>
      {!live && state !== "opening" && <Refused reason={state} device="camera" onAgain={() => setAttempt(attempt + 1)} />}
      {live && <Picker label={t("recording.camera")} all={all} value={device} onChange={setDevice} />}
    </div>
  );
}

export function Picker({ label, all, value, onChange }: { label: string; all: MediaDeviceInfo[]; value: string; onChange: (device: string) => void }) {
  if (all.length < 2) return null;
  return (
    <Select label={label} value={value} onChange={(event) => onChange(event.target.value)}>
      <option value="">{t("try.device_default")}</option>
      {all.map((device, i) => (
        <option key={device.deviceId} value={device.deviceId}>
          {device.label || t("recording.device", { n: i + 1 })}
        </option>
      ))}
    </Select>
  );
}

export function Refused({ reason, device, onAgain }: { reason: string; device: "camera" | "microphone"; onAgain: () => void }) {
  return (
    <Notice tone="warning" title={t(device === "camera" ? "recording.no_camera" : "recording.no_microphone")} action={<Button onClick={onAgain}>{t("recording.again")}</Button>}>
      <p>{t(reason)}</p>
    </Notice>
  );
}
