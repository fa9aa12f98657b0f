// The window that starts a race: models, ways of training, a limit of time. Nothing chosen means: chosen for you.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, take, useAbout, type Shapes } from "@/api";
import { Button, Checkbox, Dialog, Select, TextField } from "@/design";
import { usePresets, useStart } from "@/jobs";
import { language, number, t } from "@/words";

const STRATEGIES = ["prototype", "probe", "finetune", "scratch"] as const;
const BY_TORCH = ["finetune", "scratch"];
const BUDGET_MINUTES = "10";

type Model = Shapes["ModelCard"];

const toggled = (names: readonly string[], name: string, on: boolean) => (on ? [...names, name] : names.filter((other) => other !== name));

export function StartRace({ project, onClose }: { project: Shapes["Project"]; onClose: () => void }) {
  const modality = project.modality ?? undefined;
  const start = useStart(project.id);
  const models = useQuery({
    queryKey: ["models", modality],
    queryFn: () => take(api.GET("/api/models", { params: { query: modality ? { modality } : {} } })),
    staleTime: 60_000,
  });
  const extras = useAbout().data?.extras ?? {};
  const lacks = (extra: string) => (models.data ?? []).filter((model) => model.lacks === extra).length;
  const lacking = Object.keys(extras).filter(lacks);
  const presets = usePresets(modality).filter((preset) => preset.race);
  const [chosen, setChosen] = useState<string[]>([]);
  const [strategies, setStrategies] = useState<string[]>(["prototype", "probe"]);
  const [budget, setBudget] = useState(BUDGET_MINUTES);
  const [preset, setPreset] = useState("");
  const [query, setQuery] = useState("");
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = (models.data ?? [])
    .filter((model) => words.every((word) => `${model.name} ${model.family}`.toLowerCase().includes(word)))
    .sort((a, b) => Number(!b.lacks) - Number(!a.lacks) || Number(b.at_hand) - Number(a.at_hand) || (a.parameters ?? 0) - (b.parameters ?? 0));
  const minutes = Number(budget.trim().replace(",", "."));
  const bad = budget.trim() !== "" && !(minutes > 0);

  function go(): void {
    if (bad) return;
    const settings: Record<string, unknown> = {};
    if (!preset && chosen.length) settings["models"] = chosen;
    if (!preset && strategies.length) settings["strategies"] = strategies;
    if (budget.trim()) settings["budget"] = 60 * minutes;
    start.mutate({ kind: "compare", settings, preset: preset || null }, { onSuccess: onClose });
  }

  return (
    <Dialog
      title={t("compare.race_title")}
      size="large"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{t("shell.cancel")}</Button>
          <Button look="primary" icon="play" busy={start.isPending} disabled={bad} onClick={go}>
            {t("compare.race_go")}
          </Button>
        </>
      }
    >
      <div className="stack">
        <p className="muted">{t("compare.race_lead")}</p>
        <div className="compare-race-form">
          {!preset && (
            <>
              <fieldset className="stack tight">
                <legend className="compare-legend">
                  {t("compare.race_models")} <span className="small muted">{chosen.length ? t("compare.race_chosen", { count: chosen.length }) : t("compare.race_models_none")}</span>
                </legend>
                <TextField label={t("compare.race_search")} hideLabel placeholder={t("compare.race_search")} type="search" value={query} onChange={(event) => setQuery(event.target.value)} />
                <div className="compare-models" tabIndex={0} role="group" aria-label={t("compare.race_models")}>
                  {found.map((model) => (
                    <Checkbox key={model.name} label={<ModelLine model={model} />} checked={chosen.includes(model.name)} disabled={!!model.lacks} onChange={({ target }) => setChosen(toggled(chosen, model.name, target.checked))} />
                  ))}
                  {found.length === 0 && !models.isPending && <p className="muted small">{t("compare.race_no_model", { query })}</p>}
                </div>
                {lacking.map((extra) => (
                  <p key={extra} className="small muted">
                    {t("compare.race_lacking", { count: lacks(extra), command: extras[extra]?.command ?? "" })}
                  </p>
                ))}
              </fieldset>
              <fieldset className="stack tight">
                <legend className="compare-legend">
                  {t("compare.race_strategies")} <span className="small muted">{strategies.length === 0 && t("compare.race_strategies_none")}</span>
                </legend>
                {STRATEGIES.map((name) => (
                  <Checkbox key={name} label={t(`compare.strategy_${name}`)} checked={strategies.includes(name)} disabled={BY_TORCH.includes(name) && lacks("torch") > 0} onChange={({ target }) => setStrategies(toggled(strategies, name, target.checked))} />
                ))}
              </fieldset>
            </>
          )}
          <TextField label={t("compare.race_budget")} hint={t("compare.race_budget_hint")} fault={bad ? t("compare.race_budget_bad") : null} inputMode="decimal" value={budget} onChange={(event) => setBudget(event.target.value)} />
          {presets.length > 0 && (
            <Select label={t("compare.race_preset")} hint={presets.find((one) => one.name === preset)?.summary} value={preset} onChange={(event) => setPreset(event.target.value)}>
              <option value="">{t("compare.race_preset_none")}</option>
              {presets.map((one) => (
                <option key={one.name} value={one.name}>
                  {one.title}
                </option>
              ))}
            </Select>
          )}
        </div>
      </div>
    </Dialog>
  );
}

function ModelLine({ model }: { model: Model }) {
  const parts = [
    model.parameters ? t("compare.race_parameters", { n: Intl.NumberFormat(language(), { notation: "compact", maximumFractionDigits: 1 }).format(model.parameters) }) : "",
    model.top1 ? `ImageNet ${number(model.top1, 1)} %` : "",
    model.lacks ? t("compare.race_needs_here", { extra: model.lacks }) : model.extra ? t("compare.race_needs", { extra: model.extra }) : "",
    !model.at_hand && !model.lacks ? t("compare.race_fetch") : "",
  ].filter(Boolean);
  return (
    <>
      {model.name} <span className="small muted">{parts.join(" · ")}</span>
    </>
  );
}
