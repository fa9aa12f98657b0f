// The button: what it will do and how long that takes, or why it cannot. Answers at once, whatever the server does.

import { useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { api, keys, Problem, take, type Shapes } from "@/api";
import { Button, Card, Experts, Icon, Notice } from "@/design";
import { nameOf, usePresets, useReadOnly, useStart, type Wishes } from "@/jobs";
import { language, t, unbroken } from "@/words";
import { Advanced } from "./advanced";
import { Presets } from "./presets";

interface Props {
  project: Shapes["Project"];
  wishes: Wishes;
  queued: boolean;
  elsewhere: Shapes["Job"] | undefined;
}

export function Start({ project, wishes, queued, elsewhere }: Props) {
  const p = project.id;
  const wish = useDeferredValue(wishes.wish);
  const [open, setOpen] = useState<"presets" | "advanced" | null>(null);
  const presets = usePresets(project.modality ?? undefined);
  const preset = presets.find((one) => one.name === wishes.wish.preset);
  const plan = useQuery({
    queryKey: keys.project(p, "plan", language(), project.revision, wish),
    queryFn: () => take(api.POST("/api/projects/{p}/plan", { params: { path: { p }, query: { lang: language() } as never }, body: { settings: wish.settings, preset: wish.preset } })),
    placeholderData: (before) => before,
    retry: false,
  });
  const refused = plan.error instanceof Problem ? [[plan.error.message, plan.error.hint].filter(Boolean).join(" ")] : [];
  const start = useStart(p);
  const begin = () => start.mutate({ kind: preset?.race ? "compare" : "train", settings: wishes.wish.settings, preset: wishes.wish.preset, title: preset?.race ? preset.title : "" });

  const readOnly = useReadOnly();
  const changed = Object.keys(wishes.wish.settings).length;
  const ready = plan.data?.ready === true && refused.length === 0 && !readOnly;
  const problems = readOnly ? [t("train.read_only")] : refused.length ? refused : plan.data && !plan.data.ready ? (plan.data.problems ?? []) : [];
  const sentence = start.isPending ? t("train.starting") : plan.isPending ? t("train.planning") : ready && plan.data ? unbroken(plan.data.sentence) : t("train.cannot");

  return (
    <Card className="train-start">
      <div className="train-start-main">
        <button
          id="train-start"
          type="button"
          className="train-start-button"
          aria-busy={start.isPending || plan.isPending || undefined}
          aria-disabled={!ready || start.isPending || undefined}
          aria-describedby="train-why"
          // A double click is one wish, and so is a key that is held down.
          onKeyDown={(event) => event.repeat && event.preventDefault()}
          onClick={({ detail }) => detail < 2 && ready && !start.isPending && begin()}
        >
          {start.isPending || plan.isPending ? <span className="spinner" aria-hidden="true" /> : <Icon name="play" size={24} filled />}
          <span className="train-start-words">
            <span className="train-start-verb">{t(preset?.race ? "train.start_race" : "train.start")}</span>
            <span className="number">{sentence}</span>
          </span>
        </button>
        <div className="train-start-about" id="train-why">
          <p className="number">{`${t("train.has_classes", { count: project.classes.length })}, ${t("train.samples", { count: project.samples, n: project.samples })}`}</p>
          {ready && plan.data?.why && <p className="muted small">{t("train.reason", { why: plan.data.why })}</p>}
          {ready &&
            plan.data?.notes?.map((note) => (
              <p key={note} className="muted small">
                {unbroken(note)}
              </p>
            ))}
          {ready && queued && <p className="muted small">{t("train.queues")}</p>}
          {elsewhere && <p className="muted small">{t("train.busy_elsewhere", { title: nameOf(elsewhere) })}</p>}
        </div>
      </div>
      <div role="status" className="stack tight">
        {problems.map((problem) => (
          <Notice key={problem} tone="warning">
            <p>{unbroken(problem)}</p>
          </Notice>
        ))}
      </div>
      <div className="row train-start-options">
        <Button small icon="spark" onClick={() => setOpen("presets")}>
          {wishes.wish.preset ? t("train.preset", { name: preset?.title ?? wishes.wish.preset }) : t("train.presets")}
        </Button>
        <Button small icon="gear" onClick={() => setOpen("advanced")}>
          {t("train.advanced")}
        </Button>
        {changed > 0 || wishes.wish.preset ? (
          <>
            {changed > 0 && <span className="small muted">{t("train.changed", { count: changed })}</span>}
            <Button small look="quiet" icon="undo" onClick={wishes.reset}>
              {t("train.reset_all")}
            </Button>
          </>
        ) : (
          <span className="small muted">{t("train.as_recommended")}</span>
        )}
      </div>
      {ready && plan.data?.model && (
        <Experts>
          <p className="small muted">{t("train.technically", { model: plan.data.model, strategy: plan.data.strategy ?? "auto" })}</p>
        </Experts>
      )}
      {open === "presets" && <Presets presets={presets} chosen={wishes.wish.preset} onChoose={wishes.choose} onClose={() => setOpen(null)} />}
      {open === "advanced" && <Advanced modality={project.modality} wishes={wishes} preset={preset} problems={problems} plan={sentence} onClose={() => setOpen(null)} />}
    </Card>
  );
}
