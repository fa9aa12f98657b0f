// Check: what the data doctor found, worst first, and the map of samples.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, keys, take, unfinished, useAbout, useJobs, type Shapes } from "@/api";
import type { PageProps } from "@/app";
import { Button, ButtonLink, Card, EmptyState, Icon, Loading, Notice, Progress, Tabs, toastProblem } from "@/design";
import { leftOf, stageOf, toldOf } from "@/jobs";
import { pathOf } from "@/shell/steps";
import { t, when } from "@/words";
import { FindingItem } from "./finding";
import { severities, severityIcon, type Finding } from "./kinds";
import { MapView } from "./map-view";
import { doubtful, Review, reviewed } from "./review";
import "./check.css";

type Job = Shapes["Job"];

function Working({ job }: { job: Job }) {
  const [stopping, setStopping] = useState(false);
  const stop = (): void => {
    setStopping(true);
    take(api.POST("/api/jobs/{j}/stop", { params: { path: { j: job.id } } })).catch((error: unknown) => {
      setStopping(false);
      toastProblem(error);
    });
  };
  const words = [stageOf(job), leftOf(job)].filter(Boolean).join(" · ");
  return (
    <Card className="check-working" aria-label={t("check.working")}>
      <div className="row apart">
        <h2>{t(job.state === "queued" ? "check.queued" : "check.working")}</h2>
        {job.can_stop && (
          <Button small busy={stopping} onClick={stop}>
            {t("check.stop")}
          </Button>
        )}
      </div>
      <Progress share={job.state === "queued" ? 0 : job.share} label={t("check.working")} words={words || " "} />
    </Card>
  );
}

function Group({ project, severity, findings, readOnly }: { project: Shapes["Project"]; severity: Finding["severity"]; findings: readonly Finding[]; readOnly: boolean }) {
  if (findings.length === 0) return null;
  return (
    <section className="check-group" aria-labelledby={`check-${severity}`}>
      <h2 id={`check-${severity}`} className={`row check-severity finding-${severity}`}>
        <span className="finding-icon">
          <Icon name={severityIcon[severity]} />
        </span>
        {t(`check.${severity}s`, { count: findings.length })}
      </h2>
      <div className="stack tight">
        {findings.map((finding) => (
          <FindingItem key={finding.id} project={project} finding={finding} readOnly={readOnly} />
        ))}
      </div>
    </section>
  );
}

function Skipped({ rows }: { rows: readonly Record<string, string>[] }) {
  if (rows.length === 0) return null;
  return (
    <details>
      <summary>{t("check.skipped", { count: rows.length })}</summary>
      <ul className="small muted">
        {rows.map((row, n) => (
          <li key={n}>{Object.values(row).join(": ")}</li>
        ))}
      </ul>
    </details>
  );
}

function Overview({ found }: { found: Shapes["Findings"] }) {
  return (
    <p className="muted small" role="status">
      {found.made && t("check.made", { when: when(found.made) })}
    </p>
  );
}

function FindingsView({ project, found, readOnly, onRun }: { project: Shapes["Project"]; found: Shapes["Findings"]; readOnly: boolean; onRun: () => void }) {
  if (found.made === null) {
    return (
      <EmptyState
        icon="search"
        title={t("check.never")}
        action={
          !readOnly && (
            <Button look="primary" icon="search" onClick={onRun}>
              {t("check.run")}
            </Button>
          )
        }
      >
        {t("check.never_about")}
      </EmptyState>
    );
  }
  return (
    <div className="stack">
      {!found.fresh && (
        <Notice tone="warning" title={t("check.stale")} action={!readOnly && <Button onClick={onRun}>{t("check.run_again")}</Button>}>
          <p>{t("check.stale_about")}</p>
        </Notice>
      )}
      {found.findings.length === 0 ? (
        <EmptyState
          icon="check"
          title={t("check.clean")}
          action={
            <ButtonLink look="primary" icon="train" href={pathOf(project.id, "train")}>
              {t("check.to_train")}
            </ButtonLink>
          }
        >
          {t("check.clean_about")}
        </EmptyState>
      ) : (
        severities.map((severity) => <Group key={severity} project={project} severity={severity} findings={found.findings.filter((one) => one.severity === severity).toSorted((a, b) => Number(b.samples.length > 0) - Number(a.samples.length > 0))} readOnly={readOnly} />)
      )}
      <Overview found={found} />
      <Skipped rows={found.skipped ?? []} />
      {found.findings.length > 0 && (
        <div className="row">
          <ButtonLink look={found.fresh && found.findings.every(({ severity }) => severity === "note") ? "primary" : "plain"} icon="train" href={pathOf(project.id, "train")}>
            {t("check.to_train")}
          </ButtonLink>
        </div>
      )}
    </div>
  );
}

export default function Check({ project, rest }: PageProps) {
  const p = project.id;
  const [, go] = useLocation();
  const readOnly = useAbout().data?.read_only ?? false;
  const findings = useQuery({ queryKey: keys.project(p, "findings"), queryFn: () => take(api.GET("/api/projects/{p}/findings", { params: { path: { p } } })) });
  const jobs = (useJobs().data ?? []).filter((job) => job.project === p && job.kind === "check").toSorted((a, b) => b.created - a.created);
  const job = jobs[0];
  const [asked, setAsked] = useState(false);
  const [reviewing, setReviewing] = useState<ReturnType<typeof doubtful> | null>(null);
  const working = job !== undefined && unfinished(job);

  async function run(): Promise<void> {
    setAsked(true);
    try {
      await take(api.POST("/api/projects/{p}/jobs", { params: { path: { p } }, body: { kind: "check", accept_drop: false, title: "" } }));
    } catch (error) {
      toastProblem(error);
    }
    setAsked(false);
  }

  if (project.samples === 0) {
    return (
      <EmptyState
        icon="collect"
        title={t("check.no_samples")}
        action={
          <ButtonLink look="primary" icon="collect" href={pathOf(p, "collect")}>
            {t("shell.step_collect")}
          </ButtonLink>
        }
      >
        {t("check.no_samples_about")}
      </EmptyState>
    );
  }

  const found = findings.data;
  const doubts = doubtful(found?.findings ?? []);
  const seen = reviewed(p);
  const left = doubts.ids.filter((id) => !seen.has(id));
  const failed = job && (job.state === "failed" || job.state === "interrupted") && job.error && (!found?.made || (job.ended ?? 0) > found.made);
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{t("check.title")}</h1>
          <p>{t("check.about")}</p>
        </div>
        <div className="row">
          {left.length > 0 && !readOnly && (
            <Button icon="key" onClick={() => setReviewing({ ...doubts, ids: left })}>
              {t("check.review_count", { count: left.length })}
            </Button>
          )}
          {found?.made != null && !readOnly && (
            <Button look={found.fresh ? "plain" : "primary"} icon="search" busy={asked || working} onClick={() => void run()}>
              {t("check.run_again")}
            </Button>
          )}
        </div>
      </div>
      {working && <Working job={job} />}
      {failed && <Notice tone="error" title={toldOf(job).error}>{toldOf(job).hint && <p>{toldOf(job).hint}</p>}</Notice>}
      <Tabs
        label={t("check.views")}
        value={rest === "map" ? "map" : "findings"}
        onChange={(value) => go(pathOf(p, "check", value === "map" ? "map" : ""), { replace: true })}
        tabs={[
          {
            value: "findings",
            label: t("check.findings"),
            content: () =>
              findings.error ? (
                <Notice tone="error" title={findings.error.message} />
              ) : !found ? (
                <Loading label={t("shell.loading")} />
              ) : working && found.made === null ? null : (
                <FindingsView project={project} found={found} readOnly={readOnly} onRun={() => void run()} />
              ),
          },
          { value: "map", label: t("check.map"), content: () => <MapView project={project} readOnly={readOnly} /> },
        ]}
      />
      {reviewing && <Review project={project} {...reviewing} onClose={() => setReviewing(null)} />}
    </>
  );
}
