// Collect: classes and what is in them. The address says which class is open and which import waits.

import { useEffect, useRef, useState, type FormEvent } from "react";
import { useLocation, useSearch } from "wouter";
import { api, useAbout, useChange, type Shapes } from "@/api";
import type { PageProps } from "@/app";
import { Button, ButtonLink, Icon, TextField } from "@/design";
import { pathOf } from "@/shell/steps";
import { t } from "@/words";
import { CameraDialog } from "./camera-dialog";
import { ClassCard } from "./class-card";
import { ClassView } from "./class-view";
import { DropZone, useChooser } from "./drop-zone";
import { ImportPart } from "./import-dialog";
import { useImporting } from "./importing";
import type { Incoming } from "./incoming";
import { MicrophoneDialog } from "./microphone-dialog";
import { fault, meant } from "./names";
import "./collect.css";

const ENOUGH = 5; // samples a class, to begin with

/** Brings a class that is there already before the eyes. */
function show(name: string): void {
  const card = document.querySelector<HTMLElement>(`[data-class="${CSS.escape(name)}"]`);
  card?.scrollIntoView({ block: "center" });
  card?.focus();
}

function NewClass({ project }: { project: Shapes["Project"] }) {
  const change = useChange(project.id);
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const use = useRef<HTMLButtonElement>(null);
  const there = meant(name, project.classes);
  const problem = fault(name);

  async function add(): Promise<void> {
    setBusy(true);
    if (await change(api.POST("/api/projects/{p}/classes", { params: { path: { p: project.id } }, body: { name: name.trim() } }))) setName("");
    setBusy(false);
  }
  function submit(event: FormEvent): void {
    event.preventDefault();
    if (there) use.current?.focus();
    else if (name.trim() && !problem) void add();
  }

  return (
    <form className="class-new" onSubmit={submit}>
      <TextField label={t("collect.new_class")} placeholder={t("collect.new_class_example")} value={name} fault={problem} onChange={(event) => setName(event.target.value)} />
      <Button type="submit" icon="add" busy={busy}>
        {t("collect.add_class")}
      </Button>
      <div role="status" className="class-twin">
        {there && (
          <>
            <span>{t("collect.twin", { name: there.name })}</span>
            <Button
              ref={use}
              small
              onClick={() => {
                setName("");
                show(there.name);
              }}
            >
              {t("collect.twin_use")}
            </Button>
            {!there.same && (
              <Button small busy={busy} onClick={() => void add()}>
                {t("collect.twin_add", { name: name.trim() })}
              </Button>
            )}
          </>
        )}
      </div>
    </form>
  );
}

/** What is missing before a model can learn, or what comes next. */
function Next({ project }: { project: Shapes["Project"] }) {
  const short = project.classes.filter(({ count }) => count < ENOUGH);
  const single = project.classes.find(({ count, sources }) => count >= ENOUGH && sources < 2);
  if (project.classes.length >= 2 && short.length === 0 && !single) {
    return (
      <ButtonLink look="primary" icon="check" href={pathOf(project.id, "check")}>
        {t("collect.next")}
      </ButtonLink>
    );
  }
  const first = short[0];
  return (
    <p className="small muted collect-missing" role="status">
      {first && project.classes.length > 1
        ? t("collect.need_more", { name: first.name, count: ENOUGH - first.count })
        : single
          ? t("collect.need_take", { name: single.name })
          : t("collect.need_classes")}
    </p>
  );
}

function First({ onFiles }: { onFiles: (files: Incoming[]) => void }) {
  const chooser = useChooser(onFiles);
  return (
    <section className="collect-first">
      <span className="empty-icon">
        <Icon name="upload" size={28} />
      </span>
      <h2>{t("collect.first")}</h2>
      <p className="muted">{t("collect.first_about")}</p>
      <div className="row">
        <Button look="primary" icon="folder" onClick={chooser.folder}>
          {t("collect.choose_folder")}
        </Button>
        <Button icon="file" onClick={chooser.files}>
          {t("collect.choose_files")}
        </Button>
      </div>
      {chooser.inputs}
    </section>
  );
}

function Summary({ project }: { project: Shapes["Project"] }) {
  const kind = project.modality === "audio" ? "collect.sounds" : project.modality === "image" ? "collect.pictures" : "collect.samples";
  const tested = project.classes.reduce((sum, one) => sum + one.validation + one.test, 0);
  const words = [t("collect.classes", { count: project.classes.length }), t(kind, { count: project.samples })];
  if (tested > 0) words.push(t("collect.parts", { count: tested }));
  if (project.takes > 0) words.push(t("collect.takes", { count: project.takes }));
  return <p className="number">{words.join(" · ")}</p>;
}

export default function Collect({ project }: PageProps) {
  useSearch(); // renders again when the query of the address changes
  const [, go] = useLocation();
  const asked = new URLSearchParams(location.search);
  const readOnly = useAbout().data?.read_only ?? false;
  const { importing, state } = useImporting(project.id);
  const [recording, setRecording] = useState<{ label: string; device: "camera" | "microphone" } | null>(null);
  const label = asked.get("class") ?? undefined;
  const everything = asked.has("all");
  const open = everything || (label !== undefined && project.classes.some(({ name }) => name === label));
  const waiting = asked.get("import");
  const chooser = useChooser((files) => void importing.begin(files));
  const here = pathOf(project.id, "collect");

  useEffect(() => {
    if (!waiting) return;
    void importing.look(waiting, undefined, true);
    go(here, { replace: true });
  }, [waiting, importing, go, here]);

  const bring = (files: Incoming[], target?: string) => void importing.begin(files, target);
  const look = (name: string | undefined) => go(name === undefined ? `${here}?all` : `${here}?${new URLSearchParams({ class: name })}`);
  const record = recording && {
    p: project.id,
    label: recording.label,
    onClose: () => setRecording(null),
    onUpload: () => {
      setRecording(null);
      chooser.files();
    },
  };

  return (
    <>
      {open ? (
        <ClassView project={project} label={label} readOnly={readOnly} onLabel={look} />
      ) : (
        <>
          <div className="page-head">
            <div>
              <h1>{t("collect.title")}</h1>
              <Summary project={project} />
            </div>
            <div className="row collect-actions">
              {project.samples > 0 && (
                <Button icon="grid" onClick={() => look(undefined)}>
                  {t("collect.show_all")}
                </Button>
              )}
              {!readOnly && project.classes.length > 0 && (
                <Button icon="folder" onClick={chooser.folder}>
                  {t("collect.choose_folder")}
                </Button>
              )}
              {project.classes.length > 0 && <Next project={project} />}
            </div>
          </div>
          <div className="stack">
            {state.phase === "left" && <ImportPart project={project} importing={importing} state={state} />}
            {project.classes.length === 0 && !readOnly && <First onFiles={bring} />}
            <div className="class-list">
              {project.classes.map((card, index) => (
                <ClassCard
                  key={card.name}
                  project={project}
                  card={card}
                  index={index}
                  readOnly={readOnly}
                  onFiles={bring}
                  onRecord={(device) => setRecording({ label: card.name, device })}
                />
              ))}
              {!readOnly && <NewClass project={project} />}
            </div>
          </div>
        </>
      )}
      {!readOnly && <DropZone target={open ? label : undefined} onFiles={bring} />}
      {chooser.inputs}
      {state.phase !== "left" && <ImportPart project={project} importing={importing} state={state} />}
      {record && recording.device === "camera" && <CameraDialog {...record} />}
      {record && recording.device === "microphone" && <MicrophoneDialog {...record} />}
    </>
  );
}
