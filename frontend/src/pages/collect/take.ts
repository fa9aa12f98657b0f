// Recordings on their way into a class. What was recorded in one go is a take and stays together in every split. Uploads
// run behind the recording; what was refused says why.

import { useCallback, useEffect, useRef, useState } from "react";
import { api, send, take as body, useFreshen, type Shapes } from "@/api";
import { toast, toastProblem } from "@/design";
import { t } from "@/words";

type Sample = Shapes["Sample"];

export interface Recorder {
  /** A new take begins: the next recordings belong to it. */
  begin: (device: string) => void;
  add: (recording: Blob, seconds?: number) => void;
  /** Newest first. */
  samples: readonly Sample[];
  waiting: number;
  remove: (sample: string) => void;
}

export function useRecorder(p: string, label: string, source: "microphone" | "webcam"): Recorder {
  const freshen = useFreshen(p);
  const [samples, setSamples] = useState<readonly Sample[]>([]);
  const [waiting, setWaiting] = useState(0);
  const take = useRef<Promise<Shapes["Take"]>>(null);
  const last = useRef<Promise<void>>(Promise.resolve());
  const pending = useRef(0);
  const alive = useRef(true);
  const left = useRef({ known: 0, silent: 0, labels: new Set<string>() }); // out, since it was said last

  const say = useCallback(() => {
    const { known, silent, labels } = left.current;
    left.current = { known: 0, silent: 0, labels: new Set() };
    const label = [...labels].map((name) => `“${name}”`).join(", ");
    if (known > 0) toast(t(source === "webcam" ? "collect.known_pictures" : "collect.known_clips", { count: known, label }));
    if (silent > 0) toast(t("collect.silent_clips", { count: silent }));
  }, [source]);

  useEffect(() => {
    alive.current = true;
    return () => {
      alive.current = false;
      void last.current.then(() => freshen());
    };
  }, [freshen]);

  const begin = useCallback(
    (device: string) => {
      take.current = body(api.POST("/api/projects/{p}/takes", { params: { path: { p } }, body: { label, source, device } }));
      take.current.catch(toastProblem);
    },
    [p, label, source],
  );

  const add = useCallback(
    (recording: Blob, seconds?: number) => {
      const into = take.current;
      if (!into) return;
      setWaiting((count) => count + 1);
      pending.current += 1;
      // One after the other: the order of frames is the order of samples.
      last.current = last.current.then(async () => {
        try {
          const { id } = await into;
          const at = `/api/projects/${p}/takes/${id}/samples${seconds ? `?seconds=${seconds}` : ""}`;
          const made = await send<Shapes["Recorded"]>("PUT", at, recording);
          left.current.known += made.known;
          left.current.silent += made.silent;
          for (const name of made.known_in ?? []) left.current.labels.add(name);
          if (alive.current) setSamples((before) => [...made.samples.toReversed(), ...before]);
        } catch (error) {
          toastProblem(error);
        } finally {
          if (alive.current) setWaiting((count) => count - 1);
          if (--pending.current === 0) say();
        }
      });
    },
    [p, say],
  );

  const remove = useCallback(
    (sample: string) => {
      body(api.POST("/api/projects/{p}/samples/delete", { params: { path: { p } }, body: { ids: [sample] } })).then(
        () => setSamples((before) => before.filter(({ id }) => id !== sample)),
        toastProblem,
      );
    },
    [p],
  );

  return { begin, add, samples, waiting, remove };
}
