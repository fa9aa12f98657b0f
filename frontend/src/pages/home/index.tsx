// All projects; for the first visit what this is for, and projects to try it with.

import { useRef, useState, type FormEvent } from "react";
import { useLocation } from "wouter";
import { useQueryClient } from "@tanstack/react-query";
import { api, keys, send, take, useAbout, useProjects, type Shapes } from "@/api";
import { Button, Card, Dialog, Icon, Loading, Notice, TextField, tooLong, toastProblem } from "@/design";
import { pathOf } from "@/shell/steps";
import { t } from "@/words";
import { LONGEST_NAME, ProjectCard } from "./project-card";
import "./home.css";

/** Opens a project that the server just made. */
function useOpen(): (project: Shapes["Project"]) => void {
  const queries = useQueryClient();
  const [, go] = useLocation();
  return (project) => {
    queries.setQueryData(keys.project(project.id), project);
    void queries.invalidateQueries({ queryKey: keys.projects });
    go(pathOf(project.id, "collect"));
  };
}

function NewProject({ autoFocus }: { autoFocus?: boolean }) {
  const open = useOpen();
  const [name, setName] = useState("");
  const problem = tooLong(name, LONGEST_NAME);
  const [busy, setBusy] = useState(false);

  async function create(event: FormEvent): Promise<void> {
    event.preventDefault();
    if (problem) return;
    setBusy(true);
    try {
      open(await take(api.POST("/api/projects", { body: { name: name.trim() || t("home.unnamed") } })));
    } catch (error) {
      toastProblem(error);
      setBusy(false);
    }
  }

  return (
    <form className="home-new" onSubmit={(event) => void create(event)}>
      <TextField label={t("home.name")} placeholder={t("home.name_example")} value={name} fault={problem} data-autofocus={autoFocus} onChange={(event) => setName(event.target.value)} />
      <Button type="submit" look="primary" icon="add" busy={busy}>
        {t("home.create")}
      </Button>
    </form>
  );
}

const samples = [
  { kind: "digits", icon: "grid" },
  { kind: "sounds", icon: "wave" },
] as const;

function Samples() {
  const open = useOpen();
  const [busy, setBusy] = useState<string | null>(null);

  async function create(kind: "digits" | "sounds"): Promise<void> {
    setBusy(kind);
    try {
      open(await take(api.POST("/api/projects/sample", { body: { kind } })));
    } catch (error) {
      toastProblem(error);
      setBusy(null);
    }
  }

  return (
    <section className="home-samples" aria-labelledby="home-samples">
      <h2 id="home-samples">{t("home.samples")}</h2>
      <ul className="home-sample-list">
        {samples.map(({ kind, icon }) => (
          <li key={kind}>
            <button type="button" className="home-sample" aria-busy={busy === kind} disabled={busy !== null} onClick={() => void create(kind)}>
              <span className="home-sample-icon">{busy === kind ? <span className="spinner" /> : <Icon name={icon} size={24} />}</span>
              <span>
                <strong>{t(`home.sample_${kind}`)}</strong>
                <span className="muted small">{t(`home.sample_${kind}_about`)}</span>
              </span>
              <Icon name="next" size={18} />
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function ImportProject() {
  const open = useOpen();
  const input = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);

  async function bring(file: File | undefined): Promise<void> {
    if (!file) return;
    setBusy(true);
    try {
      open(await send<Shapes["Project"]>("POST", `/api/projects/archive?name=${encodeURIComponent(file.name)}`, file));
    } catch (error) {
      toastProblem(error);
    } finally {
      setBusy(false);
    }
  }

  return (
    <>
      <Button icon="upload" busy={busy} onClick={() => input.current?.click()}>
        {t("home.import")}
      </Button>
      <input ref={input} type="file" accept=".zip" hidden aria-label={t("home.import")} onChange={(event) => {
        void bring(event.target.files?.[0]);
        event.target.value = "";
      }} />
    </>
  );
}

function First({ readOnly }: { readOnly: boolean }) {
  return (
    <div className="home-first">
      <div className="home-hero">
        <h1>{t("home.hero")}</h1>
        <p>{t("home.hero_about")}</p>
        {!readOnly && <NewProject />}
        <ol className="home-ways">
          {(["collect", "check", "train", "export"] as const).map((step) => (
            <li key={step}>
              <span className="home-way-icon">
                <Icon name={step} />
              </span>
              <strong>{t(`shell.step_${step}`)}</strong>
              <span className="small muted">{t(`home.way_${step}`)}</span>
            </li>
          ))}
        </ol>
      </div>
      {!readOnly && (
        <div className="stack">
          <Samples />
          <div className="row home-import">
            <span className="muted">{t("home.import_about")}</span>
            <ImportProject />
          </div>
        </div>
      )}
    </div>
  );
}

export default function Home() {
  const projects = useProjects();
  const readOnly = useAbout().data?.read_only ?? false;
  const [making, setMaking] = useState(false);

  if (projects.isPending) return <Loading label={t("shell.loading")} />;
  if (projects.error) return <Notice tone="error" title={t("home.failed")}>{projects.error.message}</Notice>;
  if (projects.data.length === 0) return <First readOnly={readOnly} />;
  return (
    <>
      <div className="page-head">
        <h1>{t("home.projects")}</h1>
        {!readOnly && (
          <div className="row">
            <ImportProject />
            <Button look="primary" icon="add" onClick={() => setMaking(true)}>
              {t("home.new")}
            </Button>
          </div>
        )}
      </div>
      <ul className="home-projects">
        {projects.data.map((project) => (
          <li key={project.id}>
            <ProjectCard project={project} readOnly={readOnly} />
          </li>
        ))}
      </ul>
      {!readOnly && projects.data.length < 4 && (
        <Card className="home-more">
          <Samples />
        </Card>
      )}
      {making && (
        <Dialog title={t("home.new")} size="small" onClose={() => setMaking(false)}>
          <NewProject autoFocus />
        </Dialog>
      )}
    </>
  );
}
