// Every setting of the recipe, as the server describes it. Only what was changed is sent.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, take, type Shapes } from "@/api";
import { Button, Dialog, Loading, TextField } from "@/design";
import type { Wishes } from "@/jobs";
import { t } from "@/words";
import { Setting } from "./setting";

type RecipeField = Shapes["RecipeField"];

const GROUPS = ["basic", "data", "model", "training", "evaluation"] as const;

interface Props {
  modality: Shapes["Project"]["modality"];
  wishes: Wishes;
  preset: Shapes["Preset"] | undefined;
  problems: readonly string[];
  plan: string;
  onClose: () => void;
}

export function Advanced({ modality, wishes, preset, problems, plan, onClose }: Props) {
  const [query, setQuery] = useState("");
  const form = useQuery({ queryKey: ["recipe"], queryFn: () => take(api.GET("/api/recipe")), staleTime: Infinity });
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (field: RecipeField) => (!field.modality || !modality || field.modality === modality) && words.every((word) => `${field.name.replaceAll("_", " ")} ${field.label} ${field.help}`.toLowerCase().includes(word));
  const fields = (form.data?.fields ?? []).filter(fits);
  const changed = Object.keys(wishes.wish.settings).length;

  return (
    <Dialog
      title={t("train.advanced")}
      size="large"
      onClose={onClose}
      actions={
        <>
          <p className="train-advanced-plan small number" role="status">
            {problems[0] ?? plan}
          </p>
          <Button icon="undo" disabled={changed === 0} onClick={wishes.reset}>
            {t("train.reset_all")}
          </Button>
          <Button look="primary" onClick={onClose}>
            {t("train.done_button")}
          </Button>
        </>
      }
    >
      {form.isPending ? (
        <Loading label={t("shell.loading")} />
      ) : (
        <div className="stack">
          <TextField label={t("train.setting_search")} type="search" value={query} onChange={(event) => setQuery(event.target.value)} />
          {GROUPS.map((group) => {
            const own = fields.filter((field) => field.group === group);
            return own.length === 0 ? null : (
              <section key={group} aria-labelledby={`train-${group}`} className="stack tight">
                <h3 id={`train-${group}`}>{t(`train.group_${group}`)}</h3>
                <div className="train-settings">
                  {own.map((field) => (
                    <Setting
                      key={field.name}
                      field={field}
                      value={wishes.wish.settings[field.name]}
                      preset={preset?.settings[field.name]}
                      fault={wishes.wish.settings[field.name] === undefined ? null : (problems.find((problem) => mentions(problem, field.name)) ?? null)}
                      onChange={(value) => wishes.set(field.name, value)}
                    />
                  ))}
                </div>
              </section>
            );
          })}
          <p role="status" className="muted">
            {fields.length === 0 ? t("train.setting_none", { query }) : ""}
          </p>
        </div>
      )}
    </Dialog>
  );
}

/** The server says in words which setting it refuses: by its name, with either separator. */
function mentions(problem: string, name: string): boolean {
  return new RegExp(`(^|[^a-z_])${name.replaceAll("_", "[ _-]")}([^a-z_]|$)`).test(problem);
}
