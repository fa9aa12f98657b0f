// Short messages in a corner, said aloud by screen readers. Refusals stay until they are read.

import { useEffect, useRef, useSyncExternalStore } from "react";
import { Problem } from "@/api/client";
import { t } from "@/words";
import { Button, IconButton } from "./button";
import { Icon } from "./icons";
import "./toast.css";

interface Action {
  label: string;
  run: () => void;
}

interface Message {
  id: number;
  words: string;
  hint: string;
  bad: boolean;
  action?: Action | undefined;
}

let messages: readonly Message[] = [];
let last = 0;
const listeners = new Set<() => void>();

function change(next: readonly Message[]): void {
  messages = next;
  for (const tell of listeners) tell();
}

const dismiss = (id: number) => change(messages.filter((message) => message.id !== id));

function say(message: Omit<Message, "id">): void {
  const others = messages.filter((other) => other.words !== message.words);
  // What was done last is taken back first: an older message must not offer to.
  const older = message.bad ? others : others.map((other) => ({ ...other, action: undefined }));
  change([...older.slice(-2), { ...message, id: ++last }]);
}

/** Something happened; `action` is what takes it back. */
export function toast(words: string, action?: Action): void {
  say({ words, hint: "", bad: false, action });
}

/** A refusal, with what to do about it. Whatever was thrown will do. */
export function toastProblem(error: unknown): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  const words = error instanceof Problem && error.status === 0 ? t("shell.unreachable") : error instanceof Error ? error.message : String(error);
  say({ words, hint: error instanceof Problem ? error.hint : "", bad: true });
}

function Toast({ message }: { message: Message }) {
  const hovered = useRef(false);
  useEffect(() => {
    if (message.bad) return;
    const timer = setInterval(() => hovered.current || dismiss(message.id), message.action ? 8_000 : 5_000);
    return () => clearInterval(timer);
  }, [message]);

  return (
    <div
      className={`toast${message.bad ? " bad" : ""}`}
      onPointerEnter={() => (hovered.current = true)}
      onPointerLeave={() => (hovered.current = false)}
      onFocus={() => (hovered.current = true)}
      onBlur={() => (hovered.current = false)}
    >
      <Icon name={message.bad ? "error" : "check"} />
      <div className="toast-words">
        <p>{message.words}</p>
        {message.hint && <p className="small">{message.hint}</p>}
      </div>
      {message.action && (
        <Button
          small
          look="quiet"
          onClick={() => {
            dismiss(message.id);
            message.action?.run();
          }}
        >
          {message.action.label}
        </Button>
      )}
      <IconButton icon="close" size={16} label={t("shell.close")} onClick={() => dismiss(message.id)} />
    </div>
  );
}

/**
 * Puts the region into the dialog that opened last, or back: everything outside a modal dialog is inert, and an undo
 * button that cannot be pressed is none. Called by dialogs when they open and before they go.
 */
export function hostToasts(leaving?: HTMLDialogElement): void {
  const home = document.querySelector(".toasts-home");
  const region = document.querySelector<HTMLElement>(".toasts");
  if (!home || !region) return;
  const open = [...document.querySelectorAll<HTMLDialogElement>("dialog[open]")].filter((dialog) => dialog !== leaving);
  (open.at(-1) ?? home).append(region);
  if (messages.length > 0) region.showPopover();
}

/** Where they appear; rendered once, always there, so that screen readers know it. */
export function Toasts() {
  const shown = useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => messages,
  );
  const region = useRef<HTMLDivElement>(null);

  useEffect(() => {
    // Shown anew, it lies above dialogs that were opened in between.
    const element = region.current;
    if (element?.matches(":popover-open")) element.hidePopover();
    if (shown.length > 0) element?.showPopover();
  }, [shown]);

  return (
    <div className="toasts-home">
      <div ref={region} popover="manual" className="toasts">
        <div role="status">{shown.filter((message) => !message.bad).map((message) => <Toast key={message.id} message={message} />)}</div>
        <div role="alert">{shown.filter((message) => message.bad).map((message) => <Toast key={message.id} message={message} />)}</div>
      </div>
    </div>
  );
}
