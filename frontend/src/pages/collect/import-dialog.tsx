// What an import would do, before it does: classes found, counts, what cannot be used and why. Everything can be changed.

import { useId, useState } from "react";
import { useFreshen, type Shapes } from "@/api";
import { Badge, Button, Checkbox, Dialog, Notice, Progress, Segments, Select, Table, toast, toastProblem } from "@/design";
import { bytes, number, t } from "@/words";
import { api, take } from "@/api";
import type { Importing, ImportState, Preview } from "./importing";

type Found = Preview["classes"][number];
type Named = Record<string, string>;

const FOLDERS = "";

function Facts({ preview }: { preview: Preview }) {
  const kind = preview.modality === "audio" ? "collect.sounds" : preview.modality === "image" ? "collect.pictures" : "collect.samples";
  return (
    <p className="row number">
      <Badge tone="accent">{t(kind, { count: preview.files })}</Badge>
      <Badge>{bytes(preview.bytes)}</Badge>
      {preview.duplicates > 0 && (
        <Badge tone="warning" icon="copy">
          {t("collect.duplicates", { count: preview.duplicates })}
        </Badge>
      )}
    </p>
  );
}

function ClassRow({ found, name, list, onName }: { found: Found; name: string; list: string; onName: (name: string) => void }) {
  return (
    <li className="import-class">
      <Checkbox
        label={
          <span className="import-class-name">
            {found.name} <span className="muted number">· {number(found.count)}</span>
          </span>
        }
        checked={name !== ""}
        onChange={(event) => onName(event.target.checked ? found.name : "")}
      />
      <div className="import-class-to">
        <input
          className="input"
          list={list}
          value={name}
          maxLength={200}
          placeholder={t("collect.left_out")}
          aria-label={t("collect.class_for", { name: found.name })}
          onChange={(event) => onName(event.target.value)}
        />
        {name === found.name && !found.exists && found.similar && (
          <button type="button" className="import-similar" onClick={() => onName(found.similar ?? "")}>
            {t("collect.similar", { name: found.similar })}
          </button>
        )}
      </div>
    </li>
  );
}

function TableChoice({ table, asFound, columns, onColumns }: { table: Shapes["FoundTable"]; asFound: boolean; columns: { file: string; label: string }; onColumns: (columns: { file: string; label: string }) => void }) {
  return (
    <div className="stack tight">
      {asFound && table.problem ? <Notice tone="warning" title={table.problem} /> : asFound && <p className="muted">{t("collect.table_matched", { count: table.matched, missing: table.missing })}</p>}
      <div className="row import-columns">
        {(["file", "label"] as const).map((which) => (
          <Select key={which} label={t(`collect.column_${which}`)} value={columns[which]} onChange={(event) => onColumns({ ...columns, [which]: event.target.value })}>
            {!columns[which] && <option value="">—</option>}
            {table.columns.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </Select>
        ))}
      </div>
      <Table caption={t("collect.table_rows", { path: table.path })}>
        <thead>
          <tr>
            {table.columns.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.slice(0, 4).map((row, n) => (
            <tr key={n}>
              {row.map((cell, column) => (
                <td key={column}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </Table>
    </div>
  );
}

function Rejects({ rejects }: { rejects: Shapes["Reject"][] }) {
  if (rejects.length === 0) return null;
  return (
    <details className="import-rejects">
      <summary>{t("collect.rejects", { count: rejects.length })}</summary>
      <ul className="small">
        {rejects.slice(0, 200).map((reject, n) => (
          <li key={n}>
            {!reject.reason.includes(reject.path) && <strong>{reject.path}: </strong>}
            {reject.reason}
          </li>
        ))}
      </ul>
      {rejects.length > 200 && <p className="small muted">{t("collect.and_more", { count: rejects.length - 200 })}</p>}
    </details>
  );
}

function PreviewDialog({ project, importing, state }: { project: Shapes["Project"]; importing: Importing; state: Extract<ImportState, { phase: "preview" }> }) {
  const { preview } = state;
  const { target } = importing;
  const freshen = useFreshen(project.id);
  const list = useId();
  const [busy, setBusy] = useState(false);
  const [names, setNames] = useState<Named>(() => Object.fromEntries(preview.classes.map(({ name }) => [name, target ?? name])));
  const [rest, setRest] = useState(target ?? (project.classes.length === 1 ? (project.classes[0]?.name ?? "") : ""));
  const best = preview.tables.find((table) => !table.problem && table.matched > 0);
  const [path, setPath] = useState(preview.classes.length === 0 && target === undefined && best ? best.path : FOLDERS);
  const table = preview.tables.find((one) => one.path === path);
  const [columns, setColumns] = useState<{ file: string; label: string }>({ file: best?.file_column ?? "", label: best?.label_column ?? "" });

  // How many rows fit is known for the columns that were found; for others the server says it when it is done.
  const asFound = table && columns.file === (table.file_column ?? "") && columns.label === (table.label_column ?? "");
  const adding = table
    ? asFound
      ? table.matched
      : columns.file && columns.label
        ? null
        : 0
    : preview.classes.reduce((sum, found) => sum + (names[found.name]?.trim() ? found.count : 0), 0) + (rest.trim() ? preview.unlabelled : 0);
  const choose = (next: string) => {
    setPath(next);
    const one = preview.tables.find((other) => other.path === next);
    setColumns({ file: one?.file_column ?? "", label: one?.label_column ?? "" });
  };

  async function confirm(): Promise<void> {
    setBusy(true);
    try {
      const choice = table
        ? { table: table.path, file_column: columns.file || null, label_column: columns.label || null, unlabelled: rest.trim() || null }
        : { classes: names, unlabelled: rest.trim() || null };
      const done = await take(importing.confirm(choice));
      importing.forget();
      freshen(done.project);
      const added = done.project.samples - project.samples;
      toast(t("collect.imported", { count: added }), {
        label: t("shell.undo"),
        run: () => void take(api.POST("/api/projects/{p}/undo", { params: { path: { p: project.id } } })).then((back) => freshen(back.project), toastProblem),
      });
    } catch (error) {
      toastProblem(error);
      setBusy(false);
    }
  }

  return (
    <Dialog
      title={t("collect.preview")}
      size="large"
      onClose={() => importing.cancel()}
      actions={
        <>
          <Button onClick={() => importing.cancel()}>{t("shell.cancel")}</Button>
          <Button look="primary" data-autofocus busy={busy} disabled={Boolean(preview.problem && !table) || adding === 0} onClick={() => void confirm()}>
            {adding === null ? t("collect.add_class") : t("collect.add_count", { count: adding })}
          </Button>
        </>
      }
    >
      <div className="stack">
        <p className="muted">{t("collect.preview_about")}</p>
        <Facts preview={preview} />
        {preview.problem && !table && <Notice tone="warning" title={preview.problem} />}
        {preview.tables.length > 0 && (
          <Segments
            label={t("collect.labels_from")}
            value={path}
            onChange={choose}
            options={[{ value: FOLDERS, label: t("collect.by_folders") }, ...preview.tables.map((one) => ({ value: one.path, label: one.path }))]}
          />
        )}
        <datalist id={list}>
          {project.classes.map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        {table ? (
          <TableChoice table={table} asFound={asFound ?? false} columns={columns} onColumns={setColumns} />
        ) : (
          preview.classes.length > 0 && (
            <section>
              <h3>{t("collect.found_classes", { count: preview.classes.length })}</h3>
              <ul className="import-classes">
                {preview.classes.map((found) => (
                  <ClassRow key={found.name} found={found} name={names[found.name] ?? ""} list={list} onName={(name) => setNames({ ...names, [found.name]: name })} />
                ))}
              </ul>
            </section>
          )
        )}
        {preview.unlabelled > 0 && (
          <section className="import-class import-rest">
            <span>{t("collect.unlabelled", { count: preview.unlabelled })}</span>
            <input className="input" list={list} value={rest} maxLength={200} placeholder={t("collect.which_class")} aria-label={t("collect.which_class")} onChange={(event) => setRest(event.target.value)} />
          </section>
        )}
        <Rejects rejects={[...preview.rejects, ...state.refused]} />
      </div>
    </Dialog>
  );
}

function Sending({ importing, state }: { importing: Importing; state: Extract<ImportState, { phase: "sending" | "waiting" }> }) {
  const share = state.phase === "waiting" ? null : state.bytes > 0 ? state.sentBytes / state.bytes : state.sent / Math.max(1, state.files);
  return (
    <Dialog title={t("collect.sending")} size="small" onClose={() => importing.cancel()} actions={<Button onClick={() => importing.cancel()}>{t("shell.cancel")}</Button>}>
      <Progress
        share={share}
        label={t("collect.sending")}
        words={state.phase === "waiting" ? t("collect.reading") : t("collect.sent", { count: state.sent, files: state.files, size: bytes(state.bytes) })}
      />
    </Dialog>
  );
}

/** Whatever the import is at. */
export function ImportPart({ project, importing, state }: { project: Shapes["Project"]; importing: Importing; state: ImportState }) {
  if (state.phase === "preview") return <PreviewDialog key={state.preview.id} project={project} importing={importing} state={state} />;
  if (state.phase === "sending" || state.phase === "waiting") return <Sending importing={importing} state={state} />;
  if (state.phase === "left") {
    return (
      <Notice
        tone="accent"
        title={t("collect.left", { count: state.preview.received.length })}
        action={
          <>
            <Button onClick={() => importing.cancel()}>{t("collect.left_drop")}</Button>
            <Button look="primary" onClick={() => importing.show()}>
              {t("collect.left_show")}
            </Button>
          </>
        }
      >
        <p>{t("collect.left_about")}</p>
      </Notice>
    );
  }
  return null;
}
