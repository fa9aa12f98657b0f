// The page's side of the model: loads it in a worker, asks it, waits. Knows nothing of what is shown.

import type { Verdict } from "@/pages/try/verdict";
import { type Metadata, answer } from "./answer";
import { Refusal } from "./refusal";
import { type Sound, decodeSound } from "./sounds/decode";
import type { Ask, Told } from "./worker";

export interface About {
  model: string;
  samples: number;
  score: { value: number; low: number; high: number; n: number } | null;
  bytes: number;
  sha256: string;
  /** Whether Python makes tall pictures lower before narrower. */
  tall_first: boolean;
  metadata: Metadata;
}

export interface Outcome extends Verdict {
  logits: number[];
}

type Question = Ask extends infer A ? (A extends { id: number } ? Omit<A, "id"> : never) : never;

export class Model {
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, { resolve: (told: Told) => void; reject: (error: Error) => void }>();
  private last = 0;

  private constructor(readonly about: About) {
    this.worker.onmessage = ({ data }: MessageEvent<Told>) => {
      const waiter = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ("refused" in data) waiter?.reject(new Refusal(data.refused.reason, data.refused.details));
      else waiter?.resolve(data);
    };
    this.worker.onerror = (event) => {
      event.preventDefault();
      for (const { reject } of this.waiting.values()) reject(new Refusal("failed", { why: event.message ?? "" }));
      this.waiting.clear();
    };
  }

  static async load(): Promise<Model> {
    const response = await fetch("model.json");
    if (!response.ok) throw new Refusal("load", { status: response.status });
    const model = new Model((await response.json()) as About);
    const url = new URL("model.onnx", document.baseURI).href;
    await model.ask({ load: url, frontend: model.about.metadata.frontend, tallFirst: model.about.tall_first }, []);
    return model;
  }

  get modality(): "image" | "audio" {
    return this.about.metadata.frontend.modality;
  }

  /** Throws `Refusal`. */
  async file(file: Blob): Promise<Outcome> {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (this.modality === "audio") return this.sound(await decodeSound(bytes));
    return this.outcome(await this.ask({ picture: bytes }, [bytes.buffer]));
  }

  async frame(frame: ImageBitmap): Promise<Outcome> {
    return this.outcome(await this.ask({ frame }, [frame]));
  }

  async sound(sound: Sound): Promise<Outcome> {
    return this.outcome(await this.ask({ sound }, sound.channels.map((channel) => channel.buffer)));
  }

  private outcome(told: Told): Outcome {
    if (!("logits" in told)) throw new Refusal("failed", { why: "" });
    return { ...answer(told.logits, this.about.metadata), logits: told.logits, milliseconds: told.milliseconds };
  }

  private ask(question: Question, transfer: Transferable[]): Promise<Told> {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ ...question, id }, transfer);
    });
  }
}
