// Records while it is held, by pointer or by space or Enter. A short click starts and another one stops, for hands that
// cannot hold; so does the switch beside it.

import { useEffect, useRef, type KeyboardEvent } from "react";
import { Icon } from "@/design";
import { t } from "@/words";

const CLICK_MS = 300;

export function HoldButton({ recording, disabled, onStart, onStop }: { recording: boolean; disabled: boolean; onStart: () => void; onStop: () => void }) {
  const since = useRef(0);
  const toggled = useRef(false);
  const stop = useRef(onStop);
  stop.current = onStop;

  const down = (): void => {
    if (disabled) return;
    if (recording) {
      // The second click of two.
      toggled.current = false;
      since.current = 0;
      onStop();
      return;
    }
    since.current = performance.now();
    onStart();
  };
  const up = (): void => {
    if (!since.current) return;
    toggled.current = performance.now() - since.current < CLICK_MS;
    since.current = 0;
    if (!toggled.current) onStop();
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) down();
  };

  useEffect(() => {
    const away = () => document.hidden && stop.current();
    document.addEventListener("visibilitychange", away);
    return () => document.removeEventListener("visibilitychange", away);
  }, []);

  return (
    <button
      type="button"
      className={`hold-button${recording ? " recording" : ""}`}
      aria-pressed={recording}
      disabled={disabled}
      data-autofocus
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        down();
      }}
      onPointerUp={up}
      onPointerCancel={up}
      onKeyDown={press}
      onKeyUp={(event) => {
        if (event.key !== " " && event.key !== "Enter") return;
        event.preventDefault(); // else the browser clicks as well
        up();
      }}
      onContextMenu={(event) => event.preventDefault()}
      // Assistive technology clicks without pressing.
      onClick={(event) => event.detail === 0 && (recording ? onStop() : onStart())}
    >
      <Icon name={recording ? "stop" : "record"} filled size={22} />
      <span>{t(recording ? "collect.recording" : "collect.hold")}</span>
    </button>
  );
}
