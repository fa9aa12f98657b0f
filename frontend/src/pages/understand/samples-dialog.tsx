// The samples behind a number: look, listen, select, and say what they really are.

import { useState } from "react";
import { api, url, useChange, type Shapes } from "@/api";
import { Button, Dialog, IconButton, Loading, Select, toast } from "@/design";
import { useReadOnly, useStart } from "@/jobs";
import { SampleDialog } from "@/samples";
import { t } from "@/words";
import { usePredictions, type Filter, type Prediction } from "./asking";
import { named, sureness } from "./result";
import { PlayButton } from "./sound";

const AT_ONCE = 60;

export interface Opened {
  filter: Filter;
  /** which of them, where the server cannot tell */
  keep?: (prediction: Prediction) => boolean;
  title: (count: number) => string;
  /** the class that is probably meant */
  proposal?: string;
}

interface Props {
  project: Shapes["Project"];
  run: string;
  opened: Opened;
  onClose: () => void;
}

export function SamplesDialog({ project, run, opened, onClose }: Props) {
  const predictions = usePredictions(project.id, run, opened.filter);
  const change = useChange(project.id);
  const start = useStart(project.id);
  const readOnly = useReadOnly();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [limit, setLimit] = useState(AT_ONCE);
  const [label, setLabel] = useState(opened.proposal ?? project.classes[0]?.name ?? "");
  const [busy, setBusy] = useState(false);
  const [large, setLarge] = useState<number | null>(null);
  const found = (predictions.data ?? []).filter(opened.keep ?? (() => true));
  const here = found.filter((one) => one.sample);
  const samples = found.flatMap((one) => one.sample ?? []);
  const toggle = (id: string) =>
    setChosen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });

  async function relabel(): Promise<void> {
    setBusy(true);
    const ids = [...chosen];
    const done = await change(api.POST("/api/projects/{p}/samples/move", { params: { path: { p: project.id } }, body: { ids, label } }), t("understand.moved", { count: ids.length, label: named(label) }));
    setBusy(false);
    if (done) setChosen(new Set());
  }

  return (
    <Dialog
      title={predictions.isPending ? t("understand.loading") : opened.title(found.length)}
      size="large"
      onClose={onClose}
      actions={
        here.length > 0 && !readOnly && (
          <div className="understand-relabel">
            <span className="small number" role="status">
              {chosen.size ? t("understand.selected", { count: chosen.size }) : t("understand.samples_hint")}
            </span>
            <Button small look="quiet" onClick={() => setChosen(chosen.size < here.length ? new Set(here.map((one) => one.id)) : new Set())}>
              {t(chosen.size < here.length ? "understand.select_all" : "understand.select_none")}
            </Button>
            <Button
              small
              look="quiet"
              icon="spark"
              disabled={chosen.size === 0}
              busy={start.isPending}
              onClick={() => start.mutate({ kind: "explain", run, settings: { samples: [...chosen] } }, { onSuccess: () => toast(t("understand.explaining", { count: chosen.size })) })}
            >
              {t("understand.explain_these")}
            </Button>
            <div className="understand-relabel-end">
              <Select label={t("understand.move_to")} value={label} onChange={(event) => setLabel(event.target.value)}>
                {project.classes.map((one) => (
                  <option key={one.name} value={one.name}>
                    {one.name}
                  </option>
                ))}
              </Select>
              <Button look="primary" icon="move" disabled={chosen.size === 0} busy={busy} onClick={() => void relabel()}>
                {t("understand.move")}
              </Button>
            </div>
          </div>
        )
      }
    >
      {predictions.isPending ? (
        <Loading label={t("understand.loading")} />
      ) : found.length === 0 ? (
        <p className="muted">{t("understand.samples_none")}</p>
      ) : (
        <div className="stack">
          <ul className="understand-tiles">
            {found.slice(0, limit).map((one) => (
              <li key={one.id}>
                <Tile project={project} one={one} chosen={chosen.has(one.id)} onToggle={() => toggle(one.id)} onOpen={() => setLarge(samples.findIndex((sample) => sample.id === one.id))} />
              </li>
            ))}
          </ul>
          {found.length > limit && (
            <div className="row">
              <Button onClick={() => setLimit(limit + AT_ONCE)}>{t("understand.samples_more", { count: Math.min(AT_ONCE, found.length - limit) })}</Button>
            </div>
          )}
        </div>
      )}
      {large !== null && <SampleDialog project={project} samples={samples} index={large} onIndex={setLarge} onClose={() => setLarge(null)} readOnly={readOnly} />}
    </Dialog>
  );
}

function Tile({ project, one, chosen, onToggle, onOpen }: { project: Shapes["Project"]; one: Prediction; chosen: boolean; onToggle: () => void; onOpen: () => void }) {
  const sample = one.sample;
  const name = sample?.name ?? one.file;
  const said = t("understand.sample_said", { name, truth: named(one.true), predicted: named(one.predicted), confidence: sureness(one.confidence) });
  const right = one.true === one.predicted;
  const moved = sample && sample.label !== one.true ? sample.label : null;
  return (
    <div className={`understand-tile${chosen ? " chosen" : ""}`}>
      <button type="button" className="understand-tile-pick" aria-pressed={chosen} aria-label={said} disabled={!sample} onClick={onToggle}>
        {sample ? <img src={url.thumb(project.id, sample.id)} alt="" loading="lazy" /> : <span className="understand-tile-gone small">{t("understand.sample_gone")}</span>}
        <span className="understand-tile-mark" aria-hidden="true">
          <svg width="14" height="14" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="3">
            <path d="m4 10.500 4 4 8-9" />
          </svg>
        </span>
      </button>
      {sample && (
        <span className="understand-tile-tools">
          {project.modality === "audio" && <PlayButton src={url.preview(project.id, sample.id)} name={name} />}
          <IconButton icon="search" size={16} className="understand-play" label={t("understand.sample_open", { name })} onClick={onOpen} />
        </span>
      )}
      <p className="understand-tile-words small" aria-hidden="true">
        <span className="understand-tile-said number">
          {right ? "✓" : "✕"} {sureness(one.confidence)} <bdi>{one.predicted}</bdi>
        </span>
        <span className="muted clip" title={name}>
          {moved ? t("understand.sample_now", { label: named(moved) }) : name}
        </span>
      </p>
    </div>
  );
}
