// The frame around pages: header, steps of a project, and what runs on the machine.

import { useEffect, useRef, type ReactNode } from "react";
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "wouter";
import { keys, useAbout, useStep, type Shapes } from "@/api";
import { IconButton, Icon, toast, toastProblem } from "@/design";
import { has, t } from "@/words";
import { Machine, Settings } from "./machine";
import { pathOf, stepIcons, steps, type Step } from "./steps";
import "./layout.css";

function Header({ children }: { children?: ReactNode }) {
  const about = useAbout();
  return (
    <header className="header">
      <a className="skip" href="#page">
        {t("shell.skip")}
      </a>
      <Link href="/" className="brand" aria-label={t("shell.home")}>
        <img src="/icon.svg" alt="" width={26} height={26} />
        <span>handful</span>
      </Link>
      {children}
      <span className="header-gap" />
      {about.data?.read_only && <span className="badge">{t("shell.read_only")}</span>}
      <Machine />
      <Settings />
    </header>
  );
}

export function HomeLayout({ children }: { children: ReactNode }) {
  useEffect(() => {
    document.title = "handful";
  }, []);
  return (
    <>
      <Header />
      <main id="page" className="page" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

/** `words`: what the server says, for kinds of changes that this page does not know. */
function said(change: Shapes["Change"], words: string): string {
  const key = `shell.change_${change.kind.replaceAll("-", "_")}`;
  const names = (change.names ?? []).slice(0, 3).map((name) => t("shell.quoted", { name })).join(", ") + ((change.names?.length ?? 0) > 3 ? " …" : "");
  const name = change.number ? t("train.numbered", { n: change.number }) : (change.name ?? "");
  return has(key) ? t(key, { count: change.n ?? 0, name, to: change.to ?? "", names }) : words;
}

function History({ project }: { project: Shapes["Project"] }) {
  const queries = useQueryClient();
  const stepping = useStep(project.id);
  const last = useRef(Promise.resolve());
  // One after the other: a second press means what the first one leaves.
  const step = (way: "undo" | "redo") => {
    last.current = last.current.then(async () => {
      const now = queries.getQueryData<Shapes["Project"]>(keys.project(project.id)) ?? project;
      const action = (way === "undo" ? now.undo_change : now.redo_change)?.action;
      if (!action) return;
      await stepping(way, action).then(() => toast(t(way === "undo" ? "shell.undone" : "shell.redone")), toastProblem);
    });
  };

  useEffect(() => {
    function press(event: KeyboardEvent): void {
      const typing = event.target instanceof HTMLElement && event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
      if (typing || document.querySelector("dialog[open]") || !(event.ctrlKey || event.metaKey)) return;
      const key = event.key.toLowerCase();
      const way = key === "z" && !event.shiftKey ? "undo" : key === "y" || (key === "z" && event.shiftKey) ? "redo" : null;
      if (!way || !project[way]) return;
      event.preventDefault();
      step(way);
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });

  const label = (way: "undo" | "redo") => {
    const change = way === "undo" ? project.undo_change : project.redo_change;
    return change ? `${t(`shell.${way}`)}: ${said(change, project[way] ?? "")}` : t(`shell.${way}`);
  };
  return (
    <>
      <IconButton icon="undo" label={label("undo")} disabled={!project.undo} onClick={() => step("undo")} />
      <IconButton icon="redo" label={label("redo")} disabled={!project.redo} onClick={() => step("redo")} />
    </>
  );
}

function Steps({ project, step }: { project: Shapes["Project"]; step: Step }) {
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    const current = list.current?.querySelector<HTMLElement>("[aria-current]");
    if (list.current && current) list.current.scrollLeft = current.offsetLeft - (list.current.clientWidth - current.offsetWidth) / 2;
  }, [step]);
  return (
    <nav className="steps" aria-label={t("shell.steps")}>
      <ul ref={list} className="steps-list">
        {steps.map((name) => (
          <li key={name}>
            <Link href={pathOf(project.id, name)} aria-current={name === step ? "page" : undefined}>
              <Icon name={stepIcons[name]} size={18} />
              {t(`shell.step_${name}`)}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

export function ProjectLayout({ project, step, children }: { project: Shapes["Project"]; step: Step; children: ReactNode }) {
  const readOnly = useAbout().data?.read_only ?? false;
  useEffect(() => {
    document.title = `${t(`shell.step_${step}`)} · ${project.name} · handful`;
  }, [project.name, step]);
  return (
    <>
      <Header>
        <span className="header-project clip" title={project.folder}>
          {project.name}
        </span>
        {!readOnly && (
          <>
            <span className="saved small" title={t("shell.saved_how")}>
              <Icon name="check" size={14} />
              <span>{t("shell.saved")}</span>
            </span>
            <History project={project} />
          </>
        )}
      </Header>
      <Steps project={project} step={step} />
      <main id="page" className="page" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}
