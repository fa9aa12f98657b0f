// Export: a card for each target, with what it is for, what was measured of it and how to use it; and the whole project as
// one file. Targets come from the server's registry: new ones appear by themselves.

import { useQuery } from "@tanstack/react-query";
import { useLocation } from "wouter";
import type { PageProps } from "@/app";
import { api, keys, take, url, useAbout, useRuns, type Shapes } from "@/api";
import { ButtonLink, Card, DownloadLink, EmptyState, Loading, Notice, Select } from "@/design";
import { useStart } from "@/jobs/job-part";
import { percent, t, when } from "@/words";
import { Elsewhere } from "./elsewhere";
import { Target } from "./target";
import "./export.css";

/** What most people want comes first; what is not named here follows. */
const ORDER = ["page", "bundle", "onnx", "int8", "bundle-int8", "fp16", "openvino", "pt2", "torchscript"];

const useFormats = () => useQuery({ queryKey: ["formats"], queryFn: () => take(api.GET("/api/formats")), staleTime: Infinity });

const useExports = (p: string, r: string | undefined) =>
  useQuery({
    queryKey: keys.project(p, "exports", r),
    queryFn: () => take(api.GET("/api/projects/{p}/runs/{r}/exports", { params: { path: { p, r: r ?? "" } } })),
    enabled: r !== undefined,
  });

export default function Export({ project, rest }: PageProps) {
  const p = project.id;
  const [, go] = useLocation();
  const runs = useRuns(p);
  const sorted = [...(runs.data ?? [])].sort((a, b) => b.created - a.created);
  const run = sorted.find(({ id }) => id === rest) ?? sorted[0];

  return (
    <>
      <header className="page-head">
        <div>
          <h1>{t("export.title")}</h1>
          <p>{t("export.lead")}</p>
        </div>
        {run && (
          <div className="export-run">
            <Select label={t("export.run")} value={run.id} onChange={(event) => go(`/p/${p}/export/${event.target.value}`)}>
              {sorted.map((other) => (
                <option key={other.id} value={other.id}>
                  {other.name}, {when(other.created)}
                  {other.score ? ` (${percent(other.score.value)})` : ""}
                </option>
              ))}
            </Select>
          </div>
        )}
      </header>
      <div className="stack export-stack">
        {runs.isPending ? (
          <Loading label={t("shell.loading")} />
        ) : run ? (
          <Targets key={run.id} project={project} run={run} />
        ) : (
          <EmptyState
            icon="export"
            title={t("export.no_runs")}
            action={
              <ButtonLink look="primary" icon="train" href={`/p/${p}/train`}>
                {t("export.to_train")}
              </ButtonLink>
            }
          >
            {t("export.no_runs_how")}
          </EmptyState>
        )}
        <Archive project={project} />
      </div>
    </>
  );
}

function Targets({ project, run }: { project: Shapes["Project"]; run: Shapes["RunCard"] }) {
  const formats = useFormats();
  const exported = useExports(project.id, run.id);
  const start = useStart(project.id);
  const readOnly = useAbout().data?.read_only ?? false;
  if (formats.isPending || exported.isPending) return <Loading label={t("shell.loading")} />;
  const fault = formats.error ?? exported.error;
  if (!formats.data || !exported.data) return <Notice tone="error" title={fault?.message} />;
  const place = (name: string) => (ORDER.indexOf(name) + 1 || ORDER.length + 1);
  const sorted = [...formats.data].sort((a, b) => place(a.name) - place(b.name));
  const cards = new Map(exported.data.map((card) => [card.format, card]));
  const here = sorted.filter((format) => format.available);

  return (
    <>
      <ul className="export-targets">
        {here.map((format) => (
          <li key={format.name}>
            <Target
              project={project}
              run={run}
              format={format}
              card={cards.get(format.name)}
              readOnly={readOnly}
              starting={start.isPending && start.variables.formats?.[0] === format.name}
              primary={cards.size === 0 && format === here[0]}
              onStart={(acceptDrop) => start.mutate({ kind: "export", run: run.id, formats: [format.name], accept_drop: acceptDrop, title: format.name })}
            />
          </li>
        ))}
      </ul>
      <Elsewhere formats={sorted.filter((format) => !format.available)} />
    </>
  );
}

function Archive({ project }: { project: Shapes["Project"] }) {
  return (
    <Card className="export-archive">
      <div>
        <h2>{t("export.archive")}</h2>
        <p className="muted">{t("export.archive_about")}</p>
      </div>
      <DownloadLink href={url.archive(project.id)}>{t("export.archive_download")}</DownloadLink>
    </Card>
  );
}
