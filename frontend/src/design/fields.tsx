// Inputs with a label, a hint and a fault. A fault is text, tied to its input, and never colour alone.

import { useId, type ComponentProps, type ReactNode } from "react";
import { t } from "@/words";
import "./fields.css";

/** Why a name cannot be; null: it can. Cutting it off would go unseen. */
export function tooLong(name: string, most: number): string | null {
  const { length } = [...name.trim().normalize("NFC")];
  return length > most ? t("shell.name_too_long", { count: length, most }) : null;
}

interface About {
  label: ReactNode;
  hint?: ReactNode;
  fault?: string | null;
  /** For labels that the page shows elsewhere. */
  hideLabel?: boolean;
}

interface Wiring {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": true | undefined;
}

/** The frame; `children` gets what the input must carry. */
export function Field({ label, hint, fault, hideLabel, children }: About & { children: (wiring: Wiring) => ReactNode }) {
  const id = useId();
  const describedBy = [hint && `${id}-hint`, fault && `${id}-fault`].filter(Boolean).join(" ") || undefined;
  return (
    <div className="field">
      <label htmlFor={id} className={hideLabel ? "unseen" : undefined}>
        {label}
      </label>
      {children({ id, "aria-describedby": describedBy, "aria-invalid": fault ? true : undefined })}
      {hint && (
        <p id={`${id}-hint`} className="field-hint">
          {hint}
        </p>
      )}
      {fault && (
        <p id={`${id}-fault`} className="field-fault">
          {fault}
        </p>
      )}
    </div>
  );
}

export function TextField({ label, hint, fault, hideLabel, ...rest }: About & ComponentProps<"input">) {
  return (
    <Field label={label} hint={hint} fault={fault} hideLabel={hideLabel}>
      {(wiring) => <input type="text" autoComplete="off" {...rest} {...wiring} className="input" />}
    </Field>
  );
}

export function Select({ label, hint, fault, hideLabel, children, ...rest }: About & ComponentProps<"select">) {
  return (
    <Field label={label} hint={hint} fault={fault} hideLabel={hideLabel}>
      {(wiring) => (
        <select {...rest} {...wiring} className="input select">
          {children}
        </select>
      )}
    </Field>
  );
}

export function Checkbox({ label, ...rest }: { label: ReactNode } & ComponentProps<"input">) {
  return (
    <label className="checkbox">
      <input {...rest} type="checkbox" />
      <span>{label}</span>
    </label>
  );
}

/** On or off at once, without a save button. */
export function Switch({ label, checked, onChange, disabled }: { label: ReactNode; checked: boolean; onChange: (on: boolean) => void; disabled?: boolean }) {
  return (
    <label className="switch">
      <input type="checkbox" role="switch" checked={checked} disabled={disabled} onChange={(event) => onChange(event.target.checked)} />
      <span className="switch-track" aria-hidden="true" />
      <span>{label}</span>
    </label>
  );
}

/** One of a few, all visible: radio buttons that look like one bar. */
export function Segments<V extends string>({
  label,
  options,
  value,
  onChange,
}: {
  label: string;
  options: readonly { value: V; label: ReactNode }[];
  value: V;
  onChange: (value: V) => void;
}) {
  const name = useId();
  return (
    <fieldset className="segments">
      <legend className="unseen">{label}</legend>
      {options.map((option) => (
        <label key={option.value}>
          <input type="radio" name={name} checked={option.value === value} onChange={() => onChange(option.value)} />
          <span>{option.label}</span>
        </label>
      ))}
    </fieldset>
  );
}
