// Static pods from a URL (staticPodURL): a pod or a list of pods, asked for every httpCheckFrequency. What cannot be read is
// logged once and leaves the pods as they were.
import type { Pod } from "../api/types/core-v1.ts";
import { formatTime, type Timer } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import { errorText } from "../base/log.ts";
import { configAnnotation } from "./labels.ts";
import { manifestDocuments, staticPodOf } from "./static-pod.ts";
import type { StaticPodDependencies } from "./static-pods.ts";

export interface StaticPodUrlOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly nodeName: string;
  readonly periodMs: number;
}

/** Of one answer. */
const timeoutMs = 10_000;
const maxBytes = 10 * 2 ** 20;

export class StaticPodUrlSource implements Running {
  readonly #deps: StaticPodDependencies;
  readonly #options: StaticPodUrlOptions;
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  #reading: Promise<void> = Promise.resolve();
  /** When each pod was first seen, by uid. */
  #seen = new Map<string, string>();
  #last: string | undefined;
  #problem: string | undefined;

  constructor(deps: StaticPodDependencies, options: StaticPodUrlOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Resolves when the URL has been asked once. */
  async start(): Promise<void> {
    this.#reading = this.#read();
    await this.#reading;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#timer?.cancel();
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { clock, logger } = this.#deps;
    const { url, periodMs } = this.#options;
    try {
      this.#take(await this.#fetch());
      this.#problem = undefined;
    } catch (error) {
      const problem = errorText(error);
      if (!this.#abort.signal.aborted && problem !== this.#problem) logger.error("Reading static pods failed", { url, error: problem });
      this.#problem = problem;
    }
    if (this.#abort.signal.aborted) return;
    this.#timer = clock.after(periodMs, () => {
      this.#reading = this.#read();
    });
  }

  async #fetch(): Promise<string> {
    const { url, headers } = this.#options;
    const deadline = new AbortController();
    const timer = this.#deps.clock.after(timeoutMs, () => deadline.abort(new Error(`no answer within ${timeoutMs} ms`)));
    try {
      const pairs = Object.entries(headers).flatMap(([name, values]) => values.map((value): [string, string] => [name, value]));
      const response = await fetch(url, { headers: pairs, signal: AbortSignal.any([deadline.signal, this.#abort.signal]) });
      if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
      return await textWithin(response);
    } finally {
      timer.cancel();
    }
  }

  #take(text: string): void {
    if (text.trim() === "") throw new Error("zero-length data received");
    const { clock, applyDefaults, onChange } = this.#deps;
    const { url: origin, nodeName } = this.#options;
    const now = formatTime(clock.now());
    const context = { nodeName, applyDefaults, seenAt: (uid: string): string => this.#seen.get(uid) ?? now };
    const pods = podsIn(text).map((value) => staticPodOf({ value, source: "http", origin, text: JSON.stringify(value) }, context));
    const state = pods.map((p) => p.metadata.uid).join();
    if (state === this.#last) return;
    this.#last = state;
    this.#seen = new Map(pods.map((p) => [p.metadata.uid, p.metadata.annotations?.[configAnnotation.seen] ?? ""]));
    onChange(pods);
  }
}

/** Those of a pod, or of a list of pods. */
function podsIn(text: string): readonly unknown[] {
  return manifestDocuments(text).flatMap((document) => {
    const { kind, items } = document as { readonly kind?: unknown; readonly items?: readonly Pod[] };
    if (kind !== "PodList") return [document];
    return (items ?? []).map((pod) => ({ ...pod, apiVersion: "v1", kind: "Pod" }));
  });
}

async function textWithin({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
