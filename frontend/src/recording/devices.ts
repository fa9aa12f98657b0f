// Cameras and microphones: opening one, which there are, and why the browser gives none. Knows no page.

export type DeviceKind = "videoinput" | "audioinput";

/** Key of the sentence that says why a device could not be opened and what to do. */
export function refusal(error: unknown): string {
  if (!window.isSecureContext || !navigator.mediaDevices) return "recording.refused_insecure";
  const name = error instanceof Error ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "recording.refused_denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "recording.refused_none";
  if (name === "NotReadableError" || name === "AbortError") return "recording.refused_busy";
  return "recording.refused_other";
}

/** Throws what the browser throws; `refusal` knows it. */
export async function openDevice(kind: DeviceKind, device: string): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new DOMException("", "NotSupportedError");
  const chosen = device ? { deviceId: { exact: device } } : {};
  if (kind === "videoinput") {
    return navigator.mediaDevices.getUserMedia({ video: { ...chosen, width: { ideal: 1280 }, height: { ideal: 720 } } });
  }
  // As it sounds: what a browser does for telephone calls would change what a model learns.
  const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  return navigator.mediaDevices.getUserMedia({ audio: { ...chosen, ...raw } });
}

/** Those with a name: browsers tell names only after a device was opened once. */
export async function listDevices(kind: DeviceKind): Promise<MediaDeviceInfo[]> {
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter((device) => device.kind === kind && device.deviceId !== "");
}

export function closeStream(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
