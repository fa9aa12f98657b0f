// A window over the page: the platform's own <dialog>, which keeps the focus inside and gives it back.

import { useEffect, useId, useLayoutEffect, useRef, type ReactNode } from "react";
import { t } from "@/words";
import { useBack } from "./back";
import { Button, IconButton } from "./button";
import { hostToasts } from "./toast";
import "./dialog.css";

interface DialogProps {
  title: ReactNode;
  onClose: () => void;
  children: ReactNode;
  /** Buttons at the foot, the primary one last. */
  actions?: ReactNode;
  size?: "small" | "medium" | "large" | "full";
}

/** Open as long as it is rendered. */
export function Dialog({ title, onClose, children, actions, size = "medium" }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const pressed = useRef<EventTarget>(null);
  const id = useId();
  useBack(onClose);

  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog?.showModal();
    dialog?.querySelector<HTMLElement>("[data-autofocus]:not(:disabled)")?.focus(); // showModal goes to the first button
    hostToasts();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);

  useLayoutEffect(() => {
    const dialog = element.current;
    return () => hostToasts(dialog ?? undefined); // while it is still in the document
  }, []);

  return (
    <dialog
      ref={element}
      className={`dialog size-${size}`}
      aria-labelledby={id}
      onCancel={(event) => {
        if (event.target !== element.current) return;
        event.preventDefault();
        onClose();
      }}
      onPointerDown={(event) => (pressed.current = event.target)}
      onClick={(event) => event.target === element.current && pressed.current === element.current && onClose()}
    >
      <div className="dialog-frame">
        <header className="dialog-head">
          <h2 id={id}>{title}</h2>
          <IconButton icon="close" label={t("shell.close")} onClick={onClose} />
        </header>
        <div className="dialog-body">{children}</div>
        {actions && <footer className="dialog-foot">{actions}</footer>}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  children: ReactNode;
  action: string;
  danger?: boolean;
  busy?: boolean;
  onConfirm: () => void;
  onClose: () => void;
}

/** For what cannot be undone; everything else just happens and offers to undo. */
export function Confirm({ title, children, action, danger, busy, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog
      title={title}
      onClose={onClose}
      size="small"
      actions={
        <>
          <Button onClick={onClose}>{t("shell.cancel")}</Button>
          <Button look={danger ? "danger" : "primary"} busy={busy} onClick={onConfirm}>
            {action}
          </Button>
        </>
      }
    >
      {children}
    </Dialog>
  );
}
