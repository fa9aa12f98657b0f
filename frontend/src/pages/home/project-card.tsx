// A project as it looks among others: covers, what is in it, how good its best model is.

import { useState } from "react";
import { Link } from "wouter";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { api, keys, take, url, useFreshen, type Shapes } from "@/api";
import { Badge, Button, Confirm, Dialog, Icon, Menu, TextField, tooLong, toast, toastProblem } from "@/design";
import { beatsChance } from "@/jobs/names";
import { pathOf } from "@/shell/steps";
import { bytes, number, percent, t, when } from "@/words";

export const LONGEST_NAME = 120; // of a project, in characters, as the server takes them

type Asking = "rename" | "delete" | "trash" | null;

function Rename({ project, onClose }: { project: Shapes["ProjectCard"]; onClose: () => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState(project.name);
  const problem = tooLong(name, LONGEST_NAME);
  return (
    <Dialog title={t("home.rename")} size="small" onClose={onClose}>
      <form
        className="home-new"
        onSubmit={(event) => {
          event.preventDefault();
          if (problem) return;
          take(api.PATCH("/api/projects/{p}", { params: { path: { p: project.id } }, body: { name } })).then(() => {
            void queries.invalidateQueries({ queryKey: keys.projects });
            void queries.invalidateQueries({ queryKey: keys.project(project.id) });
            onClose();
          }, toastProblem);
        }}
      >
        <TextField label={t("home.name")} value={name} fault={problem} required data-autofocus onChange={(event) => setName(event.target.value)} />
        <Button type="submit" look="primary">
          {t("home.rename")}
        </Button>
      </form>
    </Dialog>
  );
}

function Delete({ project, onClose }: { project: Shapes["ProjectCard"]; onClose: () => void }) {
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);
  return (
    <Confirm
      title={t("home.delete_title", { name: project.name })}
      action={t("home.delete")}
      danger
      busy={busy}
      onClose={onClose}
      onConfirm={() => {
        setBusy(true);
        take(api.DELETE("/api/projects/{p}", { params: { path: { p: project.id } } }))
          .then(() => {
            const look = () => void queries.invalidateQueries({ queryKey: keys.projects });
            const back = () => take(api.POST("/api/projects/{p}/recover", { params: { path: { p: project.id } } })).then(look, toastProblem);
            toast(t("home.deleted", { name: project.name }), { label: t("shell.undo"), run: () => void back() });
            look();
            onClose();
          }, toastProblem)
          .finally(() => setBusy(false));
      }}
    >
      {t("home.delete_about", { count: project.samples })}
    </Confirm>
  );
}

function EmptyTrash({ project, trash, onClose }: { project: Shapes["ProjectCard"]; trash: Shapes["Trash"]; onClose: () => void }) {
  const freshen = useFreshen(project.id);
  const [busy, setBusy] = useState(false);
  return (
    <Confirm
      title={t("home.trash_title", { name: project.name })}
      action={t("home.trash_do")}
      danger
      busy={busy}
      onClose={onClose}
      onConfirm={() => {
        setBusy(true);
        take(api.DELETE("/api/projects/{p}/trash", { params: { path: { p: project.id } } }))
          .then((done) => {
            freshen(done.project);
            toast(t("home.trash_done", { size: bytes(trash.bytes) }));
            onClose();
          }, toastProblem)
          .finally(() => setBusy(false));
      }}
    >
      {t("home.trash_about", { count: trash.files, size: bytes(trash.bytes) })}
    </Confirm>
  );
}

function Covers({ project }: { project: Shapes["ProjectCard"] }) {
  if (project.covers.length === 0) {
    return (
      <div className="home-cover empty-cover">
        <Icon name="collect" size={32} />
      </div>
    );
  }
  return (
    <div className="home-cover">
      {project.covers.slice(0, 4).map((sample) => (
        <img key={sample} src={url.thumb(project.id, sample)} alt="" width={96} height={96} />
      ))}
    </div>
  );
}

export function ProjectCard({ project, readOnly }: { project: Shapes["ProjectCard"]; readOnly: boolean }) {
  const [asking, setAsking] = useState<Asking>(null);
  const trash = useQuery({
    queryKey: keys.project(project.id, "trash"),
    queryFn: () => take(api.GET("/api/projects/{p}/trash", { params: { path: { p: project.id } } })),
    enabled: false, // when the menu opens
  });
  const there = trash.data && trash.data.files > 0 ? trash.data : null;
  const kind = project.modality === "audio" ? "sounds" : project.modality === "image" ? "images" : "samples_count";
  const archive = { label: t("home.download"), icon: "download" as const, run: () => location.assign(url.archive(project.id)) };
  return (
    <article className="home-project card">
      <Covers project={project} />
      <div className="home-project-words">
        <h2 className="clip">
          <Link href={pathOf(project.id, "collect")}>{project.name}</Link>
        </h2>
        <p className="small muted number">
          {t("home.classes", { count: project.classes })} · {t(`home.${kind}`, { count: project.samples })}
        </p>
        <div className="row home-project-marks">
          {project.busy && <Badge tone="accent">{t("home.busy")}</Badge>}
          {project.score ? (
            <Badge {...(beatsChance(project.score) ? { tone: "good", icon: "target" } : {})}>
              {t("home.score", {
                value: percent(project.score.value, 0),
                low: number(project.score.low * 100),
                high: percent(project.score.high, 0),
              })}
            </Badge>
          ) : (
            !project.busy && <Badge>{t("home.no_model")}</Badge>
          )}
          <span className="small muted home-when">{when(project.updated)}</span>
        </div>
      </div>
      <div className="home-project-menu">
        <Menu
          label={t("home.actions", { name: project.name })}
          onOpen={() => void trash.refetch()}
          items={
            readOnly
              ? [archive]
              : [
                  { label: t("home.rename"), icon: "edit", run: () => setAsking("rename") },
                  archive,
                  {
                    label: there ? t("home.empty_trash", { count: there.files, size: bytes(there.bytes) }) : t(trash.data ? "home.trash_is_empty" : "home.trash_looking"),
                    icon: "trash",
                    disabled: !there,
                    run: () => setAsking("trash"),
                  },
                  { label: t("home.delete"), icon: "trash", danger: true, run: () => setAsking("delete") },
                ]
          }
        />
      </div>
      {asking === "rename" && <Rename project={project} onClose={() => setAsking(null)} />}
      {asking === "trash" && there && <EmptyTrash project={project} trash={there} onClose={() => setAsking(null)} />}
      {asking === "delete" && <Delete project={project} onClose={() => setAsking(null)} />}
    </article>
  );
}
