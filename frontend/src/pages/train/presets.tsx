// Named sets of settings, to search and choose one of.

import { useState } from "react";
import type { Shapes } from "@/api";
import { Badge, Button, Dialog, TextField } from "@/design";
import { t } from "@/words";

type Preset = Shapes["Preset"];

interface Props {
  presets: readonly Preset[];
  chosen: string | null;
  onChoose: (name: string | null) => void;
  onClose: () => void;
}

export function Presets({ presets, chosen, onChoose, onClose }: Props) {
  const [query, setQuery] = useState("");
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = presets.filter((preset) => words.every((word) => `${preset.name} ${preset.title} ${preset.summary} ${preset.sets.join(" ")}`.toLowerCase().includes(word)));
  const choose = (name: string | null) => {
    onChoose(name);
    onClose();
  };
  return (
    <Dialog title={t("train.presets")} onClose={onClose}>
      <div className="stack">
        <TextField label={t("train.preset_search")} type="search" value={query} onChange={(event) => setQuery(event.target.value)} />
        <ul className="train-preset-list">
          {words.length === 0 && (
            <li>
              <button type="button" className="train-preset" aria-pressed={chosen === null} onClick={() => choose(null)}>
                <span className="train-preset-name">{t("train.no_preset")}</span>
                <span className="small muted">{t("train.no_preset_about")}</span>
              </button>
            </li>
          )}
          {found.map((preset) => (
            <li key={preset.name}>
              <button type="button" className="train-preset" aria-pressed={chosen === preset.name} onClick={() => choose(preset.name)}>
                <span className="row apart">
                  <span className="train-preset-name">{preset.title}</span>
                  {preset.race && <Badge icon="compare">{t("train.preset_race")}</Badge>}
                </span>
                <span className="small train-preset-summary">{preset.summary}</span>
                <span className="small muted">{t("train.preset_settings", { list: preset.sets.join("; ") })}</span>
              </button>
            </li>
          ))}
        </ul>
        <div role="status">
          {found.length === 0 && words.length > 0 && (
            <div className="row">
              <p className="muted">{t("train.preset_none", { query })}</p>
              <Button small onClick={() => setQuery("")}>
                {t("train.preset_clear")}
              </Button>
            </div>
          )}
        </div>
      </div>
    </Dialog>
  );
}
