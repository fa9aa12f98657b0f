// Labels that are probably wrong, one at a time: one key decides. Keys work only while the focus is in the box.

import { useRef, useState, type KeyboardEvent } from "react";
import { api, url, useChange, type Shapes } from "@/api";
import { Badge, Button, Loading } from "@/design";
import { useReadOnly } from "@/jobs";
import { SoundView } from "@/samples";
import { t } from "@/words";
import { idOf, usePredictions, type Prediction } from "./asking";
import { named, sureness, type Doubt } from "./result";
import { Section } from "./section";

type Decision = "changed" | "kept" | "skipped";

interface Case extends Doubt {
  /** the sample's id and name, where it is still in the project */
  sample: Shapes["Sample"] | null;
}

/** Its label was changed elsewhere. */
const settled = (one: Case): boolean => one.sample !== null && one.sample.label !== one.label;

const place = (run: string) => `handful.review.${run}`;

function remembered(run: string): Record<string, Decision> {
  try {
    return JSON.parse(localStorage.getItem(place(run)) ?? "{}") as Record<string, Decision>;
  } catch {
    return {};
  }
}

export function Doubts({ project, run, doubts }: { project: Shapes["Project"]; run: string; doubts: readonly Doubt[] | null | undefined }) {
  const predictions = usePredictions(project.id, run, doubts?.length ? { wrong: true } : null);
  if (!doubts?.length)
    return (
      <Section title={t("understand.doubts")}>
        <p className="muted">{t(doubts ? "understand.doubts_none" : "understand.doubts_not_looked")}</p>
      </Section>
    );
  const by = new Map((predictions.data ?? []).flatMap((one: Prediction) => [[one.id, one] as const, [one.file, one] as const]));
  const cases = doubts.map((doubt) => ({ ...doubt, sample: (by.get(idOf(doubt.file)) ?? by.get(doubt.file))?.sample ?? null }));
  return (
    <Section title={t("understand.doubts")} lead={t("understand.doubts_lead")}>
      {predictions.isPending ? <Loading label={t("understand.loading")} /> : <Review key={run} project={project} run={run} cases={cases} />}
    </Section>
  );
}

function Review({ project, run, cases }: { project: Shapes["Project"]; run: string; cases: readonly Case[] }) {
  const change = useChange(project.id);
  const readOnly = useReadOnly();
  const box = useRef<HTMLDivElement>(null);
  const [decisions, setDecisions] = useState(() => remembered(run));
  const [at, setAt] = useState(() => {
    const open = cases.findIndex((one) => !decisions[one.file] && !settled(one));
    return open < 0 ? cases.length : open;
  });
  const one = cases[at];

  const decide = (file: string, decision: Decision | undefined) =>
    setDecisions((before) => {
      const next = { ...before };
      if (decision) next[file] = decision;
      else delete next[file];
      localStorage.setItem(place(run), JSON.stringify(next));
      return next;
    });
  const move = (id: string, label: string, said?: string) => change(api.POST("/api/projects/{p}/samples/move", { params: { path: { p: project.id } }, body: { ids: [id], label } }), said);
  const turn = (to: number) => {
    setAt(to);
    box.current?.focus();
  };

  function accept(): void {
    if (!one?.sample || readOnly) return;
    decide(one.file, "changed");
    void move(one.sample.id, one.suggested, t("understand.moved", { count: 1, label: named(one.suggested) })).then((done) => done || decide(one.file, undefined));
    turn(at + 1);
  }
  function pass(decision: Decision): void {
    if (!one) return;
    decide(one.file, decision);
    turn(at + 1);
  }
  function back(): void {
    const before = cases[at - 1];
    if (!before) return;
    if (decisions[before.file] === "changed" && before.sample) void move(before.sample.id, before.label);
    decide(before.file, undefined);
    turn(at - 1);
  }

  function press(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target instanceof HTMLInputElement) return;
    const act = { ArrowUp: accept, ArrowDown: () => pass("kept"), ArrowRight: () => pass("skipped"), ArrowLeft: back }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  const name = one?.sample?.name ?? one?.file ?? "";
  return (
    <div ref={box} className="understand-review" role="group" aria-label={t("understand.doubts_region")} tabIndex={-1} onKeyDown={press}>
      {one ? (
        <>
          {one.sample && project.modality === "audio" ? (
            <div className="understand-review-sound">
              <SoundView key={one.sample.id} p={project.id} sample={one.sample} />
            </div>
          ) : (
            <div className="understand-review-sample">
              {one.sample ? <img src={url.preview(project.id, one.sample.id)} alt={name} /> : <span className="understand-tile-gone">{t("understand.sample_gone")}</span>}
            </div>
          )}
          <div className="understand-review-words">
            <p className="small muted number">
              {t("understand.doubts_place", { n: at + 1, of: cases.length })} · <bdi>{name}</bdi>
            </p>
            <p className="understand-review-said" role="status">
              {t("understand.doubts_said", { label: named(one.label), suggested: named(one.suggested), confidence: sureness(one.confidence) })}
            </p>
            <div className="row">
              <Button icon="check" disabled={!one.sample || readOnly} onClick={accept}>
                {t("understand.doubts_yes", { label: named(one.suggested) })} <kbd aria-hidden="true">↑</kbd>
              </Button>
              <Button onClick={() => pass("kept")}>
                {t("understand.doubts_no", { label: named(one.label) })} <kbd aria-hidden="true">↓</kbd>
              </Button>
              <Button look="quiet" onClick={() => pass("skipped")}>
                {t("understand.doubts_skip")} <kbd aria-hidden="true">→</kbd>
              </Button>
              {at > 0 && (
                <Button look="quiet" onClick={back}>
                  {t("understand.doubts_back")} <kbd aria-hidden="true">←</kbd>
                </Button>
              )}
            </div>
            <p className="small muted">{t("understand.doubts_keys")}</p>
          </div>
        </>
      ) : (
        <div className="understand-review-words">
          <p className="understand-review-said" role="status">
            {t("understand.doubts_done")}
          </p>
          <ul className="understand-reviewed small">
            {cases.map((each) => (
              <li key={each.file}>
                <bdi>{each.sample?.name ?? each.file}</bdi>{" "}
                <Badge tone={settled(each) ? "accent" : "plain"}>
                  {settled(each) ? `${each.label} → ${each.sample?.label}` : t(`understand.doubts_${decisions[each.file] ?? "skipped"}`)}
                </Badge>
              </li>
            ))}
          </ul>
          <div className="row">
            <Button icon="redo" onClick={() => turn(0)}>
              {t("understand.doubts_again")}
            </Button>
          </div>
        </div>
      )}
    </div>
  );
}
