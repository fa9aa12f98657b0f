// The file that was tried last: to see or to hear.

import { useEffect, useState } from "react";
import "./stage.css";

export function useUrl(blob: Blob): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}

export function Shown({ file, modality }: { file: File; modality: "image" | "audio" }) {
  const url = useUrl(file);
  if (modality === "audio") {
    return (
      <figure className="try-player">
        <figcaption className="small muted clip">{file.name}</figcaption>
        <audio controls src={url} aria-label={file.name} />
      </figure>
    );
  }
  return (
    <div className="try-stage-picture">
      {url && <img src={url} alt={file.name} />}
    </div>
  );
}
