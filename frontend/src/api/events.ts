// Follows what happens on the server, so that pages need not ask: one stream a tab, closed while the tab is hidden
// (a browser allows six connections to a server, over all its tabs). It begins at the number of the last event from before
// the page was sent: what happens while the page fetches its first answers, and before the stream is open, is told as well.

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
  }
  // Told once. The list of jobs may have come after the end, and runs or findings before it.
  if (!unfinished(job)) void queries.invalidateQueries({ queryKey: keys.project(job.project) });
}

function onProject(queries: QueryClient, { id, revision }: { id: string; revision: number }): void {
  if (isOurs(id, revision)) return;
  void queries.invalidateQueries({ queryKey: keys.project(id) });
  void queries.invalidateQueries({ queryKey: keys.projects });
}

/** Number of the last event from before this page was sent, as the server wrote it into index.html. */
const begun = (): string => document.querySelector<HTMLMetaElement>('meta[name="handful-events"]')?.content || "0";

/** Whether the stream is open. Called once, by the root. */
export function useEvents(): boolean {
  const queries = useQueryClient();
  const [open, setOpen] = useState(true);

  useEffect(() => {
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let after = begun();
    let wait = 500;

    function connect(): void {
      source = new EventSource(`/api/events?after=${after}`);
      const hear = (kind: string, act: (data: unknown) => void) =>
        source?.addEventListener(kind, (event: MessageEvent<string>) => {
          if (event.lastEventId) after = event.lastEventId;
          act(JSON.parse(event.data || "null"));
        });
      hear("hello", () => void queries.invalidateQueries()); // more was missed than the server remembers
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
