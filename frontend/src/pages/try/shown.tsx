// Something that was tried: to see or to hear. What the browser cannot show itself, the server draws for it.

import { useEffect, useState } from "react";
import { previewOf } from "@/api";
import "./stage.css";

function useUrl(blob: Blob): string | undefined {
  const [made, setMade] = useState<{ of: Blob; url: string }>();
  useEffect(() => {
    const url = URL.createObjectURL(blob);
    setMade({ of: blob, url });
    return () => URL.revokeObjectURL(url);
  }, [blob]);
  return made?.of === blob ? made.url : undefined; // what belonged to the one before is gone
}

interface Props {
  p: string;
  file: Blob;
  modality: "image" | "audio";
  label: string;
  className?: string | undefined;
}

/** A picture or a player; nothing where neither the browser nor the server can show it. */
export function Media({ p, file, modality, label, className }: Props) {
  const [drawn, setDrawn] = useState<{ of: Blob; as: Blob | null }>();
  const shown = drawn?.of === file ? drawn.as : file;
  const url = useUrl(shown ?? file);
  const failed = () => {
    setDrawn({ of: file, as: null });
    if (shown === file) previewOf(p, file).then((as) => setDrawn({ of: file, as }), () => undefined);
  };
  if (!shown || !url) return null;
  if (modality === "audio") return <audio className={className} controls src={url} aria-label={label} onError={failed} />;
  return <img className={className} src={url} alt={label} onError={failed} />;
}

export function Shown({ p, file, modality }: { p: string; file: File; modality: "image" | "audio" }) {
  if (modality === "image")
    return (
      <div className="try-stage-picture">
        <Media p={p} file={file} modality={modality} label={file.name} />
      </div>
    );
  return (
    <figure className="try-player">
      <figcaption className="small muted clip">{file.name}</figcaption>
      <Media p={p} file={file} modality={modality} label={file.name} />
    </figure>
  );
}
