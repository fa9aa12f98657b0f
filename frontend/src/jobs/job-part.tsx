// A job that belongs to a part of the page: the button that starts it, its progress, and what went wrong.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";
import { api, keys, take, useAbout, useJobs, type Shapes } from "@/api";
import { Button, Notice, Progress, toast, toastProblem, type IconName } from "@/design";
import { t } from "@/words";
import { JobActions } from "./job-card";
import { leftOf, nameOf, stageOf, toldOf } from "./names";

type NewJob = Partial<Shapes["NewJob"]> & Pick<Shapes["NewJob"], "kind">;

/** Starts a job; one that does the very same and has not ended yet is answered by the server, and said here. */
export function useStart(p: string) {
  const queries = useQueryClient();
  const before = useRef<ReadonlySet<string>>(new Set());
  return useMutation({
    onMutate: () => {
      before.current = new Set(queries.getQueryData<Shapes["Job"][]>(keys.jobs)?.map((job) => job.id));
    },
    mutationFn: (job: NewJob) => take(api.POST("/api/projects/{p}/jobs", { params: { path: { p } }, body: { settings: {}, preset: null, formats: [], accept_drop: false, title: "", ...job } })),
    onSuccess: (job) => {
      if (before.current.has(job.id)) toast(t("train.already", { title: nameOf(job) }));
      queries.setQueryData<Shapes["Job"][]>(keys.jobs, (jobs) => [...(jobs ?? []).filter((other) => other.id !== job.id), job]);
      void queries.invalidateQueries({ queryKey: keys.jobs });
    },
    onError: toastProblem,
  });
}

/** Nothing can be started or changed here. */
export const useReadOnly = (): boolean => useAbout().data?.read_only ?? false;

/** The newest job of a kind, for a run where one is given. */
export function useLatest(p: string, kind: Shapes["Job"]["kind"], run?: string): Shapes["Job"] | undefined {
  const jobs = useJobs().data ?? [];
  return jobs
    .filter((job) => job.project === p && job.kind === kind && (run === undefined || job.run === run))
    .reduce<Shapes["Job"] | undefined>((best, job) => (best && best.created > job.created ? best : job), undefined);
}

export const isActive = (job: Shapes["Job"]): boolean => ["queued", "running", "pausing", "paused", "stopping"].includes(job.state);

export function JobProgress({ job }: { job: Shapes["Job"] }) {
  return (
    <div className="job-part">
      <Progress
        share={job.state === "queued" ? 0 : job.share}
        label={t("train.progress_of", { title: nameOf(job) })}
        words={[job.state === "running" ? stageOf(job) : t(`train.state_${job.state}`), leftOf(job)].filter(Boolean).join(" · ")}
      />
      <JobActions job={job} />
    </div>
  );
}

interface Props {
  p: string;
  run: string;
  kind: "explain" | "curve";
  label: string;
  icon: IconName;
  primary?: boolean;
}

export function JobPart({ p, run, kind, label, icon, primary = false }: Props) {
  const start = useStart(p);
  const job = useLatest(p, kind, run);
  const readOnly = useReadOnly();
  if (job && isActive(job)) return <JobProgress job={job} />;
  return (
    <div className="stack tight">
      {job?.state === "failed" && (
        <Notice tone="error" title={t("understand.job_failed", { error: toldOf(job).error })}>
          {toldOf(job).hint && <p>{toldOf(job).hint}</p>}
        </Notice>
      )}
      <div className="row">
        <Button look={primary ? "primary" : "plain"} icon={icon} disabled={readOnly} busy={start.isPending} onClick={() => start.mutate({ kind, run })}>
          {label}
        </Button>
      </div>
    </div>
  );
}
