// A class: its name, how many samples it has, the newest of them, and the ways to add more.

import { useEffect, useId, useRef, useState } from "react";
import { Link } from "wouter";
import { api, useChange, type Shapes } from "@/api";
import { Button, Dialog, Icon, Menu, Select, classColour } from "@/design";
import { Thumb, useNewest } from "@/samples";
import { number, t } from "@/words";
import { useChooser } from "./drop-zone";
import type { Incoming } from "./incoming";
import { fault, meant } from "./names";
import { kept } from "./parts";

const SHOWN = 12;

const FIRST = 6; // cards that surely are in the first window

/** Whether an element has come near the window: classes further down ask for nothing yet. */
function useSeen(surely: boolean): [React.RefObject<HTMLElement | null>, boolean] {
  const element = useRef<HTMLElement>(null);
  const [seen, setSeen] = useState(surely);
  useEffect(() => {
    if (!element.current || surely) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && (setSeen(true), observer.disconnect()), { rootMargin: "400px" });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [surely]);
  return [element, seen];
}

/** A name that becomes an input when it is clicked; Enter keeps, Escape forgets. */
export function ClassName({ project, name, readOnly, editing, onEditing }: { project: Shapes["Project"]; name: string; readOnly: boolean; editing: boolean; onEditing: (on: boolean) => void }) {
  const change = useChange(project.id);
  const [draft, setDraft] = useState(name);
  const [asking, setAsking] = useState<{ to: string; there: string; same: boolean } | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const others = project.classes.filter((other) => other.name !== name);
  const problem = editing ? fault(draft) : null;
  useEffect(() => {
    if (editing) {
      setDraft(name);
      input.current?.select();
    }
  }, [editing, name]);

  const where = { params: { path: { p: project.id } } };
  const rename = (to: string) => void change(api.POST("/api/projects/{p}/classes/rename", { ...where, body: { name, to } }), t("collect.renamed", { name, to }));
  const merge = (to: string) => void change(api.POST("/api/projects/{p}/classes/merge", { ...where, body: { names: [name], to } }), t("collect.merged", { name, to }));

  function keep(): void {
    const to = draft.trim();
    if (problem) return;
    onEditing(false);
    if (!to || to === name) return;
    const there = meant(to, others);
    if (there) setAsking({ to, there: there.name, same: there.same });
    else rename(to);
  }

  if (editing) {
    return (
      <>
        <input
          ref={input}
          className="input class-name-input"
          value={draft}
          aria-label={t("collect.class_name")}
          aria-invalid={problem ? true : undefined}
          autoFocus
          onChange={(event) => setDraft(event.target.value)}
          onBlur={keep}
          onKeyDown={(event) => {
            if (event.key === "Enter") {
              event.preventDefault(); // else the same key presses a button of the question that opens
              event.currentTarget.blur();
            }
            if (event.key === "Escape") {
              setDraft(name);
              onEditing(false);
            }
          }}
        />
        {problem && (
          <p className="field-fault" role="alert">
            {problem}
          </p>
        )}
      </>
    );
  }
  return (
    <>
      <h2 className="class-name">
        {readOnly ? (
          <span>{name}</span>
        ) : (
          <button type="button" title={t("collect.rename")} onClick={() => onEditing(true)}>
            {name}
            <Icon name="edit" size={15} />
          </button>
        )}
      </h2>
      {asking && (
        <Dialog
          title={t("collect.twin", { name: asking.there })}
          size="small"
          onClose={() => setAsking(null)}
          actions={
            <>
              <Button onClick={() => setAsking(null)}>{t("shell.cancel")}</Button>
              {!asking.same && (
                <Button
                  onClick={() => {
                    setAsking(null);
                    rename(asking.to);
                  }}
                >
                  {t("collect.twin_rename")}
                </Button>
              )}
              <Button
                look="primary"
                data-autofocus
                onClick={() => {
                  setAsking(null);
                  merge(asking.there);
                }}
              >
                {t("collect.merge")}
              </Button>
            </>
          }
        >
          {t("collect.twin_merge", { name, to: asking.there })}
        </Dialog>
      )}
    </>
  );
}

function MergeDialog({ project, name, onClose }: { project: Shapes["Project"]; name: string; onClose: () => void }) {
  const change = useChange(project.id);
  const others = project.classes.filter((other) => other.name !== name);
  const [to, setTo] = useState(others[0]?.name ?? "");
  return (
    <Dialog
      title={t("collect.merge_title", { name })}
      size="small"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{t("shell.cancel")}</Button>
          <Button
            look="primary"
            onClick={() => {
              onClose();
              void change(api.POST("/api/projects/{p}/classes/merge", { params: { path: { p: project.id } }, body: { names: [name], to } }), t("collect.merged", { name, to }));
            }}
          >
            {t("collect.merge")}
          </Button>
        </>
      }
    >
      <Select label={t("collect.merge_into")} value={to} onChange={(event) => setTo(event.target.value)} data-autofocus>
        {others.map((other) => (
          <option key={other.name}>{other.name}</option>
        ))}
      </Select>
    </Dialog>
  );
}

interface ClassCardProps {
  project: Shapes["Project"];
  card: Shapes["ClassCard"];
  index: number;
  readOnly: boolean;
  onFiles: (files: Incoming[], target: string) => void;
  onRecord: (device: "camera" | "microphone") => void;
}

export function ClassCard({ project, card, index, readOnly, onFiles, onRecord }: ClassCardProps) {
  const [editing, setEditing] = useState(false);
  const [merging, setMerging] = useState(false);
  const change = useChange(project.id);
  const [element, seen] = useSeen(index < FIRST);
  const newest = useNewest(project.id, card.name, card.count, SHOWN, seen);
  const chooser = useChooser((files) => onFiles(files, card.name));
  const title = useId();
  const href = `?${new URLSearchParams({ class: card.name })}`;
  const remove = () =>
    void change(api.POST("/api/projects/{p}/classes/delete", { params: { path: { p: project.id } }, body: { name: card.name } }), t("collect.class_deleted", { name: card.name, count: card.count }));

  return (
    <article ref={element} className="class-card card" data-class={card.name} aria-labelledby={title} tabIndex={-1}>
      <header className="class-head">
        <span className="class-dot" style={{ background: classColour(index) }} aria-hidden="true" />
        <span id={title} className="class-title">
          <ClassName project={project} name={card.name} readOnly={readOnly} editing={editing} onEditing={setEditing} />
        </span>
        <span className="class-count number muted">
          <span className="class-count-long">{t("collect.count", { count: card.count })}</span>
          <span className="class-count-short" aria-hidden="true">
            {number(card.count)}
          </span>
          {kept(card) > 0 && <span className="small class-count-parts">{t("collect.parts_class", { count: kept(card) })}</span>}
        </span>
        {!readOnly && (
          <Menu
            label={t("collect.class_menu", { name: card.name })}
            items={[
              { label: t("collect.rename"), icon: "edit", run: () => setEditing(true) },
              { label: t("collect.merge_menu"), icon: "merge", disabled: project.classes.length < 2, run: () => setMerging(true) },
              { label: t("collect.choose_folder"), icon: "folder", run: chooser.folder },
              { label: t("collect.delete_class"), icon: "trash", danger: true, run: remove },
            ]}
          />
        )}
      </header>
      {card.count > 0 ? (
        <Link href={href} className="class-strip" aria-label={t("collect.open_class", { name: card.name, count: card.count })}>
          {newest.slice(0, card.count > SHOWN ? SHOWN - 1 : SHOWN).map((sample) => (
            <Thumb key={sample.id} p={project.id} s={sample.id} size={96} glimpse={sample.glimpse} />
          ))}
          {card.count > SHOWN && <span className="class-more number">+{card.count - SHOWN + 1}</span>}
        </Link>
      ) : (
        <p className="class-empty small muted">{t(readOnly ? "collect.class_empty_read_only" : "collect.class_empty")}</p>
      )}
      {card.count > 0 && kept(card) === card.count && (
        <p className="class-untrained small">
          <Icon name="warning" size={15} />
          {t("collect.nothing_to_learn")}
        </p>
      )}
      {!readOnly && (
        <footer className="class-foot">
          <Button small icon="upload" onClick={chooser.files}>
            {t("collect.upload")}
          </Button>
          {project.modality !== "audio" && (
            <Button small icon="camera" onClick={() => onRecord("camera")}>
              {t("recording.camera")}
            </Button>
          )}
          {project.modality !== "image" && (
            <Button small icon="microphone" onClick={() => onRecord("microphone")}>
              {t("recording.microphone")}
            </Button>
          )}
          {chooser.inputs}
        </footer>
      )}
      {merging && <MergeDialog project={project} name={card.name} onClose={() => setMerging(false)} />}
    </article>
  );
}
