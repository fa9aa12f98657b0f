// Which class something tried belongs to, and putting it there. Live things become a take, files an import: both can be undone.

import { useState, type FormEvent } from "react";
import { api, send, take, useFreshen, useUndo, type Shapes } from "@/api";
import { Button, Dialog, TextField, tooLong, toast, toastProblem } from "@/design";
import { t } from "@/words";
import type { Tried } from "./asking";
import { Media } from "./shown";

const LONGEST_CLASS = 200; // characters, as the server takes them

interface Props {
  project: Shapes["Project"];
  tried: Tried;
  modality: "image" | "audio";
  device: string;
  onClose: () => void;
}

export function Keep({ project, tried, modality, device, onClose }: Props) {
  const p = project.id;
  const freshen = useFreshen(p);
  const undo = useUndo(p);
  const [adding, setAdding] = useState<string | null>(null);
  const [fresh, setFresh] = useState("");
  const problem = tooLong(fresh, LONGEST_CLASS);

  async function keep(label: string): Promise<void> {
    setAdding(label);
    try {
      const action = await (tried.name ? imported(p, tried, label) : recorded(p, tried, label, device));
      freshen(await take(api.GET("/api/projects/{p}", { params: { path: { p } } })));
      toast(t("try.kept", { label }), undo(action));
      onClose();
    } catch (error) {
      toastProblem(error);
      setAdding(null);
    }
  }

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (fresh.trim() && !problem && adding === null) void keep(fresh.trim());
  }

  return (
    <Dialog title={t("try.keep_title")} onClose={onClose} size="small">
      <div className="stack">
        <p className="muted">{t("try.keep_how")}</p>
        <Media className="try-kept" p={p} file={tried.blob} modality={modality} label={t("try.freeze")} />
        <ul className="try-classes">
          {project.classes.map(({ name }) => (
            <li key={name}>
              <Button busy={adding === name} aria-disabled={adding !== null} onClick={() => adding === null && void keep(name)} look={name === tried.label && !tried.unknown ? "primary" : "plain"}>
                {name}
              </Button>
            </li>
          ))}
        </ul>
        <form className="try-new-class" onSubmit={submit}>
          <TextField label={t("try.keep_new")} value={fresh} fault={problem} onChange={(event) => setFresh(event.target.value)} />
          <Button type="submit" icon="add" disabled={!fresh.trim() || problem !== null} busy={adding !== null && adding === fresh.trim()}>
            {t("try.keep_add")}
          </Button>
        </form>
      </div>
    </Dialog>
  );
}

/** Answers what undo takes back. */
async function recorded(p: string, tried: Tried, label: string, device: string): Promise<string | null | undefined> {
  const path = { p };
  const { id } = await take(api.POST("/api/projects/{p}/takes", { params: { path }, body: { label, source: "try", device } }));
  const { samples, action } = await send<Shapes["Recorded"]>("PUT", `/api/projects/${p}/takes/${id}/samples`, tried.blob);
  if (samples.length === 0) throw new Error(t("try.kept_already"));
  return action;
}

/** A file stays as it is and keeps its name. */
async function imported(p: string, tried: Tried, label: string): Promise<string | null | undefined> {
  const { id } = await take(api.POST("/api/projects/{p}/imports", { params: { path: { p } } }));
  const params = { params: { path: { p, i: id } } };
  try {
    await send("PUT", `/api/projects/${p}/imports/${id}/files?path=${encodeURIComponent(tried.name)}`, tried.blob);
    const preview = await take(api.GET("/api/projects/{p}/imports/{i}", params));
    if (preview.duplicates > 0) throw new Error(t("try.kept_already"));
    return (await take(api.POST("/api/projects/{p}/imports/{i}/confirm", { ...params, body: { unlabelled: label, move: false, keep_parts: true } }))).action;
  } catch (error) {
    void api.DELETE("/api/projects/{p}/imports/{i}", params).catch(() => undefined);
    throw error;
  }
}
