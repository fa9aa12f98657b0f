// Understand: how good a model is, where it is wrong, and what would make it better. Every number opens its samples.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import type { PageProps } from "@/app";
import { api, keys, Problem, take, url, useChange, useRuns, type Shapes } from "@/api";
import { Button, ButtonLink, Dialog, EmptyState, Icon, Loading, Menu, Notice, TextField, tooLong, toastProblem } from "@/design";
import { RunSelect, runName, useReadOnly } from "@/jobs";
import { pathOf } from "@/shell/steps";
import { language, t, unbroken } from "@/words";
import { useDetail, useNames } from "./asking";
import { Classes } from "./classes";
import { Confidence } from "./confidence";
import { Confusion } from "./confusion";
import { Doubts } from "./doubts";
import { Explanations } from "./explanations";
import { Facts, Figures } from "./figures";
import { Headline } from "./headline";
import { Learning } from "./learning";
import type { Result } from "./result";
import { SamplesDialog, type Opened } from "./samples-dialog";
import { Section } from "./section";
import { Stale } from "./stale";
import "./understand.css";

type Run = Shapes["RunCard"];

export default function Understand({ project, rest }: PageProps) {
  const runs = useRuns(project.id);
  const sorted = [...(runs.data ?? [])].sort((a, b) => b.created - a.created);
  const wanted = rest.split("/")[0] ?? "";
  const id = wanted || sorted[0]?.id;
  const detail = useDetail(project.id, id);
  const missing = detail.error instanceof Problem && detail.error.status === 404;

  return (
    <>
      <header className="page-head">
        <div>
          <h1>{t("understand.title")}</h1>
          <p>{t("understand.lead")}</p>
        </div>
        {sorted.length > 0 && <Picker project={project} runs={sorted} run={sorted.find((run) => run.id === id)} />}
      </header>
      {runs.isPending || (id !== undefined && detail.isPending) ? (
        <Loading label={t("understand.loading")} />
      ) : sorted.length === 0 && !detail.data ? (
        <EmptyState
          icon="understand"
          title={t("understand.empty_title")}
          action={
            <ButtonLink look="primary" icon={project.samples > 0 ? "train" : "collect"} href={pathOf(project.id, project.samples > 0 ? "train" : "collect")}>
              {t(project.samples > 0 ? "understand.empty_action" : "train.empty_action")}
            </ButtonLink>
          }
        >
          {t("understand.empty_lead")} {project.samples > 0 && t("understand.empty_have", { classes: project.classes.length, count: project.samples })}
        </EmptyState>
      ) : missing ? (
        <EmptyState icon="search" title={t("understand.not_found")}>
          {t("understand.not_found_lead")}
        </EmptyState>
      ) : detail.error ? (
        <Notice tone="error" title={detail.error.message}>
          {detail.error instanceof Problem && <p>{detail.error.hint}</p>}
        </Notice>
      ) : detail.data ? (
        <Report key={detail.data.card.id} project={project} detail={detail.data} newest={sorted[0]} />
      ) : (
        <Loading label={t("understand.loading")} />
      )}
    </>
  );
}

function Report({ project, detail, newest }: { project: Shapes["Project"]; detail: Shapes["RunDetail"]; newest: Run | undefined }) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const result = detail.result as Result;
  const run = detail.card.id;
  const names = useNames(project.id, run, result.doubtful);
  return (
    <div className="stack understand">
      <Stale project={project} detail={detail} newest={newest} />
      <Headline detail={detail} result={result} onOpen={setOpened} />
      {detail.advice.length > 0 && (
        <Section title={t("understand.advice")}>
          <ol className="understand-advice">
            {detail.advice.map((line, i) => (
              <li key={i}>{[...names].reduce((text, [file, name]) => text.replaceAll(file, name), unbroken(line))}</li>
            ))}
          </ol>
        </Section>
      )}
      {result.confusion && result.confusion.labels.length > 0 && <Confusion confusion={result.confusion} onOpen={setOpened} />}
      <Doubts project={project} run={run} doubts={result.doubtful} />
      <Classes result={result} onOpen={setOpened} />
      <Explanations project={project} run={run} />
      <div className="understand-pair">
        <Learning p={project.id} run={run} curve={(detail.curve as Result["curve"]) ?? result.curve} named={detail.named ?? {}} />
        {result.calibration && <Confidence calibration={result.calibration} onOpen={setOpened} />}
      </div>
      <Figures result={result} named={detail.named ?? {}} />
      <Facts card={detail.card} result={result} named={detail.named ?? {}} />
      {opened && <SamplesDialog project={project} run={run} opened={opened} onClose={() => setOpened(null)} />}
    </div>
  );
}

function Picker({ project, runs, run }: { project: Shapes["Project"]; runs: readonly Run[]; run: Run | undefined }) {
  const [, go] = useLocation();
  const change = useChange(project.id);
  const readOnly = useReadOnly();
  const [naming, setNaming] = useState(false);
  const remove = async () => {
    if (!run) return;
    go(pathOf(project.id, "understand")); // nothing asks for it any more
    await change(api.DELETE("/api/projects/{p}/runs/{r}", { params: { path: { p: project.id, r: run.id } } }), t("understand.deleted", { name: runName(run) }));
  };
  return (
    <div className="understand-picker">
      <RunSelect hideLabel runs={runs} run={run} onChange={(id) => go(pathOf(project.id, "understand", id))} />
      {run && (
        <>
          <a className="button plain" href={url.report(project.id, run.id, language())} target="_blank" rel="noopener noreferrer">
            <Icon name="file" size={18} />
            <span>
              {t("understand.report")} <span className="unseen">({t("understand.report_new_tab")})</span>
            </span>
          </a>
          <Menu
            label={t("understand.more")}
            items={[
              { label: t("understand.rename"), icon: "edit", disabled: readOnly, run: () => setNaming(true) },
              { label: t("understand.map"), icon: "lasso", run: () => go(pathOf(project.id, "check", run.id)) },
              { label: t("shell.step_try"), icon: "try", run: () => go(pathOf(project.id, "try", run.id)) },
              { label: t("shell.step_export"), icon: "export", run: () => go(pathOf(project.id, "export", run.id)) },
              { label: t("understand.delete"), icon: "trash", danger: true, disabled: readOnly, run: () => void remove() },
            ]}
          />
        </>
      )}
      {naming && run && <Rename project={project} run={run} onClose={() => setNaming(false)} />}
    </div>
  );
}

const LONGEST_NAME = 200; // characters, as the server takes them

function Rename({ project, run, onClose }: { project: Shapes["Project"]; run: Run; onClose: () => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState(runName(run));
  const problem = tooLong(name, LONGEST_NAME);
  const can = name.trim() !== "" && problem === null;
  const save = useMutation({
    mutationFn: () => take(api.PATCH("/api/projects/{p}/runs/{r}", { params: { path: { p: project.id, r: run.id } }, body: { name: name.trim() } })),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: keys.project(project.id) });
      onClose();
    },
    onError: toastProblem,
  });
  return (
    <Dialog
      title={t("understand.rename_title")}
      size="small"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{t("shell.cancel")}</Button>
          <Button look="primary" busy={save.isPending} disabled={!can} onClick={() => save.mutate()}>
            {t("understand.save")}
          </Button>
        </>
      }
    >
      <TextField label={t("understand.rename_label")} value={name} fault={problem} onChange={(event) => setName(event.target.value)} onKeyDown={(event) => event.key === "Enter" && can && save.mutate()} />
    </Dialog>
  );
}
