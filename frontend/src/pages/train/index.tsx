// Train: one button, what it will do, what runs and what came out. All state but the wishes for the next training is the server's.

import type { PageProps } from "@/app";
import { useJobs, useRuns } from "@/api";
import { ButtonLink, EmptyState } from "@/design";
import { Announcer, JobCard, useWish } from "@/jobs";
import { pathOf } from "@/shell/steps";
import { t } from "@/words";
import { Augmentation } from "./augmentation";
import { Newest } from "./newest";
import { Start } from "./start";
import "./train.css";

const RECENT = 8;

export default function Train({ project }: PageProps) {
  const jobs = useJobs().data ?? [];
  const runs = useRuns(project.id).data ?? [];
  const wishes = useWish(project.id);
  const own = jobs.filter((job) => job.project === project.id).sort((a, b) => a.created - b.created);
  const last = own.at(-1);
  // What went wrong last stays in sight until something newer is started, or it is removed.
  const working = own.filter((job) => ["running", "pausing", "paused", "stopping"].includes(job.state) || (job === last && ["failed", "interrupted"].includes(job.state)));
  const waiting = own.filter((job) => job.state === "queued").sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
  const over = own.filter((job) => !working.includes(job) && ["stopped", "interrupted", "failed", "done"].includes(job.state) && (job.kind === "train" || job.kind === "compare" || job.state !== "done"));
  const elsewhere = jobs.find((job) => job.project !== project.id && job.state === "running");
  const newest = runs.reduce<(typeof runs)[number] | undefined>((best, run) => (best && best.created > run.created ? best : run), undefined);
  const nothing = project.samples === 0;

  return (
    <>
      <header className="page-head">
        <div>
          <h1>{t("train.title")}</h1>
          <p>{t("train.lead")}</p>
        </div>
      </header>
      <Announcer jobs={own} />
      <div className="stack train-stack">
        {nothing ? (
          <EmptyState
            icon="train"
            title={t("train.empty_title")}
            action={
              <ButtonLink look="primary" icon="collect" href={pathOf(project.id, "collect")}>
                {t("train.empty_action")}
              </ButtonLink>
            }
          >
            {t("train.empty_samples")}
          </EmptyState>
        ) : (
          <Start project={project} wishes={wishes} queued={working.some((job) => job.state !== "failed" && job.state !== "interrupted") || waiting.length > 0 || elsewhere !== undefined} elsewhere={elsewhere} />
        )}
        {working.length > 0 && (
          <section className="stack tight">
            <h2>{t("train.now")}</h2>
            {working.map((job) => (
              <JobCard key={job.id} job={job} />
            ))}
          </section>
        )}
        {waiting.length > 0 && (
          <section className="stack tight">
            <h2>{t("train.queue")}</h2>
            {waiting.map((job) => (
              <JobCard key={job.id} job={job} />
            ))}
          </section>
        )}
        {newest && <Newest project={project} run={newest} />}
        {!nothing && <Augmentation project={project} />}
        {over.length > 0 && (
          <section className="stack tight">
            <h2>{t("train.recent")}</h2>
            {[...over].reverse().slice(0, RECENT).map((job) => (
              <JobCard key={job.id} past job={job} run={job.kind === "train" ? runs.find((run) => run.id === job.run) : undefined} />
            ))}
          </section>
        )}
      </div>
    </>
  );
}
