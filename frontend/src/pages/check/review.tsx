// One doubtful sample after the other, a key each: right, wrong, back, later.

import { useEffect, useRef, useState } from "react";
import { api, take, url, useChange, useStep, type Shapes } from "@/api";
import { Button, Dialog, EmptyState, Loading, Progress, toastProblem, type IconName } from "@/design";
import { flagWords, SoundView, type Sample } from "@/samples";
import { t } from "@/words";
import type { Finding } from "./kinds";
import { acts, KeySettings, keyName, useKeys, type Act } from "./shortcuts";

const MOST = 200; // in one go; the next ones come after

/** Samples that somebody looked at and found right: not asked again in this browser. */
const KEPT = (p: string) => `handful.reviewed.${p}`;

export function reviewed(p: string): Set<string> {
  try {
    return new Set(JSON.parse(localStorage.getItem(KEPT(p)) ?? "[]") as string[]);
  } catch {
    return new Set();
  }
}

function remember(p: string, sample: string, right: boolean): void {
  const all = reviewed(p);
  if (right) all.add(sample);
  else all.delete(sample);
  localStorage.setItem(KEPT(p), JSON.stringify([...all].slice(-5000)));
}

/** What is worth a look, most suspicious first, and what it may be instead. */
export function doubtful(findings: readonly Finding[]): { ids: string[]; suggestions: Record<string, string> } {
  const asked = findings.filter(({ kind, severity }) => kind === "wrong-label" || severity === "error" || kind === "silent");
  const ordered = asked.toSorted((a, b) => Number(b.kind === "wrong-label") - Number(a.kind === "wrong-label"));
  return { ids: [...new Set(ordered.flatMap(({ samples }) => samples))], suggestions: Object.assign({}, ...findings.map(({ suggestions }) => suggestions ?? {})) as Record<string, string> };
}

interface Step {
  sample: Sample;
  changed: string | null; // what undo takes back
  right: boolean;
}

async function fetchQueue(p: string, ids: readonly string[]): Promise<readonly Sample[]> {
  const page = await take(api.GET("/api/projects/{p}/samples", { params: { path: { p }, query: { ids: ids.join(","), limit: 1000 } } }));
  return page.samples;
}

function ActButton({ act, icon, words, keyOf, look, onClick, disabled }: { act: Act; icon: IconName; words: string; keyOf: string; look?: "primary"; onClick: () => void; disabled?: boolean }) {
  return (
    <Button icon={icon} look={look ?? "plain"} className={`review-${act}`} onClick={onClick} disabled={disabled}>
      {words} {keyOf && <kbd aria-hidden="true">{keyName(keyOf)}</kbd>}
    </Button>
  );
}

export function Review({ project, ids, suggestions, onClose }: { project: Shapes["Project"]; ids: readonly string[]; suggestions: Record<string, string>; onClose: () => void }) {
  const p = project.id;
  // The list of the beginning stays: moving samples changes the findings while one goes through them.
  const start = useRef(ids.slice(0, MOST));
  const hints = useRef(suggestions);
  const [queue, setQueue] = useState<readonly Sample[] | null>(null);
  const [done, setDone] = useState<readonly Step[]>([]);
  const [busy, setBusy] = useState(false);
  const [keys, setKeys] = useKeys();
  const asking = useRef(false);
  const change = useChange(p);
  const step = useStep(p);

  useEffect(() => {
    fetchQueue(p, start.current).then(setQueue, toastProblem);
  }, [p]);

  const sample = queue?.[done.length];
  const suggestion = sample && hints.current[sample.id] !== sample.label ? hints.current[sample.id] : undefined;
  const where = { params: { path: { p } } };

  async function finish(changing: Promise<{ data?: Shapes["Done"] }> | null, right = false): Promise<void> {
    if (!sample || busy) return;
    setBusy(true);
    const made = changing && (await change(changing));
    setBusy(false);
    if (changing && !made) return;
    if (right) remember(p, sample.id, true);
    setDone((before) => [...before, { sample, changed: made?.action ?? null, right }]);
  }
  const move = (label: string) => sample && !busy && (label === sample.label ? finish(null, true) : finish(api.POST("/api/projects/{p}/samples/move", { ...where, body: { ids: [sample.id], label } })));
  const act: Record<Act, () => unknown> = {
    yes: () => finish(null, true),
    no: () => sample && !busy && (suggestion ? move(suggestion) : finish(api.POST("/api/projects/{p}/samples/delete", { ...where, body: { ids: [sample.id] } }))),
    skip: () => finish(null),
    undo: async () => {
      const last = done.at(-1);
      if (!last || busy) return;
      setBusy(true);
      try {
        if (last.changed) await step("undo", last.changed);
        if (last.right) remember(p, last.sample.id, false);
        setDone((before) => before.slice(0, -1));
      } catch (error) {
        toastProblem(error);
      }
      setBusy(false);
    },
  };

  useEffect(() => {
    function press(event: KeyboardEvent): void {
      if (!keys.on || asking.current || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if ((event.target as Element).closest("input, select, textarea, details")) return;
      const found = acts.find((one) => keys[one].toLowerCase() === event.key.toLowerCase());
      const label = /^[1-9]$/.test(event.key) ? project.classes[Number(event.key) - 1]?.name : undefined;
      if (!found && !label) return;
      event.preventDefault();
      if (found) void act[found]();
      else if (label) void move(label);
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });

  const moved = done.filter(({ changed }) => changed !== null).length;
  const keyOf = (one: Act) => (keys.on ? keys[one] : "");
  return (
    <Dialog title={t("check.review")} size="large" onClose={onClose}>
      <div className="review">
        <Progress share={queue?.length ? done.length / queue.length : 0} label={t("check.review")} words={<span role="status">{t("check.review_at", { done: done.length, count: queue?.length ?? 0, changed: moved })}</span>} />
        {queue === null ? (
          <Loading label={t("shell.loading")} />
        ) : !sample ? (
          <EmptyState
            icon="check"
            title={t("check.review_over")}
            action={
              <>
                {done.length > 0 && <ActButton act="undo" icon="undo" words={t("check.act_undo")} keyOf={keyOf("undo")} onClick={() => void act.undo()} />}
                <Button look="primary" onClick={onClose}>
                  {t("shell.close")}
                </Button>
              </>
            }
          >
            {t("check.review_over_about", { count: moved })}
          </EmptyState>
        ) : (
          <>
            <div className="review-media" key={sample.id}>
              {project.modality === "audio" ? <SoundView p={p} sample={sample} /> : <img src={url.preview(p, sample.id)} alt={t("samples.picture", { name: sample.name, label: sample.label })} />}
            </div>
            <div className="review-question">
              <h3>{t("check.is_it", { label: sample.label })}</h3>
              <p className="muted">{suggestion ? t("check.maybe", { label: suggestion }) : (sample.flags ?? []).map(flagWords).join(", ")}</p>
            </div>
            <div className="review-acts">
              <ActButton act="undo" icon="undo" words={t("check.act_undo")} keyOf={keyOf("undo")} disabled={done.length === 0} onClick={() => void act.undo()} />
              <ActButton act="yes" icon="check" look="primary" words={t("check.yes", { label: sample.label })} keyOf={keyOf("yes")} onClick={() => void act.yes()} />
              <ActButton act="no" icon={suggestion ? "move" : "trash"} words={suggestion ? t("check.no_move", { label: suggestion }) : t("check.no_delete")} keyOf={keyOf("no")} onClick={() => void act.no()} />
              <ActButton act="skip" icon="next" words={t("check.act_skip")} keyOf={keyOf("skip")} onClick={() => void act.skip()} />
            </div>
            <ul className="review-classes" aria-label={t("check.act_digit")}>
              {project.classes.map(({ name }, index) => (
                <li key={name}>
                  <Button small look="quiet" aria-current={name === sample.label ? "true" : undefined} onClick={() => void move(name)}>
                    {keys.on && index < 9 && <kbd aria-hidden="true">{index + 1}</kbd>} {name}
                  </Button>
                </li>
              ))}
            </ul>
          </>
        )}
        <KeySettings keys={keys} onKeys={setKeys} onAsking={(on) => (asking.current = on)} />
      </div>
    </Dialog>
  );
}
