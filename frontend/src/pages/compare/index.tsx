// Compare: the table first, charts when asked for. Which runs are compared stands in the address, to be shared and reloaded.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation, useSearch } from "wouter";
import type { PageProps } from "@/app";
import { api, keys, take } from "@/api";
import { Button, ButtonLink, EmptyState, Loading, Notice } from "@/design";
import { Announcer, isActive, JobCard, useLatest, useReadOnly } from "@/jobs";
import { pathOf } from "@/shell/steps";
import { language, t, unbroken } from "@/words";
import { Board } from "./board";
import { Differences } from "./differences";
import { Pareto } from "./pareto";
import { Races } from "./races";
import { StartRace } from "./start-race";
import "./compare.css";

export default function Compare({ project }: PageProps) {
  const p = project.id;
  const [, go] = useLocation();
  const only = new URLSearchParams(useSearch()).get("runs") ?? "";
  const [starting, setStarting] = useState(false);
  const race = useLatest(p, "compare");
  const readOnly = useReadOnly();
  const found = useQuery({
    queryKey: keys.project(p, "comparison", language(), only),
    queryFn: () => take(api.GET("/api/projects/{p}/comparison", { params: { path: { p }, query: { ...(only ? { runs: only } : {}), lang: language() } as never } })),
    placeholderData: (before) => before,
  });
  const rows = found.data?.rows ?? [];
  const races = found.data?.races ?? [];
  const trainable = project.classes.filter((one) => one.count > 0).length > 1;

  return (
    <>
      <header className="page-head">
        <div>
          <h1>{t("compare.title")}</h1>
          <p>{t("compare.lead")}</p>
        </div>
        {trainable && !readOnly && (
          <Button icon="compare" onClick={() => setStarting(true)}>
            {t("compare.race")}
          </Button>
        )}
      </header>
      {race && <Announcer jobs={[race]} />}
      <div className="stack compare">
        {race && (isActive(race) || race.state === "failed" || race.state === "interrupted") && <JobCard key={race.id} job={race} />}
        {found.isPending ? (
          <Loading label={t("shell.loading")} />
        ) : found.error && !found.data ? (
          <Notice tone="error" title={found.error.message} />
        ) : rows.length === 0 && races.length === 0 ? (
          <EmptyState
            icon="compare"
            title={t("compare.empty_title")}
            action={
              <ButtonLink icon={trainable ? "train" : "collect"} look="primary" href={pathOf(p, trainable ? "train" : "collect")}>
                {t(trainable ? "compare.empty_train" : "train.empty_action")}
              </ButtonLink>
            }
          >
            {t(trainable ? "compare.empty_lead" : "compare.empty_samples")}
          </EmptyState>
        ) : (
          <>
            {rows.length === 1 && !only && <Notice>{t("compare.one")}</Notice>}
            {rows.length > 0 && (
              <>
                {rows.length > 1 && found.data?.why && <p className="compare-why">{unbroken(found.data.why)}</p>}
                <Board p={p} rows={rows} narrowed={only !== ""} onOnly={(ids) => go(pathOf(p, "compare") + (ids.length ? `?runs=${ids.join(",")}` : ""))} />
              </>
            )}
            {rows.length > 1 && <Differences rows={rows} differences={found.data?.differences ?? []} />}
            {rows.length > 1 && <Pareto rows={rows} />}
            {races.length > 0 && <Races p={p} races={races} />}
          </>
        )}
      </div>
      {starting && <StartRace project={project} onClose={() => setStarting(false)} />}
    </>
  );
}
