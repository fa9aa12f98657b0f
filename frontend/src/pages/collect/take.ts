// Recordings on their way into a class. What was recorded in one go is a take and stays together in every split. Uploads
// run behind the recording; what was refused says why.

import { useCallback, useEffect, useRef, useState } from "react";
import { api, send, take as body, useFreshen, type Shapes } from "@/api";
import { toastProblem } from "@/design";

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
  const alive = useRef(true);

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
      // One after the other: the order of frames is the order of samples.
      last.current = last.current.then(async () => {
        try {
          const { id } = await into;
          const at = `/api/projects/${p}/takes/${id}/samples${seconds ? `?seconds=${seconds}` : ""}`;
          const added = await send<Sample[]>("PUT", at, recording);
          if (alive.current) setSamples((before) => [...added.toReversed(), ...before]);
        } catch (error) {
          toastProblem(error);
        } finally {
          if (alive.current) setWaiting((count) => count - 1);
        }
      });
    },
    [p],
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
