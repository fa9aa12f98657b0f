// All samples of a class, or of all classes: to look through, to choose from, to move and to delete. Thousands are fine.

import { useCallback, useDeferredValue, useEffect, useMemo, useState, type KeyboardEvent } from "react";
import { Link } from "wouter";
import { api, useChange, type Shapes } from "@/api";
import { Button, EmptyState, Icon, Loading, Notice, Select, TextField, VirtualGrid } from "@/design";
import { flagWords, SampleDialog, Thumb, useSamples, type Part, type Sort } from "@/samples";
import { duration, number, t } from "@/words";
import { AboutParts, kept, keptFor, PartFilter, PartTrouble, UseFor, type Use } from "./parts";

const TILE = 118;
const ALL = "";

interface ClassViewProps {
  project: Shapes["Project"];
  /** Undefined: all classes. */
  label: string | undefined;
  readOnly: boolean;
  onLabel: (label: string | undefined) => void;
}

export function ClassView({ project, label, readOnly, onLabel }: ClassViewProps) {
  const [query, setQuery] = useState("");
  const [sort, setSort] = useState<Sort>("added");
  const [part, setPart] = useState<Part>();
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [open, setOpen] = useState<number | null>(null);
  const list = useSamples(project.id, { label, query: useDeferredValue(query.trim()), part, sort });
  const { samples } = list;
  const change = useChange(project.id);
  const audio = project.modality === "audio";
  const shown = project.classes.filter(({ name }) => label === undefined || name === label);

  // What is no longer shown cannot be meant any more.
  const here = useMemo(() => new Set(samples.map(({ id }) => id)), [samples]);
  const chosen = useMemo(() => [...selected].filter((id) => here.has(id)), [selected, here]);
  useEffect(() => setSelected(new Set()), [label]);

  const where = { params: { path: { p: project.id } } };
  const move = (to: string) =>
    void change(api.POST("/api/projects/{p}/samples/move", { ...where, body: { ids: chosen, label: to } }), t("samples.moved", { count: chosen.length, label: to })).then((ok) => ok && setSelected(new Set()));
  const use = (split: Use) =>
    void change(api.POST("/api/projects/{p}/samples/split", { ...where, body: { ids: chosen, split } }), t(`samples.used_${split || "usual"}`, { count: chosen.length })).then((ok) => ok && setSelected(new Set()));
  const remove = (ids: string[]) =>
    void change(api.POST("/api/projects/{p}/samples/delete", { ...where, body: { ids } }), t("samples.deleted", { count: ids.length })).then((ok) => ok && setSelected(new Set()));

  const idOf = useCallback((index: number) => samples[index]?.id, [samples]);
  const nameOf = useCallback(
    (index: number) => {
      const sample = samples[index];
      if (!sample) return t("shell.loading");
      return [sample.name, label === undefined ? sample.label : "", keptFor(sample), ...(sample.flags ?? []).map(flagWords)].filter(Boolean).join(", ");
    },
    [samples, label],
  );
  const press = (event: KeyboardEvent, index: number): void => {
    const under = samples[index]?.id;
    if (event.key === "Delete" && !readOnly) remove(chosen.length > 0 ? chosen : under ? [under] : []);
  };

  return (
    <div className="class-view">
      <div className="class-view-head">
        <Link href={`/p/${project.id}/collect`} className="button quiet class-view-back">
          <Icon name="back" size={18} />
          <span>{t("collect.all_classes")}</span>
        </Link>
        <h1 className="clip">{label ?? t("collect.everything")}</h1>
        <span className="muted number" role="status">
          {t("collect.count", { count: list.total })}
        </span>
      </div>
      <div className="class-view-tools">
        <Select label={t("collect.class")} hideLabel value={label ?? ALL} onChange={(event) => onLabel(event.target.value === ALL ? undefined : event.target.value)}>
          <option value={ALL}>{t("collect.everything")}</option>
          {project.classes.map(({ name, count }) => (
            <option key={name} value={name}>
              {name} ({number(count)})
            </option>
          ))}
        </Select>
        <TextField label={t("collect.search")} hideLabel type="search" placeholder={t("collect.search")} value={query} onChange={(event) => setQuery(event.target.value)} />
        <PartFilter classes={project.classes} part={part} onPart={setPart} />
        <Select label={t("collect.sort")} hideLabel value={sort} onChange={(event) => setSort(event.target.value as Sort)}>
          {(["added", "name", "doubt"] as const).map((one) => (
            <option key={one} value={one}>
              {t(`collect.sort_${one}`)}
            </option>
          ))}
        </Select>
      </div>
      {!readOnly && (
        <div className={`class-view-chosen${chosen.length > 0 ? "" : " none"}`} role="region" aria-label={t("collect.selection")}>
          <span className="number" role="status">
            {chosen.length > 0 ? t("collect.selected", { count: chosen.length }) : t("collect.select_how")}
          </span>
          {chosen.length > 0 && (
            <>
              <Select label={t("collect.move_to")} hideLabel value="" onChange={(event) => move(event.target.value)}>
                <option value="" disabled>
                  {t("collect.move_to")}
                </option>
                {project.classes
                  .filter(({ name }) => name !== label)
                  .map(({ name }) => (
                    <option key={name}>{name}</option>
                  ))}
              </Select>
              <UseFor onUse={use} />
              <Button look="danger" icon="trash" onClick={() => remove(chosen)}>
                {t("samples.delete")}
              </Button>
              <Button look="quiet" onClick={() => setSelected(new Set())}>
                {t("collect.select_none")}
              </Button>
            </>
          )}
        </div>
      )}
      <PartTrouble classes={shown} samples={samples} whole={!query && !part && samples.length === list.total} />
      {list.error ? (
        <Notice tone="error" title={list.error.message} />
      ) : list.pending ? (
        <Loading label={t("shell.loading")} />
      ) : list.total === 0 ? (
        query || part ? (
          <EmptyState
            icon="search"
            title={query ? t("collect.nothing_found", { query }) : t("collect.nothing_used")}
            action={
              <Button
                onClick={() => {
                  setQuery("");
                  setPart(undefined);
                }}
              >
                {t("collect.search_clear")}
              </Button>
            }
          />
        ) : (
          <EmptyState icon="collect" title={t("collect.class_is_empty")}>
            {t("collect.class_empty")}
          </EmptyState>
        )
      ) : (
        <VirtualGrid
          key={`${label}/${sort}/${query}/${part}`}
          label={t("collect.samples_of", { label: label ?? t("collect.everything") })}
          count={list.total}
          tile={TILE}
          height={audio ? 84 : TILE}
          idOf={idOf}
          nameOf={nameOf}
          selected={selected}
          {...(!readOnly && { onSelect: setSelected })}
          onOpen={setOpen}
          onKey={press}
          render={(index) => {
            const sample = samples[index];
            if (!sample) return null;
            const use = keptFor(sample);
            return (
              <>
                <Thumb p={project.id} s={sample.id} size={TILE} glimpse={sample.glimpse} />
                <span className="tile-foot">
                  {use && <span className="tile-words tile-use">{use}</span>}
                  {audio && sample.seconds != null && <span className="tile-words number">{duration(sample.seconds)}</span>}
                </span>
                {(sample.flags ?? []).length > 0 && (
                  <span className="tile-flag">
                    <Icon name="warning" size={14} />
                  </span>
                )}
              </>
            );
          }}
        />
      )}
      {(chosen.length > 0 || shown.some((card) => kept(card) > 0)) && <AboutParts />}
      {open !== null && <SampleDialog project={project} samples={samples} index={open} onIndex={setOpen} onClose={() => setOpen(null)} readOnly={readOnly} />}
    </div>
  );
}
