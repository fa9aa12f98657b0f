// What things lie on, and the small marks on them.

import type { ComponentProps, ReactNode } from "react";
import { percent } from "@/words";
import { Icon, type IconName } from "./icons";
import "./surfaces.css";

export function Card({ className, ...rest }: ComponentProps<"section">) {
  return <section {...rest} className={`card ${className ?? ""}`} />;
}

type Tone = "plain" | "accent" | "good" | "warning" | "error";

/** A short mark; the icon says what the colour says. */
export function Badge({ tone = "plain", icon, children }: { tone?: Tone; icon?: IconName; children: ReactNode }) {
  return (
    <span className={`badge ${tone}`}>
      {icon && <Icon name={icon} size={14} />}
      {children}
    </span>
  );
}

/** Nothing here: why, and the one thing to do about it. */
export function EmptyState({ icon, title, children, action }: { icon: IconName; title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <span className="empty-icon">
        <Icon name={icon} size={28} />
      </span>
      <h2>{title}</h2>
      {children && <p className="muted">{children}</p>}
      {action && <div className="row empty-action">{action}</div>}
    </div>
  );
}

/** A remark in the page: tone by colour and by icon. */
export function Notice({ tone = "plain", title, children, action }: { tone?: Tone; title?: ReactNode; children?: ReactNode; action?: ReactNode }) {
  const icon: IconName = tone === "error" ? "error" : tone === "warning" ? "warning" : tone === "good" ? "check" : "info";
  return (
    <div className={`notice ${tone}`} role={tone === "error" ? "alert" : undefined}>
      <Icon name={icon} />
      <div className="notice-words">
        {title && <p className="notice-title">{title}</p>}
        {children}
      </div>
      {action && <div className="row">{action}</div>}
    </div>
  );
}

/** How far something is; `share` 0 to 1, or null while nobody knows. */
export function Progress({ share, label, words }: { share: number | null | undefined; label: string; words?: ReactNode }) {
  const known = share !== null && share !== undefined;
  return (
    <div className="progress">
      <div
        className={`progress-track${known ? "" : " unknown"}`}
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={known ? Math.round(share * 100) : undefined}
      >
        <div className="progress-bar" style={known ? { width: `${share * 100}%` } : undefined} />
      </div>
      {words && <div className="progress-words small muted number">{words}</div>}
    </div>
  );
}

/** A measured part of a whole (memory, confidence): 0 to 1. */
export function Meter({ share, label, words, tone = "accent" }: { share: number; label: string; words?: ReactNode; tone?: Tone }) {
  const part = Math.min(1, Math.max(0, share));
  return (
    <div className={`meter ${tone}`}>
      <div className="meter-track" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={1} aria-valuenow={part} aria-valuetext={percent(part, 0)}>
        <div className="meter-bar" style={{ width: `${part * 100}%` }} />
      </div>
      {words && <span className="small number">{words}</span>}
    </div>
  );
}

/** While something is fetched: quiet for the first moment. */
export function Loading({ label }: { label: string }) {
  return (
    <div className="loading" role="status">
      <span className="spinner" aria-hidden="true" />
      <span>{label}</span>
    </div>
  );
}
