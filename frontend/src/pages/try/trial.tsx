// Camera, microphone or files on one side, the answer on the other.

import { useState } from "react";
import { type Shapes } from "@/api";
import { Button, Card, Notice, Segments } from "@/design";
import { wavFile } from "@/recording";
import { t } from "@/words";
import { ask, faultOf, snapshot, type Tried } from "./asking";
import { Camera } from "./camera";
import { type Ear, lastHeard } from "./ear";
import { DropZone, useDroppedFiles } from "./files";
import { Keep } from "./keep";
import { useLive } from "./live";
import { Microphone } from "./microphone";
import { Shown } from "./shown";
import { TriedFiles, type TriedFile } from "./tried-files";
import { VerdictView } from "./verdict";

type Source = "live" | "files";

const EVERY_MILLISECONDS = { image: 200, audio: 300 };
const REMEMBERED_SECONDS = 10;
const FIRST_SECONDS = 1; // until the first answer says what the model hears at once

interface Props {
  project: Shapes["Project"];
  run: Shapes["RunCard"];
  modality: "image" | "audio";
  readOnly: boolean;
}

export function Trial({ project, run, modality, readOnly }: Props) {
  const p = project.id;
  const [source, setSource] = useState<Source>("files");
  const [video, setVideo] = useState<HTMLVideoElement | null>(null);
  const [ear, setEar] = useState<Ear | null>(null);
  const [quiet, setQuiet] = useState(false);
  const [files, setFiles] = useState<TriedFile[]>([]);
  const [asking, setAsking] = useState(0);
  const [keeping, setKeeping] = useState<Tried | null>(null);

  const live = useLive<Tried>(source === "live" && (video || ear) ? run.id : null, EVERY_MILLISECONDS[modality], async (before) => {
    if (video) {
      const blob = await snapshot(video);
      return blob && ask(p, run, blob);
    }
    const wave = ear && lastHeard(ear, Math.min(REMEMBERED_SECONDS, before?.windowSeconds ?? FIRST_SECONDS));
    setQuiet(wave === "quiet");
    return ear && wave && wave !== "quiet" ? ask(p, run, wavFile(wave, ear.rateHz)) : null;
  });

  async function take(chosen: File[]): Promise<void> {
    setSource("files");
    setAsking((count) => count + chosen.length);
    for (const file of chosen) {
      const answer = await ask(p, run, file, file.name).catch((refused: unknown) => (refused instanceof Error ? refused : new Error(String(refused))));
      setFiles((before) => [{ id: (before[0]?.id ?? 0) + 1, file, answer }, ...before]);
      setAsking((count) => count - 1);
    }
  }

  const over = useDroppedFiles((dropped) => void take(dropped));
  const newest = files[0];
  const refused = source === "files" ? newest?.answer : live.fault;
  const shown = source === "live" ? live.verdict : newest && !(newest.answer instanceof Error) ? newest.answer : null;
  const waiting = source === "live" && ear ? (quiet ? "try.too_quiet" : "try.listening") : asking > 0 ? "try.asking" : modality === "image" ? "try.waiting_image" : "try.waiting_audio";

  return (
    <div className="stack">
      <div className="try-sides">
        <section className="try-input" aria-label={t("try.source")}>
          <Segments
            label={t("try.source")}
            options={[
              { value: "files", label: t("try.files") },
              { value: "live", label: t(modality === "image" ? "recording.camera" : "recording.microphone") },
            ]}
            value={source}
            onChange={setSource}
          />
          {source === "live" &&
            (modality === "image" ? <Camera onVideo={setVideo} /> : <Microphone seconds={REMEMBERED_SECONDS} onEar={setEar} />)}
          {source === "files" && newest && shown && <Shown p={p} file={newest.file} modality={modality} />}
          {source === "files" && <DropZone modality={modality} over={over} onFiles={(chosen) => void take(chosen)} />}
        </section>
        <Card className="try-answer" aria-label={t("try.answer")}>
          <p className="unseen" role="status">
            {source === "files" && asking > 0 ? t("try.asking") : ""}
          </p>
          {refused instanceof Error ? (
            <Notice tone="warning" title={source === "files" ? newest?.file.name : t("try.file_failed")}>
              <p>{faultOf(refused, modality)}</p>
            </Notice>
          ) : shown ? (
            <>
              <VerdictView verdict={shown} live />
              {readOnly ? (
                <p className="small muted">{t("try.read_only")}</p>
              ) : (
                <Button icon="add" onClick={() => setKeeping(shown)}>
                  {t("try.keep")}
                </Button>
              )}
            </>
          ) : (
            <p className="muted try-waiting">{t(waiting)}</p>
          )}
        </Card>
      </div>
      {files.length > 1 && <TriedFiles files={files} modality={modality} onKeep={readOnly ? undefined : setKeeping} onClear={() => setFiles([])} />}
      {keeping && <Keep project={project} tried={keeping} modality={modality} device={ear?.name ?? ""} onClose={() => setKeeping(null)} />}
    </div>
  );
}
