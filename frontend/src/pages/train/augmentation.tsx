// A sample as training would change it: the original and a few changed copies.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, keys, take, type Shapes } from "@/api";
import { Button } from "@/design";
import { t } from "@/words";

const COPIES = 5;

export function Augmentation({ project }: { project: Shapes["Project"] }) {
  const p = project.id;
  const [turn, setTurn] = useState(0);
  const found = useQuery({
    queryKey: keys.project(p, "augmentation", turn),
    queryFn: async () => {
      let sample: string | undefined;
      if (turn > 0) {
        const offset = Math.floor(Math.random() * project.samples);
        const page = await take(api.GET("/api/projects/{p}/samples", { params: { path: { p }, query: { offset, limit: 1 } } }));
        sample = page.samples[0]?.id;
      }
      return take(api.GET("/api/projects/{p}/augmentation", { params: { path: { p }, query: sample ? { sample, n: COPIES } : { n: COPIES } } }));
    },
    placeholderData: (before) => before,
    staleTime: Infinity,
    retry: false,
  });
  if (!found.data) return null;
  const { before, after } = found.data;
  return (
    <section className="stack tight">
      <div className="row apart">
        <div>
          <h2>{t("train.augmentation")}</h2>
          <p className="small muted">{t("train.augmentation_lead")}</p>
        </div>
        <Button small icon="redo" busy={found.isFetching} onClick={() => setTurn(turn + 1)}>
          {t("train.augmentation_again")}
        </Button>
      </div>
      <div className="train-strip" role="group" aria-label={t("train.augmentation")} tabIndex={0}>
        <figure>
          <img src={before} alt={t("train.augmentation_before")} />
          <figcaption className="small muted">{t("train.augmentation_before")}</figcaption>
        </figure>
        {after.map((picture, i) => (
          <figure key={i}>
            <img src={picture} alt={t("train.augmentation_after", { n: i + 1, of: after.length })} />
            <figcaption className="small muted" aria-hidden="true">
              {t("train.augmentation_changed")}
            </figcaption>
          </figure>
        ))}
      </div>
    </section>
  );
}
