// What the exported page shows: the model's name and classes, camera or microphone or files, and the answer.

import { useEffect, useMemo, useState, type ReactNode } from "react";
import { IconButton } from "@/design/button";
import { Segments } from "@/design/fields";
import { Loading, Notice } from "@/design/surfaces";
import { applyTheme, theme } from "@/design/theme";
import { Camera } from "@/pages/try/camera";
import { type Ear, lastHeard } from "@/pages/try/ear";
import { DropZone, useDroppedFiles } from "@/pages/try/files";
import { useLive } from "@/pages/try/live";
import { Microphone } from "@/pages/try/microphone";
import { VerdictView } from "@/pages/try/verdict";
import { bytes, language, languages, percent, speak, t, useLanguage } from "@/words";
import { Check } from "./check";
import { type Tried, TriedList } from "./tried";
import { Model, type Outcome } from "./model";
import { Refusal } from "./refusal";

const EVERY_MILLISECONDS = { image: 100, audio: 250 };

export function App({ checking }: { checking: boolean }) {
  useLanguage();
  const [model, setModel] = useState<Model | null>(null);
  const [fault, setFault] = useState<unknown>(null);
  useEffect(() => void Model.load().then(setModel, setFault), []);

  return (
    <div className="page">
      <header className="page-bar">
        <Appearance />
      </header>
      <main>
        {fault !== null ? (
          <Notice tone="error" title={t("page.failed")}>
            <p>{sentence(fault)}</p>
          </Notice>
        ) : !model ? (
          <Loading label={t("shell.loading")} />
        ) : checking ? (
          <Check model={model} />
        ) : (
          <Trial model={model} />
        )}
      </main>
    </div>
  );
}

/** Why something was refused, in words. */
export function sentence(fault: unknown): string {
  if (!(fault instanceof Refusal)) return String(fault);
  const key = fault.reason === "picture" && fault.details.kind ? "picture_kind" : fault.reason;
  return t(`page.refused_${key}`, fault.details);
}

function Appearance() {
  const [chosen, setChosen] = useState(theme());
  const next = { system: "light", light: "dark", dark: "system" } as const;
  return (
    <>
      <IconButton
        icon={chosen === "dark" ? "moon" : chosen === "light" ? "sun" : "gear"}
        label={`${t("page.theme")}: ${t(`shell.theme_${chosen}`)}`}
        onClick={() => {
          applyTheme(next[chosen]);
          setChosen(next[chosen]);
        }}
      />
      <Segments
        label={t("shell.language")}
        options={Object.entries(languages).map(([value, label]) => ({ value, label: <span lang={value}>{label}</span> }))}
        value={language()}
        onChange={(value) => void speak(value as keyof typeof languages)}
      />
    </>
  );
}

type Source = "live" | "files";

function Trial({ model }: { model: Model }) {
  const { about, modality } = model;
  const [source, setSource] = useState<Source>("files");
  const [video, setVideo] = useState<HTMLVideoElement | null>(null);
  const [ear, setEar] = useState<Ear | null>(null);
  const [quiet, setQuiet] = useState(false);
  const [tried, setTried] = useState<Tried[]>([]);
  const sound = about.metadata.frontend.modality === "audio" ? about.metadata.frontend : null;

  const live = useLive<Outcome>(source === "live" && (video || ear) ? "on" : null, EVERY_MILLISECONDS[modality], async () => {
    if (video) return model.frame(await createImageBitmap(video));
    const wave = ear && lastHeard(ear, ear.seconds);
    setQuiet(wave === "quiet");
    return ear && wave && wave !== "quiet" ? model.sound({ rate: ear.rateHz, channels: [wave] }) : null;
  });

  async function take(files: File[]): Promise<void> {
    setSource("files");
    for (const file of files) {
      const outcome = await model.file(file).catch((refused: unknown) => sentence(refused));
      setTried((before) => [{ id: (before[0]?.id ?? 0) + 1, file, outcome }, ...before]);
    }
  }

  const over = useDroppedFiles((dropped) => void take(dropped));
  const newest = tried[0];
  const shown = source === "live" ? live.verdict : newest && typeof newest.outcome !== "string" ? newest.outcome : null;
  return (
    <>
      <Headline model={model} />
      <div className="trial">
        <section className="trial-input" aria-label={t("try.source")}>
          <Segments
            label={t("try.source")}
            options={[
              { value: "files", label: t("try.files") },
              { value: "live", label: t(modality === "image" ? "recording.camera" : "recording.microphone") },
            ]}
            value={source}
            onChange={setSource}
          />
          {source === "live" && (sound ? <Microphone seconds={sound.seconds} onEar={setEar} /> : <Camera onVideo={setVideo} />)}
          {source === "files" && newest && modality === "image" && <Picture file={newest.file} />}
          {source === "files" && newest && modality === "audio" && <Player file={newest.file} />}
          <DropZone modality={modality} over={over} onFiles={(files) => void take(files)} />
        </section>
        <section className="card trial-answer" aria-label={t("try.answer")}>
          {shown ? (
            <VerdictView verdict={shown} live />
          ) : newest && source === "files" ? (
            <Notice tone="warning" title={newest.file.name}>
              <p>{String(newest.outcome)}</p>
            </Notice>
          ) : (
            <p className="muted trial-waiting" role="status">
              {source === "live" && ear ? t(quiet ? "try.too_quiet" : "try.listening") : t(modality === "image" ? "try.waiting_image" : "try.waiting_audio")}
            </p>
          )}
        </section>
      </div>
      {tried.length > 1 && <TriedList tried={tried} onClear={() => setTried([])} />}
      <About model={model} />
    </>
  );
}

function Headline({ model: { about, modality } }: { model: Model }) {
  const names = about.metadata.classes;
  const listed = names.slice(0, 10).join(", ") + (names.length > 10 ? ", …" : "");
  return (
    <div className="headline">
      <h1>{t(modality === "image" ? "page.title_image" : "page.title_audio")}</h1>
      <p className="muted">
        {t("page.knows", { count: names.length, names: listed })} {t("page.private")}
      </p>
    </div>
  );
}

function useUrl(file: File): string {
  const url = useMemo(() => URL.createObjectURL(file), [file]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return url;
}

function Picture({ file }: { file: File }) {
  return (
    <div className="try-stage-picture">
      <img src={useUrl(file)} alt={file.name} />
    </div>
  );
}

function Player({ file }: { file: File }) {
  return (
    <figure className="player">
      <figcaption className="small muted">{file.name}</figcaption>
      <audio controls src={useUrl(file)} aria-label={file.name} />
    </figure>
  );
}

function About({ model: { about } }: { model: Model }) {
  const { score, metadata } = about;
  const rows: [string, ReactNode][] = [
    [t("page.model"), `${about.model}, ${bytes(about.bytes)}`],
    [t("page.samples"), t("page.samples_count", { count: about.samples })],
  ];
  if (score) {
    const parts = { share: percent(score.value), low: percent(score.low), high: percent(score.high), n: score.n };
    rows.push([t("page.right"), t("page.right_share", parts)]);
  }
  rows.push([t("page.licence"), metadata.licence], [t("page.hash"), <code key="hash">{about.sha256}</code>]);
  return (
    <details className="about">
      <summary>{t("page.about")}</summary>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt className="muted">{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p>
        <a href="?check">{t("page.check")}</a>
      </p>
    </details>
  );
}
