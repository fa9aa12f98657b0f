// What a model says of one thing: the class in large letters, or that it may be none of them; what else it could be; and a
// bar for each class. Used by the studio and by exported pages. Knows nothing of where the answer came from.

import { useEffect, useState, type ReactNode } from "react";
import { Badge } from "@/design/surfaces";
import { Icon } from "@/design/icons";
import { number, percent, t } from "@/words";
import "./verdict.css";

export interface Share {
  name: string;
  share: number;
}

export interface Verdict {
  label: string;
  confidence: number;
  /** Of all classes, in their order. */
  shares: Share[];
  /** Classes that hold the true one for nine of ten new samples. */
  set: string[];
  unknown: boolean;
  milliseconds: number;
}

const MOST_BARS = 12;

/** A tick is only for what leaves no other class: neither unknown, nor likely enough to be something else. */
const settled = (verdict: Verdict): boolean => !verdict.unknown && verdict.set.length === 1;

export function VerdictView({ verdict, live = false, aside }: { verdict: Verdict; live?: boolean; aside?: ReactNode }) {
  const others = verdict.set.filter((name) => name !== verdict.label);
  return (
    <div className={`verdict${verdict.unknown ? " unknown" : settled(verdict) ? "" : " open"}`} data-label={verdict.label} data-unknown={verdict.unknown}>
      <div className="verdict-head">
        <span className="verdict-mark">{verdict.unknown ? <Question /> : <Icon name={settled(verdict) ? "check" : "target"} size={24} />}</span>
        <div className="verdict-words">
          {verdict.unknown ? (
            <>
              <p className="verdict-label">{t("try.unknown")}</p>
              <p className="muted">{t("try.unknown_nearest", { label: verdict.label, share: percent(verdict.confidence) })}</p>
            </>
          ) : (
            <>
              <p className="verdict-label">{verdict.label}</p>
              <p className="muted number">{t("try.sure", { share: percent(verdict.confidence) })}</p>
            </>
          )}
        </div>
        {aside}
      </div>
      <p className="verdict-others muted">
        {others.length > 0 && !verdict.unknown ? t("try.could_be", { names: list(others) }) : "\u00a0"}
      </p>
      <Bars verdict={verdict} />
      <p className="verdict-foot small muted number">{t("try.took", { n: number(verdict.milliseconds, verdict.milliseconds < 10 ? 1 : 0) })}</p>
      {live ? <Aloud verdict={verdict} /> : null}
    </div>
  );
}

function Bars({ verdict }: { verdict: Verdict }) {
  // Classes keep their places, so that bars do not jump; of many, only the likeliest are shown.
  const shown =
    verdict.shares.length <= MOST_BARS ? verdict.shares : [...verdict.shares].sort((a, b) => b.share - a.share).slice(0, MOST_BARS);
  const hidden = verdict.shares.length - shown.length;
  return (
    <>
      <ul className="verdict-bars" aria-label={t("try.bars")}>
        {shown.map(({ name, share }) => (
          <li key={name} className={`verdict-bar${name === verdict.label ? " best" : ""}`}>
            <span className="verdict-name" title={name}>
              {name}
            </span>
            <span className="verdict-share number">{percent(share)}</span>
            <span className="verdict-track" aria-hidden="true">
              <span className="verdict-fill" style={{ width: `${share * 100}%` }} />
            </span>
          </li>
        ))}
      </ul>
      {hidden > 0 && <p className="small muted">{t("try.more_classes", { count: hidden })}</p>}
    </>
  );
}

/** Says the class to those who listen: only when it has stayed the same for a while, or nobody could follow. */
function Aloud({ verdict }: { verdict: Verdict }) {
  const words = verdict.unknown ? t("try.unknown") : verdict.label;
  const [said, setSaid] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSaid(words), 1200);
    return () => clearTimeout(timer);
  }, [words]);
  return (
    <p className="unseen" role="status">
      {said}
    </p>
  );
}

/** A short form for lists. */
export function VerdictBadge({ verdict }: { verdict: Verdict }) {
  return verdict.unknown ? (
    <Badge tone="warning">
      <Question size={14} /> {t("try.unknown_short", { label: verdict.label })}
    </Badge>
  ) : (
    <Badge {...(settled(verdict) ? { tone: "accent", icon: "check" } : { icon: "target" })}>
      {verdict.label}
    </Badge>
  );
}

function Question({ size = 24 }: { size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth={1.8} strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d="M7 7.500a3 3 0 1 1 4.200 2.700c-.8.400-1.200 1-1.200 1.800v.5M10 15.500v.1" />
    </svg>
  );
}

function list(names: string[]): string {
  const shown = names.slice(0, 4);
  const more = names.length - shown.length;
  return shown.join(", ") + (more > 0 ? ` ${t("try.and_more", { count: more })}` : "");
}
