// What the worker said: any number of lines, of which only those in sight exist; follows the end until one scrolls away.

import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import type { Shapes } from "@/api";
import { Button, Switch, toast, toastProblem } from "@/design";
import { language, t } from "@/words";
import { useLog } from "./follow";

const LINE = 22;

export function JobLog({ job, live }: { job: Shapes["Job"]; live: boolean }) {
  const { items: lines, loaded } = useLog(job.id, live);
  const frame = useRef<HTMLDivElement>(null);
  const [follow, setFollow] = useState(true);
  const virtual = useVirtualizer({ count: lines.length, getScrollElement: () => frame.current, estimateSize: () => LINE, overscan: 10, useFlushSync: false });

  useEffect(() => {
    if (follow && lines.length) virtual.scrollToIndex(lines.length - 1);
  }, [follow, lines.length, virtual]);

  const copy = () =>
    navigator.clipboard.writeText(lines.map((line) => line.text).join("\n")).then(() => toast(t("train.log_copied")), toastProblem);
  const time = new Intl.DateTimeFormat(language(), { hour: "2-digit", minute: "2-digit", second: "2-digit" });

  return (
    <div className="job-log">
      <div className="row apart">
        <h4>
          {t("train.log")} <span className="small muted number">{lines.length > 0 && t("train.log_lines", { count: lines.length })}</span>
        </h4>
        <div className="row">
          <Switch label={t("train.log_follow")} checked={follow} onChange={setFollow} />
          <Button small icon="copy" disabled={lines.length === 0} onClick={() => void copy()}>
            {t("train.log_copy")}
          </Button>
        </div>
      </div>
      <div
        ref={frame}
        className="job-log-frame"
        role="region"
        aria-label={t("train.log")}
        tabIndex={0}
        onWheel={(event) => event.deltaY < 0 && setFollow(false)}
        onKeyDown={(event) => ["ArrowUp", "PageUp", "Home"].includes(event.key) && setFollow(false)}
        onTouchMove={() => setFollow(false)}
      >
        {lines.length === 0 && <p className="muted small job-log-empty">{loaded ? t("train.log_none") : t("shell.loading")}</p>}
        <div className="job-log-space" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((row) => (
            <div key={row.key} className="job-log-line" style={{ transform: `translateY(${row.start}px)` }}>
              <time className="muted">{time.format(new Date((lines[row.index]?.time ?? 0) * 1000))}</time>
              <span>{lines[row.index]?.text}</span>
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}
