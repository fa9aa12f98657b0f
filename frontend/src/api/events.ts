// Follows what happens on the server, so that pages need not ask: one stream a tab, closed while the tab is hidden
// (a browser allows six connections to a server, over all its tabs).

import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Shapes } from "./client";
import { isOurs, keys, unfinished } from "./queries";

type Job = Shapes["Job"];

function onJob(queries: QueryClient, job: Job): void {
  const before = queries.getQueryData<Job[]>(keys.jobs)?.find((other) => other.id === job.id);
  queries.setQueryData<Job[]>(keys.jobs, (jobs) => jobs && (before ? jobs.map((other) => (other.id === job.id ? job : other)) : [...jobs, job]));
  queries.setQueryData(keys.job(job.id), job);
  if (before?.state !== job.state) {
    void queries.invalidateQueries({ queryKey: keys.jobs });
    void queries.invalidateQueries({ queryKey: keys.projects });
    if (!unfinished(job)) void queries.invalidateQueries({ queryKey: keys.project(job.project) });
  }
}

function onProject(queries: QueryClient, { id, revision }: { id: string; revision: number }): void {
  if (isOurs(id, revision)) return;
  void queries.invalidateQueries({ queryKey: keys.project(id) });
  void queries.invalidateQueries({ queryKey: keys.projects });
}

/** Whether the stream is open. Called once, by the root. */
export function useEvents(): boolean {
  const queries = useQueryClient();
  const [open, setOpen] = useState(true);

  useEffect(() => {
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let after = "";
    let wait = 500;
    let tried = false;

    function connect(): void {
      const again = tried;
      tried = true;
      source = new EventSource(`/api/events${after && `?after=${after}`}`);
      const hear = (kind: string, act: (data: unknown) => void) =>
        source?.addEventListener(kind, (event: MessageEvent<string>) => {
          if (event.lastEventId) after = event.lastEventId;
          act(JSON.parse(event.data || "null"));
        });
      hear("hello", () => {
        // What was missed while away may be more than the server remembers, also where the first call was never answered.
        if (again) void queries.invalidateQueries();
      });
      hear("job", (data) => onJob(queries, data as Job));
      hear("project", (data) => onProject(queries, data as { id: string; revision: number }));
      source.onopen = () => {
        wait = 500;
        setOpen(true);
      };
      source.onerror = () => {
        source?.close();
        setOpen(false);
        timer = setTimeout(connect, wait);
        wait = Math.min(wait * 2, 10_000);
      };
    }

    function follow(): void {
      clearTimeout(timer);
      source?.close();
      if (!document.hidden) connect();
    }

    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      clearTimeout(timer);
      source?.close();
    };
  }, [queries]);

  return open;
}
