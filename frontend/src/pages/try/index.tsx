// Try: the newest model, or another, on what the camera sees, the microphone hears, or files hold. The server answers; what
// was tried can be kept as training data.

import { useLocation } from "wouter";
import type { PageProps } from "@/app";
import { useAbout, useRuns, type Shapes } from "@/api";
import { Badge, ButtonLink, EmptyState, Loading } from "@/design";
import { RunSelect } from "@/jobs/run-select";
import { t } from "@/words";
import { Trial } from "./trial";
import "./try.css";

export default function Try({ project, rest }: PageProps) {
  const [, go] = useLocation();
  const runs = useRuns(project.id);
  const readOnly = useAbout().data?.read_only ?? false;
  const sorted = [...(runs.data ?? [])].sort((a, b) => b.created - a.created);
  const run = sorted.find(({ id }) => id === rest) ?? sorted[0];
  const modality = project.modality ?? "image";

  return (
    <>
      <header className="page-head">
        <div>
          <h1>{t("try.title")}</h1>
          <p>{t(modality === "image" ? "try.lead_image" : "try.lead_audio")}</p>
        </div>
        {run && <RunPicker runs={sorted} run={run} onChange={(id) => go(`/p/${project.id}/try${id === sorted[0]?.id ? "" : `/${id}`}`)} />}
      </header>
      {runs.isPending ? (
        <Loading label={t("shell.loading")} />
      ) : run ? (
        <Trial key={run.id} project={project} run={run} modality={modality} readOnly={readOnly} />
      ) : (
        <EmptyState
          icon="try"
          title={t("try.no_runs")}
          action={
            <ButtonLink look="primary" icon="train" href={`/p/${project.id}/train`}>
              {t("try.to_train")}
            </ButtonLink>
          }
        >
          {t("try.no_runs_how")}
        </EmptyState>
      )}
    </>
  );
}

function RunPicker({ runs, run, onChange }: { runs: Shapes["RunCard"][]; run: Shapes["RunCard"]; onChange: (id: string) => void }) {
  return (
    <div className="try-run">
      <RunSelect runs={runs} run={run} onChange={onChange} />
      {run.stale && (
        <Badge tone="warning" icon="warning">
          {t("try.stale")}
        </Badge>
      )}
    </div>
  );
}
