// A finding: what it is, its samples, and what one click does about it.

import { useState } from "react";
import { api, useChange, type Shapes } from "@/api";
import { Badge, Button, Card, Dialog, Icon, Select } from "@/design";
import { SampleDialog, Thumb, useSamples } from "@/samples";
import { t, unbroken } from "@/words";
import { actionOf, severityIcon, titleOf, type Finding } from "./kinds";

const SHOWN = 10;

function SamplesDialog({ project, finding, readOnly, onClose }: { project: Shapes["Project"]; finding: Finding; readOnly: boolean; onClose: () => void }) {
  const list = useSamples(project.id, { ids: finding.samples });
  const change = useChange(project.id);
  const [open, setOpen] = useState<number | null>(null);
  const where = { params: { path: { p: project.id } } };
  const suggestions = finding.suggestions ?? {};
  return (
    <Dialog title={titleOf(finding)} size="large" onClose={onClose}>
      <p className="muted">{unbroken(finding.message)}</p>
      <ul className="finding-grid">
        {list.samples.map((sample, index) => (
          <li key={sample.id}>
            <button type="button" className="finding-picture" onClick={() => setOpen(index)} aria-label={t("check.open_sample", { name: sample.name })}>
              <Thumb p={project.id} s={sample.id} size={140} />
            </button>
            <p className="small clip" title={sample.name}>
              {sample.name}
              {suggestions[sample.id] && suggestions[sample.id] !== sample.label && <strong> → {suggestions[sample.id]}</strong>}
            </p>
            {readOnly ? (
              <p className="small muted">{sample.label}</p>
            ) : (
              <div className="finding-sample-tools">
                <Select
                  label={t("check.class_of", { name: sample.name })}
                  hideLabel
                  value={sample.label}
                  onChange={(event) =>
                    void change(
                      api.POST("/api/projects/{p}/samples/move", { ...where, body: { ids: [sample.id], label: event.target.value } }),
                      t("samples.moved", { count: 1, label: event.target.value }),
                    )
                  }
                >
                  {project.classes.map(({ name }) => (
                    <option key={name} value={name}>
                      {name}
                      {suggestions[sample.id] === name ? ` (${t("check.suggested")})` : ""}
                    </option>
                  ))}
                </Select>
                <Button
                  small
                  look="danger"
                  icon="trash"
                  aria-label={t("check.delete_sample", { name: sample.name })}
                  onClick={() => void change(api.POST("/api/projects/{p}/samples/delete", { ...where, body: { ids: [sample.id] } }), t("samples.deleted", { count: 1 }))}
                />
              </div>
            )}
          </li>
        ))}
      </ul>
      {open !== null && <SampleDialog project={project} samples={list.samples} index={open} onIndex={setOpen} onClose={() => setOpen(null)} readOnly={readOnly} />}
    </Dialog>
  );
}

export function FindingItem({ project, finding, readOnly }: { project: Shapes["Project"]; finding: Finding; readOnly: boolean }) {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const change = useChange(project.id);
  const { samples } = finding;

  async function fix(): Promise<void> {
    setBusy(true);
    await change(api.POST("/api/projects/{p}/findings/{f}/fix", { params: { path: { p: project.id, f: finding.id } } }), t("check.fixed", { title: titleOf(finding) }));
    setBusy(false);
  }

  return (
    <Card className={`finding finding-${finding.severity}`}>
      <div className="finding-head">
        <span className="finding-icon">
          <Icon name={severityIcon[finding.severity]} />
        </span>
        <div className="finding-words">
          <h3>
            {titleOf(finding)} {samples.length > 0 && <Badge>{t("check.samples", { count: samples.length })}</Badge>}
          </h3>
          <p>{unbroken(finding.message)}</p>
          {finding.fix && (
            <p className="small muted">
              {t("check.advice")}: {unbroken(finding.fix)}
            </p>
          )}
        </div>
        <div className="row finding-actions">
          {samples.length > 0 && (
            <Button small look={finding.kind === "wrong-label" ? "primary" : "plain"} onClick={() => setOpen(true)} aria-label={t("check.show_of", { title: titleOf(finding) })}>
              {t("check.show")}
            </Button>
          )}
          {finding.action && !readOnly && (
            <Button small look={finding.kind === "wrong-label" ? "plain" : "primary"} busy={busy} onClick={() => void fix()}>
              {actionOf(finding)}
            </Button>
          )}
        </div>
      </div>
      {samples.length > 0 && (
        <div className="finding-strip" onClick={() => setOpen(true)}>
          {samples.slice(0, SHOWN).map((sample) => (
            <Thumb key={sample} p={project.id} s={sample} size={72} />
          ))}
          {samples.length > SHOWN && <span className="finding-more number muted">+{samples.length - SHOWN}</span>}
        </div>
      )}
      {open && <SamplesDialog project={project} finding={finding} readOnly={readOnly} onClose={() => setOpen(false)} />}
    </Card>
  );
}
