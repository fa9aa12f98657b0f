// One sample, large: seen or heard, with what is known of it, and what can be done with it. Arrows go through the list.

import { useEffect, type KeyboardEvent } from "react";
import { api, url, useChange, type Shapes } from "@/api";
import { Badge, Button, Dialog, DownloadLink, IconButton, Select } from "@/design";
import { bytes, has, number, t, when } from "@/words";
import type { Sample } from "./list";
import { SoundView } from "./sound-view";
import "./sample-dialog.css";

interface SampleDialogProps {
  project: Shapes["Project"];
  samples: readonly Sample[];
  index: number;
  onIndex: (index: number) => void;
  onClose: () => void;
  readOnly?: boolean;
}

export const flagWords = (kind: string): string => (has(`samples.flag_${kind}`) ? t(`samples.flag_${kind}`) : kind);

function facts(sample: Sample): [string, string][] {
  const rows: [string, string][] = [];
  if (sample.width && sample.height) rows.push([t("samples.size"), `${number(sample.width)} × ${number(sample.height)}`]);
  if (sample.seconds != null) rows.push([t("samples.length"), t("shell.seconds", { n: number(sample.seconds, 2) })]);
  if (sample.rate_hz) rows.push([t("samples.rate"), t("samples.hz", { n: sample.rate_hz })]);
  rows.push([t("samples.bytes"), bytes(sample.bytes)]);
  rows.push([t("samples.added"), when(sample.added)]);
  if (sample.group) rows.push([t("samples.take"), sample.group]);
  if (sample.split) rows.push([t("samples.part"), t(`samples.part_${sample.split}`)]);
  return rows;
}

export function SampleDialog({ project, samples, index, onIndex, onClose, readOnly = false }: SampleDialogProps) {
  const change = useChange(project.id);
  const at = Math.min(index, samples.length - 1);
  const sample = samples[at];

  useEffect(() => {
    if (!sample) onClose();
  }, [sample, onClose]);
  if (!sample) return null;

  const press = (event: KeyboardEvent) => {
    if ((event.target as Element).closest("input, select, [role=menu]")) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) onIndex(Math.min(samples.length - 1, Math.max(0, at + step)));
    if (event.key === "Delete" && !readOnly) remove();
  };
  const move = (label: string) =>
    void change(api.POST("/api/projects/{p}/samples/move", { params: { path: { p: project.id } }, body: { ids: [sample.id], label } }), t("samples.moved", { count: 1, label }));
  const remove = () =>
    void change(api.POST("/api/projects/{p}/samples/delete", { params: { path: { p: project.id } }, body: { ids: [sample.id] } }), t("samples.deleted", { count: 1 }));

  return (
    <Dialog title={<span className="sample-name">{sample.name}</span>} size="large" onClose={onClose}>
      <div className="sample" onKeyDown={press}>
        <div className="sample-media">
          {project.modality === "audio" ? (
            <SoundView key={sample.id} p={project.id} sample={sample} />
          ) : (
            <img className="sample-picture" src={url.preview(project.id, sample.id)} alt={t("samples.picture", { name: sample.name, label: sample.label })} width={sample.width ?? undefined} height={sample.height ?? undefined} />
          )}
        </div>
        <div className="row apart">
          <div className="row">
            <IconButton icon="back" label={t("samples.previous")} disabled={at === 0} onClick={() => onIndex(at - 1)} data-autofocus />
            <span className="number small muted" aria-live="polite">
              {t("samples.of", { n: at + 1, total: samples.length })}
            </span>
            <IconButton icon="next" label={t("samples.next")} disabled={at === samples.length - 1} onClick={() => onIndex(at + 1)} data-autofocus />
          </div>
          <div className="row sample-flags">
            {(sample.flags ?? []).map((flag) => (
              <Badge key={flag} tone="warning" icon="warning">
                {flagWords(flag)}
              </Badge>
            ))}
          </div>
        </div>
        <div className="sample-foot">
          <dl className="sample-facts small">
            {facts(sample).map(([name, value]) => (
              <div key={name}>
                <dt className="muted">{name}</dt>
                <dd className="number">{value}</dd>
              </div>
            ))}
          </dl>
          <div className="row sample-actions">
            {!readOnly && (
              <Select label={t("samples.class")} value={sample.label} onChange={(event) => move(event.target.value)}>
                {project.classes.map(({ name }) => (
                  <option key={name} value={name}>
                    {name}
                  </option>
                ))}
              </Select>
            )}
            <DownloadLink href={url.file(project.id, sample.id)}>{t("samples.download")}</DownloadLink>
            {!readOnly && (
              <Button look="danger" icon="trash" onClick={remove}>
                {t("samples.delete")}
              </Button>
            )}
          </div>
        </div>
      </div>
    </Dialog>
  );
}
