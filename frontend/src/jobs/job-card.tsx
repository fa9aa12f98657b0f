// One job: where it stands, what it takes, what can be done about it; curves and log on demand.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { api, keys, take, useAbout, type Shapes } from "@/api";
import { Badge, Button, ButtonLink, Card, Loading, Notice, Progress, toastProblem, type IconName } from "@/design";
import { pathOf } from "@/shell/steps";
import { bytes, duration, language, percent, t, when } from "@/words";
import { JobLog } from "./job-log";
import { leftOf, nameOf, runName, stageOf, toldOf } from "./names";
import "./jobs.css";

// uPlot comes with the curves alone.
const Curves = lazy(() => import("./curves").then(({ Curves }) => ({ default: Curves })));

type Job = Shapes["Job"];

export const live = (job: Job): boolean => ["running", "pausing", "stopping"].includes(job.state);
const over = (job: Job): boolean => ["stopped", "interrupted", "failed", "done"].includes(job.state);

const LOOKS: Record<Job["state"], { tone: "plain" | "accent" | "good" | "warning" | "error"; icon: IconName }> = {
  queued: { tone: "plain", icon: "more" },
  running: { tone: "accent", icon: "play" },
  pausing: { tone: "plain", icon: "pause" },
  paused: { tone: "warning", icon: "pause" },
  stopping: { tone: "plain", icon: "stop" },
  stopped: { tone: "plain", icon: "stop" },
  interrupted: { tone: "warning", icon: "warning" },
  failed: { tone: "error", icon: "error" },
  done: { tone: "good", icon: "check" },
};

/** What can be done to a job; the answer of the server is shown before its event comes. */
export function useJobAction(job: Job) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (action: "pause" | "resume" | "stop" | "forget") => {
      const params = { path: { j: job.id } };
      if (action === "forget") {
        await api.DELETE("/api/jobs/{j}", { params });
        return null;
      }
      return take(api.POST(`/api/jobs/{j}/${action}`, { params }));
    },
    onSuccess: (next) => {
      queries.setQueryData<Job[]>(keys.jobs, (jobs) => (next ? jobs?.map((other) => (other.id === job.id ? next : other)) : jobs?.filter((other) => other.id !== job.id)));
      void queries.invalidateQueries({ queryKey: keys.jobs });
    },
    onError: toastProblem,
  });
}

export function JobActions({ job }: { job: Job }) {
  const act = useJobAction(job);
  const about = useAbout();
  const busy = (action: string) => act.isPending && act.variables === action;
  const turn = job.can_pause ? "pause" : job.can_resume ? "resume" : null;
  if (about.data?.read_only) return null;
  return (
    <div className="row">
      {turn && (
        // One button that changes, so that the focus stays on it.
        <Button small icon={turn === "pause" ? "pause" : "play"} look={job.state === "paused" || job.state === "interrupted" ? "primary" : "plain"} busy={busy("pause") || busy("resume")} onClick={() => act.mutate(turn)}>
          {t(`train.${turn}`)}
        </Button>
      )}
      {job.can_stop && (
        <Button small icon="stop" busy={busy("stop")} onClick={() => act.mutate("stop")}>
          {t(job.state === "stopping" ? "train.stop_now" : "train.stop")}
        </Button>
      )}
      {over(job) && (
        <Button small look="quiet" icon="close" busy={busy("forget")} onClick={() => act.mutate("forget")}>
          {t("train.forget")}
        </Button>
      )}
    </div>
  );
}

/** `past`: something newer was started since; what went wrong then alarms nobody any more. */
export function JobCard({ job, run, past = false }: { job: Job; run?: Shapes["RunCard"] | undefined; past?: boolean }) {
  const { tone, icon } = LOOKS[job.state];
  const working = live(job) || job.state === "paused";
  // Opens by itself where there are curves to watch: only networks that learn in rounds train stage by stage.
  const [chosen, setChosen] = useState<boolean | null>(null);
  const shown = chosen ?? (live(job) && job.progress?.stage === "train");
  return (
    <Card className="job">
      <div className="row apart">
        <div className="row job-title">
          <h3>{run ? runName(run) : nameOf(job)}</h3>
          <Badge tone={tone} icon={icon}>
            {t(`train.state_${job.state}`)}
          </Badge>
          {job.state === "queued" && job.position ? <span className="small muted">{t("train.queue_place", { position: job.position })}</span> : null}
        </div>
        <div className="row">
          {job.state === "done" && run && (
            <ButtonLink icon="understand" href={pathOf(job.project, "understand", run.id)}>
              {t("train.understand")}
            </ButtonLink>
          )}
          {job.state === "done" && job.kind === "compare" && (
            <ButtonLink icon="compare" href={pathOf(job.project, "compare")}>
              {t("train.see_race")}
            </ButtonLink>
          )}
          <JobActions job={job} />
        </div>
      </div>
      {working && <Progress share={job.share} label={t("train.progress_of", { title: nameOf(job) })} />}
      <Facts job={job} run={run} />
      {job.state === "paused" && <p className="small muted">{t("train.about_paused")}</p>}
      {job.state === "stopped" && job.can_resume && <p className="small muted">{t("train.about_stopped")}</p>}
      {job.state === "interrupted" && <p className="small muted">{t("train.about_interrupted")}</p>}
      {job.error && (
        <Notice tone={past ? "plain" : "error"} title={t("train.failed", { error: toldOf(job).error })}>
          {toldOf(job).hint && <p>{t("train.failed_hint", { hint: toldOf(job).hint })}</p>}
          {!past && job.kind === "train" && <p>{t("train.failed_next")}</p>}
        </Notice>
      )}
      {(working || over(job)) && (
        <details className="job-details" open={shown} onToggle={({ currentTarget }) => currentTarget.open !== shown && setChosen(currentTarget.open)}>
          <summary>{t("train.details")}</summary>
          {shown && (
            <div className="job-inside">
              {(job.kind === "train" || job.kind === "compare") && (
                <Suspense fallback={<Loading label={t("train.curve_loading")} />}>
                  <Curves job={job} live={live(job)} />
                </Suspense>
              )}
              <JobLog key={language()} job={job} live={live(job)} />
            </div>
          )}
        </details>
      )}
    </Card>
  );
}

function Facts({ job, run }: { job: Job; run: Shapes["RunCard"] | undefined }) {
  const working = live(job) || job.state === "paused";
  const score = run?.score;
  const facts = [
    working && stageOf(job),
    working && job.share !== null && job.share !== undefined && t("train.progress", { percent: percent(job.share, 0) }),
    leftOf(job),
    working && job.rss_bytes && t("train.memory", { size: bytes(job.rss_bytes) }),
    score && t("train.score_short", { value: percent(score.value, 0), low: percent(score.low, 0), high: percent(score.high, 0) }),
    over(job) && job.started && job.ended && t("train.took", { time: duration(Math.max(0.1, job.ended - job.started)) }),
    over(job) && job.peak_rss_bytes && t("train.memory_peak", { size: bytes(job.peak_rss_bytes) }),
    over(job) && when(job.ended ?? job.created),
  ].filter(Boolean);
  return facts.length ? <p className="small muted number">{facts.join(" · ")}</p> : null;
}

/** Says aloud what changed: states, and each tenth of the way; not every batch. */
export function Announcer({ jobs }: { jobs: readonly Job[] }) {
  const [said, setSaid] = useState("");
  const before = useRef<Map<string, string>>(null);
  useEffect(() => {
    const now = new Map(jobs.map((job) => [job.id, `${job.state} ${Math.floor((job.share ?? 0) * 10)}`]));
    const known = before.current;
    before.current = now;
    if (known === null) return;
    const news = jobs.filter((job) => known.get(job.id) !== now.get(job.id));
    if (news.length === 0) return;
    setSaid(news.map((job) => t("train.said", { title: nameOf(job), state: t(`train.state_${job.state}`), percent: percent(Math.floor((job.share ?? 0) * 10) / 10, 0) })).join(". "));
  }, [jobs]);
  return (
    <p className="unseen" role="status">
      {said}
    </p>
  );
}
