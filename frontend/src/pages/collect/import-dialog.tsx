// What an import would do, before it does: classes found, counts, what cannot be used and why. Everything can be changed.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import { keys, take, useFreshen, useUndo, type Shapes } from "@/api";
import { Badge, Button, Checkbox, Dialog, Notice, Progress, Segments, Select, Table, toast, toastProblem } from "@/design";
import { bytes, number, t, unbroken } from "@/words";
import type { Importing, ImportState, Preview } from "./importing";
import { fault, meant } from "./names";

type Found = Preview["classes"][number];
type Named = Record<string, string>;
interface Columns {
  file: string;
  label: string;
}

const FOLDERS = "";

function Facts({ preview }: { preview: Preview }) {
  const twice = preview.twice ?? 0;
  const known = preview.duplicates - twice;
  const kind = preview.modality === "audio" ? "collect.sounds" : preview.modality === "image" ? "collect.pictures" : "collect.samples";
  return (
    <p className="row number">
      <Badge tone="accent">{t(kind, { count: preview.files })}</Badge>
      <Badge>{bytes(preview.bytes)}</Badge>
      {known > 0 && (
        <Badge tone="warning" icon="copy">
          {t("collect.duplicates", { count: known })}
        </Badge>
      )}
      {twice > 0 && (
        <Badge tone="warning" icon="copy">
          {t("collect.duplicates_twice", { count: twice })}
        </Badge>
      )}
    </p>
  );
}

function ClassRow({ found, name, classes, list, onName }: { found: Found; name: string; classes: Shapes["ClassCard"][]; list: string; onName: (name: string) => void }) {
  const problem = fault(name);
  const there = meant(name, classes);
  // Of a name that nobody has changed the server knows more: typing errors, and other folders that may be meant.
  const similar = name === found.name ? (found.exists ? null : found.similar) : there && !there.same ? there.name : null;
  const twin = similar !== null && similar !== undefined && meant(name, [{ name: similar }]) !== undefined;
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
          placeholder={t("collect.left_out")}
          aria-label={t("collect.class_for", { name: found.name })}
          aria-invalid={problem ? true : undefined}
          onChange={(event) => onName(event.target.value)}
        />
        {problem && <p className="field-fault">{problem}</p>}
        {similar && (
          <p className="import-similar">
            {t(twin ? "collect.twin" : "collect.similar", { name: similar })}{" "}
            <Button small onClick={() => onName(similar)}>
              {t("collect.twin_use")}
            </Button>
          </p>
        )}
      </div>
    </li>
  );
}

function TableChoice({ table, columns, onColumns }: { table: Shapes["FoundTable"]; columns: Columns; onColumns: (columns: Columns) => void }) {
  return (
    <div className="stack tight">
      {table.problem ? <Notice tone="warning" title={table.problem} /> : <p className="muted">{t("collect.table_matched", { count: table.matched, missing: table.missing })}</p>}
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
            {unbroken(reject.reason)}
          </li>
        ))}
      </ul>
      {rejects.length > 200 && <p className="small muted">{t("collect.and_more", { count: rejects.length - 200 })}</p>}
    </details>
  );
}

/** Files that came as the part that models are tested on. */
function Parts({ parts, keep, onKeep }: { parts: Record<string, number>; keep: boolean; onKeep: (keep: boolean) => void }) {
  const { train = 0, validation = 0, test = 0 } = parts;
  if (validation + test === 0) return null;
  return (
    <section className="import-part">
      <Checkbox label={t("collect.parts_keep", { count: validation + test })} checked={keep} onChange={(event) => onKeep(event.target.checked)} />
      <p className="small muted number">{t(!keep ? "collect.parts_not" : validation > 0 ? "collect.parts_how_validation" : "collect.parts_how", { train, validation, test })}</p>
    </section>
  );
}

/** Files that are here already, in another class than the one they come with. */
function Elsewhere({ rows, move, onMove }: { rows: { path: string; there: string; to: string }[]; move: boolean; onMove: (move: boolean) => void }) {
  if (rows.length === 0) return null;
  return (
    <section className="import-part">
      <p>{t("collect.elsewhere", { count: rows.length })}</p>
      <Segments
        label={t("collect.elsewhere", { count: rows.length })}
        value={move ? "move" : "leave"}
        onChange={(value) => onMove(value === "move")}
        options={[
          { value: "leave", label: t("collect.elsewhere_leave") },
          { value: "move", label: t("collect.elsewhere_move", { count: rows.length }) },
        ]}
      />
      <details className="import-rejects">
        <summary>{t("collect.elsewhere_which")}</summary>
        <ul className="small">
          {rows.slice(0, 200).map(({ path, there, to }) => (
            <li key={path}>{t("collect.elsewhere_one", { path, there, to })}</li>
          ))}
        </ul>
        {rows.length > 200 && <p className="small muted">{t("collect.and_more", { count: rows.length - 200 })}</p>}
      </details>
    </section>
  );
}

/** The same content in two classes of what came: which class has it is said before anything happens. */
function Torn({ rows }: { rows: { path: string; to: string; first: string; there: string }[] }) {
  if (rows.length === 0) return null;
  return (
    <Notice tone="warning" title={t("collect.torn_files", { count: rows.length })}>
      <ul className="small">
        {rows.slice(0, 20).map(({ path, to, first, there }) => (
          <li key={path}>{t("collect.torn_file", { path, to, first, there })}</li>
        ))}
      </ul>
      {rows.length > 20 && <p className="small">{t("collect.and_more", { count: rows.length - 20 })}</p>}
      <p className="small">{t("collect.torn_fix")}</p>
    </Notice>
  );
}

function PreviewDialog({ project, importing, state }: { project: Shapes["Project"]; importing: Importing; state: Extract<ImportState, { phase: "preview" }> }) {
  const first = state.preview;
  const { target } = importing;
  const freshen = useFreshen(project.id);
  const undo = useUndo(project.id);
  const list = useId();
  const [busy, setBusy] = useState(false);
  const [names, setNames] = useState<Named>({}); // that were changed here
  const [rest, setRest] = useState(target ?? (project.classes.length === 1 ? (project.classes[0]?.name ?? "") : ""));
  const [move, setMove] = useState(false);
  const [keep, setKeep] = useState(true);
  const best = first.tables.find((table) => !table.problem && table.matched > 0);
  const [path, setPath] = useState(first.classes.length === 0 && target === undefined && best ? best.path : FOLDERS);
  const columnsOf = (of: string): Columns => {
    const one = first.tables.find((other) => other.path === of);
    return { file: one?.file_column ?? "", label: one?.label_column ?? "" };
  };
  const [columns, setColumns] = useState<Columns>(() => columnsOf(path));
  const by = useQuery({
    queryKey: keys.project(project.id, "import", first.id, path, columns),
    queryFn: () => importing.preview({ table: path, file_column: columns.file || null, label_column: columns.label || null }),
    enabled: path !== FOLDERS,
    placeholderData: keepPreviousData,
  });
  const preview = path === FOLDERS ? first : (by.data ?? first);
  const table = preview.tables.find((one) => one.path === path);
  const waiting = path !== FOLDERS && (by.isPending || by.isPlaceholderData);

  const nameOf = (found: string) => names[found] ?? (path === FOLDERS && target ? target : found);
  const toOf = (label: string) => (label ? nameOf(label) : rest).trim();
  const elsewhere = (preview.elsewhere ?? []).map((one) => ({ path: one.path, there: one.there, to: toOf(one.label), label: one.label })).filter(({ there, to }) => to && to !== there);
  const torn = (preview.torn ?? []).map((one) => ({ ...one, to: toOf(one.label), there: toOf(one.there) })).filter(({ to, there }) => to && there && to !== there);
  const adding = preview.classes.reduce((sum, found) => sum + (toOf(found.name) ? found.count : 0), 0) + (rest.trim() ? preview.unlabelled : 0);
  const moving = move ? elsewhere.length : 0;
  const labels = [...preview.classes.map(({ name }) => name), ...elsewhere.map(({ label }) => label).filter(Boolean)];
  const wrong = [...labels.map(nameOf), rest].some((name) => fault(name) !== null);

  async function confirm(): Promise<void> {
    setBusy(true);
    try {
      const columnNames = path === FOLDERS ? {} : { table: path, file_column: columns.file || null, label_column: columns.label || null };
      const classes = Object.fromEntries(labels.map((label) => [label, nameOf(label)]));
      const done = await take(importing.confirm({ ...columnNames, classes, unlabelled: rest.trim() || null, move, keep_parts: keep }));
      importing.forget();
      freshen(done.project);
      const added = done.project.samples - project.samples;
      const said = [added > 0 || moving === 0 ? t("collect.imported", { count: added }) : "", moving > 0 ? t("collect.import_moved", { count: moving }) : ""];
      toast(said.filter(Boolean).join(". "), undo(done.action));
    } catch (error) {
      toastProblem(error);
      setBusy(false);
    }
  }

  return (
    <Dialog
      title={t("collect.preview")}
      size="large"
      onClose={() => importing.leave()}
      actions={
        <>
          <Button onClick={() => importing.cancel()}>{t("shell.cancel")}</Button>
          <Button look="primary" data-autofocus busy={busy} disabled={waiting || wrong || adding + moving === 0} onClick={() => void confirm()}>
            {adding === 0 && moving > 0 ? t("collect.move_count", { count: moving }) : t("collect.add_count", { count: adding })}
          </Button>
        </>
      }
    >
      <div className="stack">
        <p className="muted">{t("collect.preview_about")}</p>
        <Facts preview={preview} />
        {preview.problem && !table?.problem && elsewhere.length === 0 && <Notice tone="warning" title={preview.problem} />}
        {preview.tables.length > 0 && (
          <Segments
            label={t("collect.labels_from")}
            value={path}
            onChange={(next) => {
              setPath(next);
              setColumns(columnsOf(next));
            }}
            options={[{ value: FOLDERS, label: t("collect.by_folders") }, ...preview.tables.map((one) => ({ value: one.path, label: one.path }))]}
          />
        )}
        <datalist id={list}>
          {project.classes.map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        {table && <TableChoice table={table} columns={columns} onColumns={setColumns} />}
        {preview.classes.length > 0 && (
          <section>
            <h3>{t("collect.found_classes", { count: preview.classes.length })}</h3>
            <ul className="import-classes">
              {preview.classes.map((found) => (
                <ClassRow key={found.name} found={found} name={nameOf(found.name)} classes={project.classes} list={list} onName={(name) => setNames({ ...names, [found.name]: name })} />
              ))}
            </ul>
          </section>
        )}
        {(preview.unlabelled > 0 || (preview.elsewhere ?? []).some(({ label }) => !label)) && (
          <section className="import-class import-rest">
            <span>{preview.unlabelled > 0 ? t("collect.unlabelled", { count: preview.unlabelled }) : t("collect.which_class")}</span>
            <input className="input" list={list} value={rest} placeholder={t("collect.which_class")} aria-label={t("collect.which_class")} onChange={(event) => setRest(event.target.value)} />
            {fault(rest) && <p className="field-fault">{fault(rest)}</p>}
          </section>
        )}
        <Torn rows={torn} />
        <Parts parts={preview.parts ?? {}} keep={keep} onKeep={setKeep} />
        <Elsewhere rows={elsewhere} move={move} onMove={setMove} />
        <Rejects rejects={[...preview.rejects.filter(({ path: refused }) => !torn.some((one) => one.path === refused)), ...state.refused]} />
      </div>
    </Dialog>
  );
}

function Sending({ importing, state }: { importing: Importing; state: Extract<ImportState, { phase: "sending" | "waiting" }> }) {
  const share = state.phase === "waiting" ? null : state.bytes > 0 ? state.sentBytes / state.bytes : state.sent / Math.max(1, state.files);
  return (
    <Dialog title={t("collect.sending")} size="small" onClose={() => importing.leave()} actions={<Button onClick={() => importing.cancel()}>{t("shell.cancel")}</Button>}>
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
