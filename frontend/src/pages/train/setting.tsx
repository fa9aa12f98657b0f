// One setting: input by its type, help, bounds, default, and the way back to it.

import { useState, type ReactNode } from "react";
import type { Shapes } from "@/api";
import { IconButton, Select, TextField } from "@/design";
import { number, t } from "@/words";

type RecipeField = Shapes["RecipeField"];

interface Props {
  field: RecipeField;
  /** undefined: not changed */
  value: unknown;
  preset: unknown;
  fault: string | null;
  onChange: (value: unknown) => void;
}

const written = (value: unknown): string => (value === undefined || value === null ? "" : Array.isArray(value) ? value.join(", ") : String(value));

export function shown(value: unknown): string {
  if (value === null || value === undefined || value === "") return t("train.default_found");
  if (typeof value === "boolean") return t(value ? "train.yes" : "train.no");
  if (typeof value === "number") return number(value, 6);
  return Array.isArray(value) ? value.join(", ") : String(value);
}

function bounds({ low, high, low_open, high_open }: RecipeField): string {
  const text = (value: number) => number(value, 6);
  const hasLow = low !== null && low !== undefined;
  const hasHigh = high !== null && high !== undefined;
  if (hasLow && hasHigh && !low_open && !high_open) return t("train.bounds", { low: text(low), high: text(high) });
  const parts = [hasLow && t(low_open ? "train.bounds_above" : "train.bounds_low", { low: text(low) }), hasHigh && t(high_open ? "train.bounds_below" : "train.bounds_high", { high: text(high) })];
  return parts.filter(Boolean).join(", ");
}

function outside(value: number, { type, low, high, low_open, high_open }: RecipeField): boolean {
  if (Number.isNaN(value) || (type === "integer" && !Number.isInteger(value))) return true;
  if (low !== null && low !== undefined && (low_open ? value <= low : value < low)) return true;
  return high !== null && high !== undefined && (high_open ? value >= high : value > high);
}

export function Setting({ field, value, preset, fault, onChange }: Props) {
  const name = field.label;
  const changed = value !== undefined;
  const called = (one: unknown) => (typeof one === "string" ? (field.names?.[one] ?? one) : one);
  const otherwise = preset !== undefined ? t("train.by_preset", { value: shown(called(preset)) }) : shown(called(field.default));
  const hint = (
    <>
      {[field.help.charAt(0).toUpperCase() + field.help.slice(1), ...[bounds(field), field.type === "list" ? t("train.list_hint") : ""].filter(Boolean)].join("; ")}.
    </>
  );
  return (
    <div className={changed ? "train-setting changed" : "train-setting"}>
      {field.type === "choice" || field.type === "boolean" ? (
        <Choice field={field} name={name} value={value} hint={hint} fault={fault} otherwise={otherwise} onChange={onChange} />
      ) : (
        <Typed field={field} name={name} value={value} hint={hint} fault={fault} otherwise={otherwise} onChange={onChange} />
      )}
      {changed && <IconButton icon="undo" size={16} className="train-setting-reset" label={t("train.reset", { name })} onClick={() => onChange(undefined)} />}
    </div>
  );
}

type PartProps = Omit<Props, "preset"> & { name: string; hint: ReactNode; otherwise: string };

function Choice({ field, name, value, hint, fault, otherwise, onChange }: PartProps) {
  const choices = field.type === "boolean" ? ["true", "false"] : (field.choices ?? []);
  const text = (choice: string) => (field.type === "boolean" ? t(choice === "true" ? "train.yes" : "train.no") : (field.names?.[choice] ?? choice));
  return (
    <Select
      label={name}
      hint={hint}
      fault={fault}
      value={value === undefined ? "" : String(value)}
      onChange={({ target }) => onChange(target.value === "" ? undefined : field.type === "boolean" ? target.value === "true" : target.value)}
    >
      <option value="">{otherwise}</option>
      {choices
        .filter((choice) => text(choice) !== otherwise || value === choice)
        .map((choice) => (
          <option key={choice} value={choice}>
            {text(choice)}
          </option>
        ))}
    </Select>
  );
}

/** Text is kept as it is typed; what is no number within bounds is said here and goes no further. */
function Typed({ field, name, value, hint, fault, otherwise, onChange }: PartProps) {
  const numeric = field.type === "integer" || field.type === "number";
  const [text, setText] = useState(written(value));
  const [sent, setSent] = useState(value);
  if (sent !== value) {
    // changed from outside, by a reset
    setSent(value);
    setText(written(value));
  }
  const figure = (typed: string) => Number(typed.trim().replace(",", "."));
  const bad = numeric && text.trim() !== "" && outside(figure(text), field);
  const meant = (typed: string): unknown => {
    if (typed.trim() === "" || (numeric && outside(figure(typed), field))) return undefined;
    if (numeric) return figure(typed);
    return field.type === "list" ? typed.split(",").map((part) => part.trim()).filter(Boolean) : typed.trim();
  };
  const put = (typed: string) => {
    const next = meant(typed);
    setText(typed);
    setSent(next);
    onChange(next);
  };
  const proposals = (field.choices ?? []).length > 0 ? `choices-${field.name}` : undefined;
  return (
    <>
      <TextField
        label={name}
        hint={hint}
        fault={bad ? bounds(field) || t("train.not_number") : fault}
        value={text}
        list={proposals}
        placeholder={otherwise}
        inputMode={field.type === "integer" ? "numeric" : field.type === "number" ? "decimal" : undefined}
        spellCheck={false}
        onChange={(event) => put(event.target.value)}
      />
      {proposals && (
        <datalist id={proposals}>
          {field.choices?.map((choice) => <option key={choice} value={choice} />)}
        </datalist>
      )}
    </>
  );
}
