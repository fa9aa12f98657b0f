// Files that are dropped anywhere on the page, pasted, or chosen.

import { useEffect, useRef, useState } from "react";
import { Icon } from "@/design/icons";
import { t } from "@/words";
import "./stage.css";

/** Takes files that are dropped or pasted anywhere while it is used. Answers whether some are held over the page. */
export function useDroppedFiles(onFiles: (files: File[]) => void): boolean {
  const [over, setOver] = useState(false);
  const tell = useRef(onFiles);
  tell.current = onFiles;

  useEffect(() => {
    const take = (files: FileList | undefined) => files?.length && tell.current([...files]);
    const carriesFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    function drag(event: DragEvent): void {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      setOver(event.type === "dragover");
      if (event.type === "drop") take(event.dataTransfer?.files);
    }
    function leave(event: DragEvent): void {
      if (!event.relatedTarget) setOver(false);
    }
    function paste(event: ClipboardEvent): void {
      if (event.clipboardData?.files.length) {
        event.preventDefault();
        take(event.clipboardData.files);
      }
    }
    document.addEventListener("dragover", drag);
    document.addEventListener("drop", drag);
    document.addEventListener("dragleave", leave);
    document.addEventListener("paste", paste);
    return () => {
      document.removeEventListener("dragover", drag);
      document.removeEventListener("drop", drag);
      document.removeEventListener("dragleave", leave);
      document.removeEventListener("paste", paste);
    };
  }, []);

  return over;
}

export function DropZone({ modality, over, onFiles }: { modality: "image" | "audio"; over: boolean; onFiles: (files: File[]) => void }) {
  return (
    <label className={`try-drop${over ? " over" : ""}`}>
      <Icon name={modality === "image" ? "camera" : "sound"} size={28} />
      <span className="button plain" aria-hidden="true">
        {t(modality === "image" ? "try.choose_image" : "try.choose_audio")}
      </span>
      <span className="muted small">{t("try.drop_hint")}</span>
      <input
        className="try-drop-input"
        type="file"
        multiple
        accept={modality === "image" ? "image/*" : "audio/*,.wav,.flac,.ogg,.mp3,.m4a"}
        aria-label={t(modality === "image" ? "try.choose_image" : "try.choose_audio")}
        onChange={(event) => {
          const files = [...(event.target.files ?? [])];
          event.target.value = "";
          if (files.length) onFiles(files);
        }}
      />
    </label>
  );
}
