// What this page asks of the server about one run.

import { useQuery } from "@tanstack/react-query";
import { api, keys, take, type Shapes } from "@/api";
import { language } from "@/words";
import type { Doubt } from "./result";

export type Prediction = Shapes["Prediction"];

/** Which predictions of a run: all that fit everything that is given. */
export interface Filter {
  true?: string;
  predicted?: string;
  wrong?: boolean;
}

export const useDetail = (p: string, r: string | undefined) =>
  useQuery({
    queryKey: keys.project(p, "run", r, language()),
    queryFn: () => take(api.GET("/api/projects/{p}/runs/{r}", { params: { path: { p, r: r ?? "" }, query: { lang: language() } as never } })),
    enabled: r !== undefined,
    placeholderData: (before, query) => (query?.queryKey[3] === r ? before : undefined),
  });

export const usePredictions = (p: string, r: string, filter: Filter | null) =>
  useQuery({
    queryKey: keys.project(p, "predictions", r, filter),
    queryFn: () => take(api.GET("/api/projects/{p}/runs/{r}/predictions", { params: { path: { p, r }, query: filter ?? {} } })),
    enabled: filter !== null,
    placeholderData: (before, query) => (JSON.stringify(query?.queryKey.slice(3)) === JSON.stringify([r, filter]) ? before : undefined),
  });

export const useExplanations = (p: string, r: string) =>
  useQuery({
    queryKey: keys.project(p, "explanations", r, language()),
    queryFn: () => take(api.GET("/api/projects/{p}/runs/{r}/explanations", { params: { path: { p, r }, query: { lang: language() } as never } })),
  });

/** A run names the files of a project by the ids of their samples; this is the id. */
export const idOf = (file: string): string => (file.split("/").at(-1) ?? file).replace(/\.[^.]*$/, "");

/** What the user calls the files of doubtful labels, by the run's names for them. */
export function useNames(p: string, r: string, doubts: readonly Doubt[] | null | undefined): Map<string, string> {
  const predictions = usePredictions(p, r, doubts?.length ? { wrong: true } : null);
  const names = new Map((predictions.data ?? []).map((one) => [one.id, one.file]));
  return new Map((doubts ?? []).flatMap(({ file }) => (names.has(idOf(file)) ? [[file, names.get(idOf(file)) ?? file] as const] : [])));
}
