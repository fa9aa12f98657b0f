// Buttons that answer at once: `busy` disables and turns, keeping the width and the focus.

import type { ComponentProps, ReactNode } from "react";
import { Link } from "wouter";
import { Icon, type IconName } from "./icons";
import { Tooltip } from "./tooltip";
import "./button.css";

type Look = "primary" | "plain" | "quiet" | "danger";

type ButtonProps = ComponentProps<"button"> & { look?: Look; icon?: IconName; busy?: boolean; small?: boolean };

const classOf = (look: Look, small: boolean, more = "") => `button ${look}${small ? " small-button" : ""} ${more}`.trim();

export function Button({ look = "plain", icon, busy = false, small = false, className, children, onClick, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={classOf(look, small, className)}
      aria-busy={busy || undefined}
      aria-disabled={busy || rest["aria-disabled"]}
      onClick={busy ? (event) => event.preventDefault() : onClick}
    >
      {busy ? <span className="spinner" aria-hidden="true" /> : icon && <Icon name={icon} size={small ? 16 : 18} />}
      {children !== undefined && <span>{children}</span>}
    </button>
  );
}

/** A link to another page that looks like a button. */
export function ButtonLink({ look = "plain", icon, href, children }: { look?: Look; icon?: IconName; href: string; children: ReactNode }) {
  return (
    <Link href={href} className={classOf(look, false)}>
      {icon && <Icon name={icon} size={18} />}
      <span>{children}</span>
    </Link>
  );
}

/** A link that downloads. */
export function DownloadLink({ look = "plain", href, children }: { look?: Look; href: string; children: ReactNode }) {
  return (
    <a className={classOf(look, false)} href={href} download>
      <Icon name="download" size={18} />
      <span>{children}</span>
    </a>
  );
}

/** Only an icon to see; `label` is its name for everyone else and its tooltip. */
export function IconButton({ icon, label, size = 20, className, ...rest }: Omit<ComponentProps<"button">, "children"> & { icon: IconName; label: string; size?: number }) {
  return (
    <Tooltip words={label}>
      <button type="button" {...rest} className={`icon-button ${className ?? ""}`} aria-label={label}>
        <Icon name={icon} size={size} />
      </button>
    </Tooltip>
  );
}
