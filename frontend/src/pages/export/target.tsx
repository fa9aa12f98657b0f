// One target: what it is for, the button or its progress, and what was measured once it is there.

import type { ReactNode } from "react";
import { url, useJobs, type Shapes } from "@/api";
import { Badge, Button, Card, DownloadLink, Notice } from "@/design";
import { isActive, JobProgress } from "@/jobs/job-part";
import { toldOf } from "@/jobs/names";
import { bytes, number, t, when } from "@/words";
import { Code } from "./code";
import { aboutOf, titleOf } from "./names";

interface Props {
  project: Shapes["Project"];
  run: Shapes["RunCard"];
  format: Shapes["Format"];
  card: Shapes["ExportCard"] | undefined;
  readOnly: boolean;
  starting: boolean;
  primary: boolean;
  onStart: (acceptDrop: boolean) => void;
}

export function Target({ project, run, format, card, readOnly, starting, primary, onStart }: Props) {
  const jobs = useJobs().data ?? [];
  const job = jobs.filter((one) => one.project === project.id && one.kind === "export" && one.run === run.id && one.title === format.name).at(-1);
  const active = job !== undefined && isActive(job);
  const travels = ["page", "bundle", "bundle-int8"].includes(format.name); // their test files come along
  const failed = job?.state === "failed" && (!card || card.made < job.created);

  return (
    <Card className="export-target" data-format={format.name} aria-label={titleOf(format)}>
      <div className="row apart export-target-head">
        <h2>{titleOf(format)}</h2>
        <Proof card={card} />
      </div>
      <p className="muted">{aboutOf(format)}</p>
      {card && <Facts card={card} />}
      <div role="status" className="export-state">
        {active && <JobProgress job={job} />}
      </div>
      {failed && (
        <Notice tone="error" title={toldOf(job).error || t("export.failed")}>
          {toldOf(job).hint && <p>{toldOf(job).hint}</p>}
        </Notice>
      )}
      {!active && (
        <div className="row">
          {card && (
            <DownloadLink href={url.export(project.id, run.id, card.name)}>
              {t("export.download", { name: card.file })}
            </DownloadLink>
          )}
          {!readOnly && (
            <Button
              look={card ? "quiet" : primary ? "primary" : "plain"}
              icon={card ? undefined : "export"}
              busy={starting}
              aria-label={t(card ? "export.again_name" : "export.start_name", { name: titleOf(format) })}
              onClick={() => onStart(false)}
            >
              {t(card ? "export.again" : "export.start")}
            </Button>
          )}
          {failed && job.can_accept_drop && !readOnly && (
            <Button look="quiet" busy={starting} onClick={() => onStart(true)}>
              {t("export.anyway")}
            </Button>
          )}
        </div>
      )}
      {card && (
        <>
          <Code label={t("export.use")} text={card.snippet} language={card.language} />
          {format.name === "page" && <p className="small">{t("export.page_open", { address: "http://127.0.0.1:8000" })}</p>}
          <details className="export-more">
            <summary>{t("export.verify")}</summary>
            <div className="stack tight">
              <p className="muted small">{t(travels ? "export.verify_anywhere" : "export.verify_here")}</p>
              <Code label={t("export.verify_command")} text={`handful verify ${quoted(travels ? card.file : `${project.folder}/runs/${run.id}/exports/${card.name.replace(/\.zip$/, "")}`)}`} language="shell" />
            </div>
          </details>
        </>
      )}
    </Card>
  );
}

/** For a shell: plain where it can be. */
const quoted = (path: string) => (/^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

function Proof({ card }: { card: Shapes["ExportCard"] | undefined }) {
  if (!card || card.n === null || card.agree === null) return null;
  const all = card.agree === card.n;
  return (
    <Badge tone={all ? "good" : "warning"} icon={all ? "check" : "warning"}>
      {t("export.agree", { agree: card.agree, n: card.n })}
    </Badge>
  );
}

function Facts({ card }: { card: Shapes["ExportCard"] }) {
  const rows: [string, ReactNode][] = [[t("export.size"), bytes(card.bytes)]];
  if (card.latency_ms !== null) rows.push([t("export.speed"), t("export.per_file", { time: milliseconds(card.latency_ms) })]);
  if (card.max_error !== null) rows.push([t("export.difference"), t("export.of_spread", { share: difference(card.max_error) })]);
  if (typeof card.accuracy_change === "number") {
    const { accuracy_change: change, change_low: low, change_high: high } = card;
    const interval = typeof low === "number" && typeof high === "number" ? t("export.change_interval", { low: points(low), high: points(high) }) : "";
    rows.push([t("export.change"), `${t("export.points", { change: points(change) })} ${interval}`]);
  }
  rows.push([t("export.made"), when(card.made)]);
  return (
    <dl className="export-facts number">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt className="small muted">{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

const milliseconds = (value: number) => t("export.milliseconds", { n: number(value, value < 10 ? 1 : 0) });
const points = (share: number) => (share > 0 ? "+" : "") + number(100 * share, 1);
/** 4e-7 as 0.00004 %; nobody reads exponents. */
const difference = (share: number) => (share < 1e-6 ? t("export.below", { value: `${number(1e-4, 4)} %` }) : `${number(100 * share, share < 1e-3 ? 4 : 1)} %`);
