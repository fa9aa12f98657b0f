// Export: a card for each target, with what it is for, what was measured of it and how to use it; and the whole project as
// one file. Targets come from the server's registry: new ones appear by themselves.

import { useQuery } from "@tanstack/react-query";
import { useLocation } from "wouter";
import type { PageProps } from "@/app";
import { api, keys, take, url, useAbout, useRuns, type Shapes } from "@/api";
import { ButtonLink, Card, DownloadLink, EmptyState, Loading, Notice } from "@/design";
import { useStart } from "@/jobs/job-part";
import { RunSelect } from "@/jobs/run-select";
import { t } from "@/words";
import { Elsewhere } from "./elsewhere";
import { Target } from "./target";
import "./export.css";

/** What most people want; the rest is folded away. */
const FIRST = ["page", "bundle", "onnx", "int8"];
const ORDER = [...FIRST, "bundle-int8", "fp16", "openvino", "pt2", "torchscript"];

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
            <RunSelect runs={sorted} run={run} onChange={(id) => go(`/p/${p}/export/${id}`)} />
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
  const first = here.filter((format) => FIRST.includes(format.name));
  const more = here.filter((format) => !first.includes(format));
  const elsewhere = sorted.filter((format) => !format.available);
  const list = (some: typeof sorted) => (
    <ul className="export-targets">
      {some.map((format) => (
        <li key={format.name}>
          <Target
            project={project}
            run={run}
            format={format}
            card={cards.get(format.name)}
            readOnly={readOnly}
            starting={start.isPending && start.variables.formats?.[0] === format.name}
            primary={cards.size === 0 && format === first[0]}
            onStart={(acceptDrop) => start.mutate({ kind: "export", run: run.id, formats: [format.name], accept_drop: acceptDrop, title: format.name })}
          />
        </li>
      ))}
    </ul>
  );

  return (
    <>
      {list(first)}
      {more.length + elsewhere.length > 0 && (
        <details className="export-rest" open={more.some((format) => cards.has(format.name)) || undefined}>
          <summary>{t("export.more", { count: more.length + elsewhere.length })}</summary>
          <div className="stack">
            {list(more)}
            <Elsewhere formats={elsewhere} />
          </div>
        </details>
      )}
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
