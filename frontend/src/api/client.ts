// How the pages reach the server: typed calls, files with progress, and refusals as `Problem`s. Knows no page.

import createClient from "openapi-fetch";
import { language, unbroken } from "@/words";
import type { components, paths } from "./schema";

export type Shapes = components["schemas"];

/** What the server refused and what to do about it (application/problem+json). */
export class Problem extends Error {
  readonly hint: string;

  constructor(
    readonly status: number,
    message: string,
    hint = "",
  ) {
    super(unbroken(message));
    this.hint = unbroken(hint);
  }
}

export async function problemOf(response: Response): Promise<Problem> {
  try {
    const body = (await response.json()) as { title?: string; detail?: unknown; hint?: string };
    const words = typeof body.detail === "string" ? body.detail : body.title;
    return new Problem(response.status, words ?? `${response.status}`, body.hint ?? "");
  } catch {
    return new Problem(response.status, `${response.status} ${response.statusText}`.trim());
  }
}

/** Every changing request carries it: a form on another site cannot. */
export const mark = { "X-Handful": "1" };

export const api = createClient<paths>({ baseUrl: location.origin, headers: mark });

api.use({
  onRequest({ request }) {
    request.headers.set("Accept-Language", language());
  },
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response);
  },
  onError() {
    return new Problem(0, "offline");
  },
});

/** The body of a call that went well. */
export async function take<T>(call: Promise<{ data?: T }>): Promise<T> {
  return (await call).data as T;
}

/** Sends bytes as the body of a request; `fetch` tells nothing of progress, therefore XMLHttpRequest. */
export function send<T>(
  method: "PUT" | "POST",
  url: string,
  body: Blob,
  { onProgress, signal }: { onProgress?: (sent: number) => void; signal?: AbortSignal } = {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(mark)) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", body.type || "application/octet-stream");
    request.setRequestHeader("Accept-Language", language());
    if (onProgress) request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => {
      if (request.status < 300) resolve(request.responseText ? (JSON.parse(request.responseText) as T) : (undefined as T));
      else void problemOf(new Response(request.responseText, { status: request.status, statusText: request.statusText })).then(reject);
    };
    request.onerror = () => reject(new Problem(0, "offline"));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

/** A file as a JPEG or WAV, made by the server, for kinds that this browser cannot show. */
export async function previewOf(p: string, file: Blob): Promise<Blob> {
  const answer = await fetch(`${at(p)}/preview`, { method: "POST", headers: { ...mark, "Accept-Language": language() }, body: file });
  if (!answer.ok) throw await problemOf(answer);
  return answer.blob();
}

const at = (p: string) => `/api/projects/${p}`;

/** Addresses of media and downloads, for src= and href=. */
export const url = {
  thumb: (p: string, s: string) => `${at(p)}/samples/${s}/thumb`,
  preview: (p: string, s: string) => `${at(p)}/samples/${s}/preview`,
  file: (p: string, s: string) => `${at(p)}/samples/${s}/file`,
  spectrogram: (p: string, s: string) => `${at(p)}/samples/${s}/spectrogram`,
  archive: (p: string) => `${at(p)}/archive`,
  report: (p: string, r: string, lang: string) => `${at(p)}/runs/${r}/report?lang=${lang}`,
  explanation: (p: string, r: string, name: string) => `${at(p)}/runs/${r}/explanations/${encodeURIComponent(name)}`,
  export: (p: string, r: string, name: string) => `${at(p)}/runs/${r}/exports/${encodeURIComponent(name)}`,
};
