// Lists of samples, however long: the beginning at once, the rest in the background.

import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { api, keys, take, type Shapes } from "@/api";

export type Sample = Shapes["Sample"];
/** What samples are used for; `train`: all that are not kept for a test. */
export type Part = "train" | "validation" | "test";
export type Sort = "added" | "name" | "doubt";

export interface Filter {
  label?: string | undefined;
  query?: string;
  ids?: readonly string[];
  part?: Part | undefined;
  sort?: Sort;
}

export interface SampleList {
  total: number;
  samples: readonly Sample[];
  /** Nothing has come yet. */
  pending: boolean;
  error: Error | null;
}

const FIRST = 300;
const MORE = 1000;
const NAMED = 400; // ids that fit into an address

export function useSamples(p: string, { label, query = "", ids, part, sort = "added" }: Filter, enabled = true): SampleList {
  const named = ids?.slice(0, NAMED).join(",");
  const found = useInfiniteQuery({
    queryKey: keys.project(p, "samples", { label, query, ids: named, part, sort }),
    queryFn: ({ pageParam: offset, signal }) =>
      take(
        api.GET("/api/projects/{p}/samples", {
          params: {
            path: { p },
            query: { sort, offset, limit: offset === 0 ? FIRST : MORE, ...(label !== undefined && { label }), ...(query && { query }), ...(named !== undefined && { ids: named }), ...(part && { split: part }) },
          },
          signal,
        }),
      ),
    initialPageParam: 0,
    getNextPageParam: (last) => (last.samples.length > 0 && last.offset + last.samples.length < last.total ? last.offset + last.samples.length : undefined),
    placeholderData: keepPreviousData,
    enabled,
  });

  const { hasNextPage, isFetching, fetchNextPage } = found;
  useEffect(() => {
    if (hasNextPage && !isFetching) void fetchNextPage();
  }, [hasNextPage, isFetching, fetchNextPage]);

  const samples = useMemo(() => found.data?.pages.flatMap((page) => page.samples) ?? [], [found.data]);
  return { total: found.data?.pages.at(-1)?.total ?? 0, samples, pending: found.isPending, error: found.error };
}

/** The `n` samples of a class that were added last, the newest first. `count`: how many it has. */
export function useNewest(p: string, label: string, count: number, n: number, enabled = true): readonly Sample[] {
  const found = useQuery({
    queryKey: keys.project(p, "newest", label, count, n),
    queryFn: () => take(api.GET("/api/projects/{p}/samples", { params: { path: { p }, query: { label, offset: Math.max(0, count - n), limit: n } } })),
    placeholderData: keepPreviousData,
    enabled: enabled && count > 0,
  });
  return useMemo(() => found.data?.samples.toReversed() ?? [], [found.data]);
}
