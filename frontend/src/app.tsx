// The root: which page an address means. Each page is a folder below pages/ whose code is fetched when it is first shown.

import { QueryClientProvider } from "@tanstack/react-query";
import type { ComponentType } from "react";
import { Route, Switch } from "wouter";
import { client, Problem, useEvents, useProject, type Shapes } from "./api";
import { usePage } from "./code";
import { Updated } from "./shell/updated";
import { ButtonLink, EmptyState, Loading, Toasts } from "./design";
import { Boundary } from "./shell/boundary";
import { Locked } from "./shell/locked";
import { HomeLayout, ProjectLayout } from "./shell/layout";
import { steps, type Step } from "./shell/steps";
import { t, useLanguage } from "./words";

/** What every page of a project gets. `rest` is what follows its name in the address, e.g. a run's id. */
export interface PageProps {
  project: Shapes["Project"];
  rest: string;
}

function ProjectPage({ p, step, rest }: { p: string; step: string; rest: string }) {
  const project = useProject(p);
  if (project.isPending) return <Loading label={t("shell.loading")} />;
  if (project.error instanceof Problem && project.error.status === 404) return <Missing title={t("shell.no_project")} />;
  if (!project.data) throw project.error;
  if (!steps.includes(step as Step)) return <Missing title={t("shell.no_page")} />;
  return (
    <ProjectLayout project={project.data} step={step as Step}>
      <Boundary key={`${p}/${step}`}>
        <StepPage key={p} name={step} project={project.data} rest={rest} />
      </Boundary>
    </ProjectLayout>
  );
}

function StepPage({ name, ...props }: PageProps & { name: string }) {
  const Page = usePage(name);
  return Page ? <Page {...props} /> : <Loading label={t("shell.loading")} />;
}

function Home() {
  const Page = usePage("home") as ComponentType | undefined;
  return <HomeLayout>{Page ? <Page /> : <Loading label={t("shell.loading")} />}</HomeLayout>;
}

function Missing({ title }: { title: string }) {
  return (
    <HomeLayout>
      <EmptyState
        icon="search"
        title={title}
        action={
          <ButtonLink look="primary" href="/">
            {t("shell.to_projects")}
          </ButtonLink>
        }
      />
    </HomeLayout>
  );
}

function Pages() {
  useLanguage();
  const open = useEvents();
  return (
    <Locked>
      {!open && (
        <p className="away" role="status">
          {t("shell.away")}
        </p>
      )}
      <Updated />
      <Switch>
        <Route path="/">
          <Home />
        </Route>
        <Route path="/p/:p/:step?/*?">
          {(params: Record<string, string | undefined>) => <ProjectPage p={params.p ?? ""} step={params.step ?? "collect"} rest={decodeURIComponent(params["*"] ?? "")} />}
        </Route>
        <Route>
          <Missing title={t("shell.no_page")} />
        </Route>
      </Switch>
    </Locked>
  );
}

export function App() {
  return (
    <QueryClientProvider client={client}>
      <Boundary>
        <Pages />
      </Boundary>
      <Toasts />
    </QueryClientProvider>
  );
}
