// What the model looked at or listened to: each original beside the picture of what mattered.

import { url, type Shapes } from "@/api";
import { JobPart } from "@/jobs";
import { t } from "@/words";
import { useExplanations } from "./asking";
import { Section } from "./section";
import { PlayButton } from "./sound";

export function Explanations({ project, run }: { project: Shapes["Project"]; run: string }) {
  const found = useExplanations(project.id, run).data ?? [];
  const sound = project.modality === "audio";
  return (
    <Section title={t(sound ? "understand.explain_sound" : "understand.explain")} lead={t("understand.explain_lead")}>
      {found.length > 0 && (
        <ul className="understand-explanations">
          {found.map((one) => (
            <li key={one.file}>
              <One project={project} run={run} one={one} sound={sound} />
            </li>
          ))}
        </ul>
      )}
      <JobPart p={project.id} run={run} kind="explain" icon="spark" label={t(found.length ? "understand.explain_again" : "understand.explain_start")} />
    </Section>
  );
}

function One({ project, run, one, sound }: { project: Shapes["Project"]; run: string; one: Shapes["ExplanationCard"]; sound: boolean }) {
  const picture = (name: string) => url.explanation(project.id, run, name);
  const name = one.file.split("/").at(-1) ?? one.file;
  const [first, ...rest] = one.words.split(". ");
  const known = one.label !== "";
  return (
    <figure className="understand-explanation">
      <div className={`understand-explanation-pair${sound ? " sound" : ""}`}>
        <img src={picture(one.original)} alt={t("understand.explain_original", { name })} loading="lazy" />
        <img src={picture(one.picture)} alt={t("understand.explain_picture", { name })} loading="lazy" />
      </div>
      <figcaption className="small">
        <span className="row">
          {sound && one.sample && <PlayButton src={url.preview(project.id, one.sample)} name={name} text={t("understand.explain_play_original")} />}
          {sound && one.sound && <PlayButton src={picture(one.sound)} name={name} text={t("understand.explain_play")} />}
          <strong className="number">
            {known ? (one.label === one.predicted ? "✓ " : "✕ ") : ""}
            {first}
          </strong>
        </span>
        <span className="muted">{rest.join(". ")}</span>
      </figcaption>
    </figure>
  );
}
