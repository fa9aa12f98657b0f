// An import of a project: files go up a few at a time, a preview says what would happen, then it happens or not. It lives
// outside the page, so that going to another one does not stop it; after a reload it goes on where it was, since the
// server keeps what has come.

import { useSyncExternalStore } from "react";
import { api, Problem, send, take, type Shapes } from "@/api";
import { toastProblem } from "@/design";
import type { Incoming } from "./incoming";

export type Preview = Shapes["ImportPreview"];

export type ImportState =
  | { phase: "idle" }
  | { phase: "sending"; files: number; sent: number; bytes: number; sentBytes: number }
  | { phase: "waiting" } // for the preview
  | { phase: "preview"; preview: Preview; refused: Shapes["Reject"][] }
  | { phase: "left"; preview: Preview }; // from before a reload

const AT_ONCE = 4;

export class Importing {
  state: ImportState = { phase: "idle" };
  /** The class that the files were dropped on. */
  target: string | undefined;
  private id: string | null = null;
  private stopping = new AbortController();
  private readonly listeners = new Set<() => void>();

  constructor(private readonly p: string) {
    const kept = localStorage.getItem(this.key);
    if (kept) {
      const { id, target } = JSON.parse(kept) as { id: string; target?: string };
      void this.look(id, target);
    }
  }

  private get key(): string {
    return `handful.import.${this.p}`;
  }

  readonly subscribe = (tell: () => void): (() => void) => {
    this.listeners.add(tell);
    return () => this.listeners.delete(tell);
  };

  private set(state: ImportState): void {
    this.state = state;
    for (const tell of this.listeners) tell();
  }

  /** Sends files and shows what would become of them. With an import left from before, only what is missing is sent. */
  async begin(files: Incoming[], target?: string): Promise<void> {
    if (files.length === 0 || this.state.phase === "sending") return;
    const left = this.state.phase === "left" || this.state.phase === "preview" ? this.state.preview : null;
    this.target = target ?? this.target;
    this.stopping = new AbortController();
    this.set({ phase: "waiting" });
    try {
      const preview = left ?? (await take(api.POST("/api/projects/{p}/imports", { params: { path: { p: this.p } } })));
      this.id = preview.id;
      localStorage.setItem(this.key, JSON.stringify({ id: this.id, target: this.target }));
      const here = new Set(preview.received);
      // Loose files are called the same as others: the server knows by their content which are new.
      const refused = await this.sendAll(files.filter(({ path }) => !here.has(path) || !path.includes("/")));
      this.set({ phase: "waiting" });
      const found = await take(api.GET("/api/projects/{p}/imports/{i}", { params: { path: { p: this.p, i: this.id } } }));
      this.set({ phase: "preview", preview: found, refused });
    } catch (error) {
      if (this.stopping.signal.aborted) return;
      toastProblem(error);
      if (this.id) void this.look(this.id, this.target);
      else this.set({ phase: "idle" });
    }
  }

  private async sendAll(files: Incoming[]): Promise<Shapes["Reject"][]> {
    const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
    const refused: Shapes["Reject"][] = [];
    const under = new Map<Incoming, number>();
    let sent = 0;
    let doneBytes = 0;
    let told = 0;
    const tell = (force = false): void => {
      if (!force && performance.now() - told < 100) return;
      told = performance.now();
      const sentBytes = doneBytes + [...under.values()].reduce((sum, size) => sum + size, 0);
      this.set({ phase: "sending", files: files.length, sent, bytes, sentBytes });
    };
    const one = async (incoming: Incoming): Promise<void> => {
      const at = `/api/projects/${this.p}/imports/${this.id}/files?path=${encodeURIComponent(incoming.path)}`;
      const onProgress = (size: number) => {
        under.set(incoming, size);
        tell();
      };
      try {
        // What was refused with a reason is in the preview's rejects; here are those that never came that far.
        await send<Shapes["Received"]>("PUT", at, incoming.file, { onProgress, signal: this.stopping.signal });
      } catch (error) {
        if (!(error instanceof Problem) || ![400, 413, 415, 422].includes(error.status)) throw error;
        refused.push({ path: incoming.path, reason: error.message });
      }
      under.delete(incoming);
      sent += 1;
      doneBytes += incoming.file.size;
      tell();
    };
    tell(true);
    const queue = files.values();
    const worker = async (): Promise<void> => {
      for (const incoming of queue) await one(incoming);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return refused;
  }

  /** An import that began elsewhere: before a reload, or on the command line. */
  async look(id: string, target?: string, show = false): Promise<void> {
    try {
      const preview = await take(api.GET("/api/projects/{p}/imports/{i}", { params: { path: { p: this.p, i: id } } }));
      this.id = id;
      this.target = target;
      localStorage.setItem(this.key, JSON.stringify({ id, target }));
      this.set(show ? { phase: "preview", preview, refused: [] } : { phase: "left", preview });
    } catch {
      this.forget();
    }
  }

  show(): void {
    if (this.state.phase === "left") this.set({ phase: "preview", preview: this.state.preview, refused: [] });
  }

  /** The dialog was closed without a word about the files: they stay, and what was not sent yet can follow. */
  leave(): void {
    if (this.state.phase === "preview") return this.set({ phase: "left", preview: this.state.preview });
    this.stopping.abort();
    if (this.id) void this.look(this.id, this.target);
    else this.forget();
  }

  /** What would happen with these labels. */
  preview(query: { table: string; file_column: string | null; label_column: string | null }): Promise<Preview> {
    return take(api.GET("/api/projects/{p}/imports/{i}", { params: { path: { p: this.p, i: this.id ?? "" }, query } }));
  }

  confirm(choice: Shapes["ImportChoice"]): Promise<{ data?: Shapes["Done"] }> {
    return api.POST("/api/projects/{p}/imports/{i}/confirm", { params: { path: { p: this.p, i: this.id ?? "" } }, body: choice });
  }

  /** It is done, or gone. */
  forget(): void {
    this.id = null;
    this.target = undefined;
    localStorage.removeItem(this.key);
    this.set({ phase: "idle" });
  }

  cancel(): void {
    this.stopping.abort();
    const id = this.id;
    this.forget();
    if (id) take(api.DELETE("/api/projects/{p}/imports/{i}", { params: { path: { p: this.p, i: id } } })).catch(() => undefined);
  }
}

const all = new Map<string, Importing>();

export function useImporting(p: string): { importing: Importing; state: ImportState } {
  let importing = all.get(p);
  if (!importing) all.set(p, (importing = new Importing(p)));
  const state = useSyncExternalStore(importing.subscribe, () => importing.state);
  return { importing, state };
}
