// Static pods from a URL (--manifest-url): a pod or a list of pods, asked for every 20 seconds with the headers given. What
// cannot be read leaves the pods as they are; only the first failures in a row are worth a line each.
import type { Pod } from "../../api/types/core-v1.ts";
import { formatTime, type Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText } from "../../base/log.ts";
import { configAnnotation } from "../runtime/labels.ts";
import { readManifest } from "./static-manifest.ts";
import type { StaticPodDependencies } from "./static-pods.ts";

export interface StaticPodUrlOptions {
  readonly url: string;
  /** Name → values. */
  readonly headers?: Readonly<Record<string, readonly string[]>>;
  readonly nodeName: string;
  /** Default 20 s. */
  readonly periodMs?: number;
}

const timeoutMs = 10_000;
const maxBytes = 10 * 2 ** 20;
const loudFailures = 3;

export class StaticPodUrl implements Running {
  readonly #deps: StaticPodDependencies;
  readonly #options: StaticPodUrlOptions;
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  #reading: Promise<void> = Promise.resolve();
  #failures = 0;
  #last: string | undefined;
  #seen = new Map<string, string>();

  constructor(deps: StaticPodDependencies, options: StaticPodUrlOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  start(): void {
    this.#reading = this.#read();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#timer?.cancel();
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { logger, clock } = this.#deps;
    try {
      await this.#readOnce();
      if (this.#failures > 0) logger.info("Successfully read pods from URL");
      this.#failures = 0;
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      logger.info("Failed to read pods from URL", { error: errorText(error) }, this.#failures++ <= loudFailures ? 0 : 4);
    }
    if (this.#abort.signal.aborted) return;
    this.#timer = clock.after(this.#options.periodMs ?? 20_000, () => {
      this.#reading = this.#read();
    });
  }

  async #readOnce(): Promise<void> {
    const { url, nodeName } = this.#options;
    const text = await this.#fetch();
    if (text === "") {
      this.#use([]);
      throw new Error(`zero-length data received from ${url}`);
    }
    if (text === this.#last) return;
    const now = formatTime(this.#deps.clock.now());
    const seenAt = (uid: string): string => this.#seen.get(uid) ?? now;
    const pods = readManifest({ kind: "http", source: url, text, seenAt }, { ...this.#deps, nodeName });
    this.#last = text;
    this.#use(pods);
  }

  #use(pods: readonly Pod[]): void {
    this.#seen = new Map(pods.map((p) => [p.metadata.uid, p.metadata.annotations?.[configAnnotation.seen] ?? ""]));
    this.#deps.onChange(pods);
  }

  async #fetch(): Promise<string> {
    const { url, headers = {} } = this.#options;
    const all = Object.entries(headers).flatMap(([name, values]) => values.map((value): [string, string] => [name, value]));
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(timeoutMs)]);
    const response = await fetch(url, { headers: all, signal });
    if (response.status !== 200) throw new Error(`${url}: ${response.status} ${response.statusText}`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > maxBytes) throw new Error(`${url}: more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  }
}
