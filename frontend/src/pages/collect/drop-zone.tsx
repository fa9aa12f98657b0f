// Files may be dropped anywhere on the page, and pasted. Over a class they go into that class.

import { useEffect, useRef, useState } from "react";
import { Icon } from "@/design";
import { t } from "@/words";
import { fromFiles, fromTransfer, type Incoming } from "./incoming";

const hasFiles = (transfer: DataTransfer | null): transfer is DataTransfer => transfer?.types.includes("Files") ?? false;
const classAt = (target: EventTarget | null) => (target instanceof Element ? target.closest<HTMLElement>("[data-class]")?.dataset.class : undefined);

export function DropZone({ target, onFiles }: { target: string | undefined; onFiles: (files: Incoming[], target: string | undefined) => void }) {
  const [over, setOver] = useState<{ target: string | undefined } | null>(null);
  const tell = useRef(onFiles);
  tell.current = onFiles;
  const fallback = useRef(target);
  fallback.current = target;

  useEffect(() => {
    let gone: ReturnType<typeof setTimeout>;
    function drag(event: DragEvent): void {
      if (!hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      const at = classAt(event.target) ?? fallback.current;
      setOver((before) => (before && before.target === at ? before : { target: at }));
      // Leaving a child looks like leaving the page; dragging on tells that it was not.
      clearTimeout(gone);
      gone = setTimeout(() => setOver(null), 250);
    }
    function drop(event: DragEvent): void {
      if (!hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      const at = classAt(event.target) ?? fallback.current;
      setOver(null);
      void fromTransfer(event.dataTransfer).then((files) => tell.current(files, at));
    }
    function paste(event: ClipboardEvent): void {
      const files = event.clipboardData?.files;
      if (!files?.length || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      const at = classAt(document.activeElement) ?? fallback.current;
      // Everything that is pasted is called image.png.
      const stamp = new Date().toISOString().replaceAll(/[:.]/g, "-");
      const named = [...files].map((file, n) => ({ path: `pasted-${stamp}${n ? `-${n}` : ""}.${file.name.split(".").pop() ?? "png"}`, file }));
      tell.current(named, at);
    }
    addEventListener("dragenter", drag);
    addEventListener("dragover", drag);
    addEventListener("drop", drop);
    addEventListener("paste", paste);
    return () => {
      clearTimeout(gone);
      removeEventListener("dragenter", drag);
      removeEventListener("dragover", drag);
      removeEventListener("drop", drop);
      removeEventListener("paste", paste);
    };
  }, []);

  useEffect(() => {
    for (const card of document.querySelectorAll<HTMLElement>("[data-class]")) card.toggleAttribute("data-over", over !== null && card.dataset.class === over.target);
  }, [over]);

  return (
    <div className="collect-drop" hidden={!over} aria-hidden="true">
      <p>
        <Icon name="upload" size={28} />
        {over?.target === undefined ? t("collect.drop_here") : t("collect.drop_into", { label: over.target })}
      </p>
    </div>
  );
}

/** Buttons for those who do not drag. */
export function useChooser(onFiles: (files: Incoming[]) => void): { files: () => void; folder: () => void; inputs: React.ReactNode } {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const chosen = (event: React.ChangeEvent<HTMLInputElement>) => {
    onFiles(fromFiles(event.target.files ?? []));
    event.target.value = "";
  };
  return {
    files: () => files.current?.click(),
    folder: () => folder.current?.click(),
    inputs: (
      <>
        <input ref={files} type="file" multiple hidden data-chooser="files" aria-label={t("collect.choose_files")} onChange={chosen} />
        <input ref={folder} type="file" multiple hidden data-chooser="folder" aria-label={t("collect.choose_folder")} onChange={chosen} {...{ webkitdirectory: "" }} />
      </>
    ),
  };
}
