// The frame of both recorders: what was recorded, and what happens with the device.

import { type ReactNode } from "react";
import { Button, Dialog, IconButton, Notice, Select } from "@/design";
import { Thumb } from "@/samples";
import { t } from "@/words";
import type { Recorder } from "./take";

export function RecorderDialog({ p, label, recorder, onClose, children }: { p: string; label: string; recorder: Recorder; onClose: () => void; children: ReactNode }) {
  const { samples, waiting } = recorder;
  return (
    <Dialog
      title={t("collect.record_into", { label })}
      size="large"
      onClose={onClose}
      actions={
        <Button look="primary" onClick={onClose}>
          {t("collect.recorded_done")}
        </Button>
      }
    >
      <div className="recorder">
        <div className="recorder-stage">{children}</div>
        <section className="recorder-list" aria-label={t("collect.recorded", { count: samples.length })}>
          <p className="row apart number">
            <strong role="status">{t("collect.recorded", { count: samples.length })}</strong>
            {waiting > 0 && <span className="small muted">{t("collect.saving", { count: waiting })}</span>}
          </p>
          {samples.length === 0 ? (
            <p className="small muted">{t("collect.recorded_none")}</p>
          ) : (
            <ul className="recorder-thumbs">
              {samples.map((sample) => (
                <li key={sample.id}>
                  <Thumb p={p} s={sample.id} size={84} alt={sample.name} />
                  <IconButton icon="close" size={14} label={t("collect.recorded_remove", { name: sample.name })} onClick={() => recorder.remove(sample.id)} />
                </li>
              ))}
            </ul>
          )}
        </section>
      </div>
    </Dialog>
  );
}

export function Refused({ reason, kind, onAgain, onUpload }: { reason: string; kind: "camera" | "microphone"; onAgain: () => void; onUpload: () => void }) {
  return (
    <Notice
      tone="warning"
      title={t(`recording.no_${kind}`)}
      action={
        <>
          <Button onClick={onUpload} icon="upload">
            {t("collect.choose_files")}
          </Button>
          <Button onClick={onAgain}>{t("recording.again")}</Button>
        </>
      }
    >
      <p>{t(reason)}</p>
    </Notice>
  );
}

export function DevicePicker({ label, devices, value, onChange }: { label: string; devices: MediaDeviceInfo[]; value: string; onChange: (device: string) => void }) {
  return (
    <Select label={label} value={value || (devices[0]?.deviceId ?? "")} onChange={(event) => onChange(event.target.value)}>
      {devices.map((device, n) => (
        <option key={device.deviceId} value={device.deviceId}>
          {device.label || t("recording.device", { n: n + 1 })}
        </option>
      ))}
    </Select>
  );
}
