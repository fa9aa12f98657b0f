// What the machine does now (jobs, memory), and the settings that belong to the browser (language, theme).

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { unfinished, useJobs, useMemory, useProjects, type Shapes } from "@/api";
import { applyTheme, Badge, Dialog, Icon, Menu, Meter, Progress, theme, type Theme } from "@/design";
import { leftOf, nameOf, stageOf } from "@/jobs/names";
import { bytes, language, languages, percent, speak, t, type Language } from "@/words";
import { pathOf } from "./steps";

type Job = Shapes["Job"];

function JobLine({ job, project }: { job: Job; project: string }) {
  return (
    <li className="stack tight">
      <div className="row apart">
        <Link href={pathOf(job.project, "train")}>{nameOf(job)}</Link>
        <Badge tone={job.state === "running" ? "accent" : "plain"}>{t(`shell.state_${job.state}`)}</Badge>
      </div>
      <Progress
        share={job.state === "queued" ? 0 : job.share}
        label={nameOf(job)}
        words={[project, stageOf(job), leftOf(job)].filter(Boolean).join(" · ")}
      />
    </li>
  );
}

function MachineDialog({ jobs, onClose }: { jobs: Job[]; onClose: () => void }) {
  const memory = useMemory().data;
  const projects = useProjects().data;
  return (
    <Dialog title={t("shell.machine")} onClose={onClose} size="small">
      <div className="stack">
        {jobs.length === 0 ? (
          <p className="muted">{t("shell.no_jobs")}</p>
        ) : (
          <ul className="stack job-list" onClick={(event) => (event.target as Element).closest("a") && onClose()}>
            {jobs.map((job) => (
              <JobLine key={job.id} job={job} project={projects?.find((one) => one.id === job.project)?.name ?? ""} />
            ))}
          </ul>
        )}
        <hr />
        {memory && (
          <dl className="facts">
            <div>
              <dt>{t("shell.memory")}</dt>
              <dd>
                <Meter
                  share={1 - memory.available_bytes / memory.total_bytes}
                  tone={memory.available_bytes / memory.total_bytes < 0.1 ? "warning" : "accent"}
                  label={t("shell.memory")}
                  words={t("shell.memory_free", { free: bytes(memory.available_bytes), total: bytes(memory.total_bytes) })}
                />
              </dd>
            </div>
            <div>
              <dt>{t("shell.memory_jobs")}</dt>
              <dd className="number">{bytes(memory.jobs_bytes)}</dd>
            </div>
            <div>
              <dt>{t("shell.memory_server")}</dt>
              <dd className="number">{bytes(memory.server_bytes)}</dd>
            </div>
            {memory.gpu_total_bytes != null && memory.gpu_free_bytes != null && (
              <div>
                <dt>{t("shell.memory_gpu")}</dt>
                <dd className="number">{t("shell.memory_free", { free: bytes(memory.gpu_free_bytes), total: bytes(memory.gpu_total_bytes) })}</dd>
              </div>
            )}
            <div>
              <dt>{t("shell.disk")}</dt>
              <dd className="number">{t("shell.disk_free", { free: bytes(memory.disk_free_bytes) })}</dd>
            </div>
          </dl>
        )}
      </div>
    </Dialog>
  );
}

/** A button with the state of the queue and the memory; it opens the whole picture. */
export function Machine() {
  const [open, setOpen] = useState(false);
  const memory = useMemory().data;
  const jobs = (useJobs().data ?? []).filter(unfinished);
  const running = jobs.find((job) => job.state === "running" || job.state === "pausing" || job.state === "stopping");
  const used = memory ? 1 - memory.available_bytes / memory.total_bytes : null;
  // Said aloud in steps of a tenth, not with every batch.
  const tenth = running?.share == null ? null : Math.floor(running.share * 10) / 10;
  return (
    <>
      <button type="button" className="button quiet machine" onClick={() => setOpen(true)} aria-haspopup="dialog">
        <span className="unseen">{t("shell.machine")}</span>
        {running ? (
          <>
            <span className="spinner" aria-hidden="true" />
            <span className={running.share == null ? "machine-words" : "number"}>{running.share == null ? t("shell.state_running") : percent(running.share, 0)}</span>
          </>
        ) : (
          <>
            <Icon name="memory" size={18} />
            <span className="number machine-words">{used === null ? "" : percent(used, 0)}</span>
          </>
        )}
      </button>
      <span className="unseen" role="status">
        {running && `${nameOf(running)}${tenth === null ? "" : `: ${percent(tenth, 0)}`}`}
      </span>
      {open && <MachineDialog jobs={jobs} onClose={() => setOpen(false)} />}
    </>
  );
}

export function Settings() {
  const [, again] = useState(0);
  const queries = useQueryClient(); // the server speaks too
  const choose = (next: Theme) => {
    applyTheme(next);
    again((n) => n + 1);
  };
  const themes: Theme[] = ["system", "light", "dark"];
  return (
    <>
      <Menu
        label={t("shell.language")}
        icon="globe"
        items={(Object.keys(languages) as Language[]).map((name) => ({ label: languages[name], checked: name === language(), run: () => void speak(name).then(() => queries.invalidateQueries()) }))}
      />
      <Menu
        label={t("shell.theme")}
        icon={theme() === "dark" ? "moon" : "sun"}
        items={themes.map((name) => ({ label: t(`shell.theme_${name}`), checked: name === theme(), run: () => choose(name) }))}
      />
    </>
  );
}
