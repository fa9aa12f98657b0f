// What more than one page asks of the server. Keys of a project begin with ["project", id]: one event freshens all.

import { QueryClient, queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import { toast, toastProblem } from "@/design";
import { t } from "@/words";
import { api, Problem, take, type Shapes } from "./client";

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000, // events say when something changed
      refetchOnWindowFocus: false,
      retry: (count, error) => count < 2 && !(error instanceof Problem && error.status >= 400 && error.status < 500),
    },
  },
});

export const keys = {
  about: ["about"] as const,
  memory: ["memory"] as const,
  projects: ["projects"] as const,
  project: (p: string, ...rest: unknown[]) => ["project", p, ...rest] as const,
  jobs: ["jobs"] as const,
  job: (j: string, ...rest: unknown[]) => ["job", j, ...rest] as const,
};

const about = queryOptions({ queryKey: keys.about, queryFn: () => take(api.GET("/api/about")), staleTime: Infinity });
const memory = queryOptions({ queryKey: keys.memory, queryFn: () => take(api.GET("/api/memory/status")), refetchInterval: 5_000, staleTime: 0 });
const projects = queryOptions({ queryKey: keys.projects, queryFn: () => take(api.GET("/api/projects")) });
const project = (p: string) => queryOptions({ queryKey: keys.project(p), queryFn: () => take(api.GET("/api/projects/{p}", { params: { path: { p } } })) });
const jobs = queryOptions({ queryKey: keys.jobs, queryFn: () => take(api.GET("/api/jobs")) });

export const useAbout = () => useQuery(about);

export const useMemory = () => useQuery(memory);

export const useProjects = () => useQuery(projects);

export const useProject = (p: string) => useQuery(project(p));

/** Asks for what every page shows, before any page is there to ask. `p`: the project of the address, if it names one. */
export function askAhead(p: string | undefined): void {
  const asked = [about, p === undefined ? projects : project(p), jobs];
  for (const one of asked) void client.prefetchQuery(one as typeof about);
}

export const useRuns = (p: string) =>
  useQuery({ queryKey: keys.project(p, "runs"), queryFn: () => take(api.GET("/api/projects/{p}/runs", { params: { path: { p } } })) });

/** All jobs in the order in which they were submitted; kept fresh by events. */
export const useJobs = () => useQuery(jobs);

export const unfinished = (job: Shapes["Job"]): boolean => !["stopped", "interrupted", "failed", "done"].includes(job.state);

/** Projects as they came with our own answers: the event that tells of the same change brings nothing new. */
const ours = new Map<string, { revision: number; time: number }>();

export function isOurs(id: string, revision: number): boolean {
  const own = ours.get(id);
  ours.delete(id); // once: a later event of the same revision tells of something else, e.g. new findings
  return own !== undefined && own.revision === revision && Date.now() - own.time < 2_000;
}

/** Puts a project that came with an answer where `useProject` looks, and asks again for what hangs on it. */
export function useFreshen(p: string): (project?: Shapes["Project"]) => void {
  const queries = useQueryClient();
  return useCallback(
    (project) => {
      if (project) {
        queries.setQueryData(keys.project(p), project);
        ours.set(p, { revision: project.revision, time: Date.now() });
      }
      void queries.invalidateQueries({ queryKey: keys.project(p), predicate: (query) => query.queryKey.length > 2 });
      void queries.invalidateQueries({ queryKey: keys.projects });
    },
    [queries, p],
  );
}

/** What a refusal of undo or redo says: something else was changed since, here or in another window. */
const outdated = (error: unknown) => (error instanceof Problem && error.status === 409 ? new Problem(409, t("shell.outdated"), t("shell.outdated_how")) : error);

/** Takes the named change back, or makes it again, and no other one. Throws a `Problem` where it is not the last any more. */
export function useStep(p: string): (way: "undo" | "redo", action: string) => Promise<Shapes["Done"]> {
  const freshen = useFreshen(p);
  return useCallback(
    async (way, action) => {
      try {
        const done = await take(api.POST(`/api/projects/{p}/${way}`, { params: { path: { p }, query: { action } } }));
        freshen(done.project);
        return done;
      } catch (error) {
        freshen();
        throw outdated(error);
      }
    },
    [p, freshen],
  );
}

/** The undo button of a message about a change; none where there is nothing to take back. */
export function useUndo(p: string): (action: string | null | undefined) => Parameters<typeof toast>[1] {
  const step = useStep(p);
  return useCallback((action) => (action ? { label: t("shell.undo"), run: () => void step("undo", action).catch(toastProblem) } : undefined), [step]);
}

/**
 * Runs a change of a project. When it went well, everything that shows the project is asked for again and `said`
 * (where given) is toasted with a button that takes back this change; when it was refused, the refusal and its hint are.
 * Answers what was done, or null.
 */
export function useChange(p: string): (change: Promise<{ data?: Shapes["Done"] }>, said?: string) => Promise<Shapes["Done"] | null> {
  const freshen = useFreshen(p);
  const undo = useUndo(p);
  return useCallback(
    async (change, said) => {
      try {
        const done = await take(change);
        freshen(done.project);
        if (said) toast(said, undo(done.action));
        return done;
      } catch (error) {
        toastProblem(error);
        return null;
      }
    },
    [freshen, undo],
  );
}
