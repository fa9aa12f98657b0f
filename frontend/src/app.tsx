// The root: which page an address means. Each page is a folder below pages/ and is fetched when it is first shown.

import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, type ComponentType } from "react";
import { Route, Switch } from "wouter";
import { client, Problem, useEvents, useProject, type Shapes } from "./api";
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

const modules = import.meta.glob<{ default: ComponentType<PageProps> }>("./pages/*/index.tsx");

function page(name: string): ComponentType<PageProps> {
  const load = modules[`./pages/${name}/index.tsx`];
  return load ? lazy(load) : () => <EmptyState icon="info" title={t("shell.no_page")} />;
}

const pages = Object.fromEntries(steps.map((step) => [step, page(step)])) as Record<Step, ComponentType<PageProps>>;
const Home = page("home") as ComponentType;

function ProjectPage({ p, step, rest }: { p: string; step: string; rest: string }) {
  const project = useProject(p);
  const Page = pages[step as Step];
  if (project.isPending) return <Loading label={t("shell.loading")} />;
  if (project.error instanceof Problem && project.error.status === 404) return <Missing title={t("shell.no_project")} />;
  if (!project.data) throw project.error;
  if (!Page) return <Missing title={t("shell.no_page")} />;
  return (
    <ProjectLayout project={project.data} step={step as Step}>
      <Boundary key={`${p}/${step}`}>
        <Suspense fallback={<Loading label={t("shell.loading")} />}>
          <Page key={p} project={project.data} rest={rest} />
        </Suspense>
      </Boundary>
    </ProjectLayout>
  );
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
      <Switch>
        <Route path="/">
          <HomeLayout>
            <Suspense fallback={<Loading label={t("shell.loading")} />}>
              <Home />
            </Suspense>
          </HomeLayout>
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
