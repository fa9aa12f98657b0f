// The project went on since the model was trained: say so, retrain, and point to the newer model when it is there.

import { Link } from "wouter";
import type { Shapes } from "@/api";
import { Button, Notice } from "@/design";
import { isActive, JobProgress, runName, useLatest, useReadOnly, useStart, useWish } from "@/jobs";
import { pathOf } from "@/shell/steps";
import { t } from "@/words";

interface Props {
  project: Shapes["Project"];
  detail: Shapes["RunDetail"];
  newest: Shapes["RunCard"] | undefined;
}

export function Stale({ project, detail, newest }: Props) {
  const p = project.id;
  const start = useStart(p);
  const { wish } = useWish(p);
  const job = useLatest(p, "train");
  const readOnly = useReadOnly();
  if (job && isActive(job))
    return (
      <div className="understand-stale">
        <Notice tone="accent" title={t("understand.retraining")} action={<Link href={pathOf(p, "train")}>{t("understand.to_train")}</Link>}>
          <JobProgress job={job} />
        </Notice>
      </div>
    );
  if (newest && newest.id !== detail.card.id && newest.created > detail.card.created)
    return (
      <Notice title={t("understand.newer", { name: runName(newest) })} action={<Link href={pathOf(p, "understand", newest.id)}>{t("understand.newer_open")}</Link>} />
    );
  if (!detail.card.stale) return null;
  const changed = detail.changed?.length ?? 0;
  const gone = detail.gone ?? 0;
  const said = [changed > 0 && t("understand.stale_changed", { count: changed }), gone > 0 && t("understand.stale_gone", { count: gone })].filter(Boolean).join(" ");
  return (
    <div className="understand-stale">
      <Notice
        tone="warning"
        title={said || t("understand.stale_other")}
        action={
          <Button look="primary" icon="train" disabled={readOnly} busy={start.isPending} onClick={() => start.mutate({ kind: "train", settings: wish.settings, preset: wish.preset })}>
            {t("understand.retrain")}
          </Button>
        }
      >
        {(Object.keys(wish.settings).length > 0 || wish.preset) && <p className="small">{t("understand.retrain_about")}</p>}
      </Notice>
    </div>
  );
}
