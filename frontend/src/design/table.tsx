// Tables that scroll sideways inside their frame rather than the page.

import type { ReactNode } from "react";
import "./table.css";

/** `caption` names the table for those who cannot see where it stands. */
export function Table({ caption, showCaption = false, children }: { caption: string; showCaption?: boolean; children: ReactNode }) {
  return (
    <div className="table-frame" tabIndex={0} role="region" aria-label={caption}>
      <table className="table">
        <caption className={showCaption ? undefined : "unseen"}>{caption}</caption>
        {children}
      </table>
    </div>
  );
}
