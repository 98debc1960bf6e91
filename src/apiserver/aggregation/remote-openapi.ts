// The OpenAPI documents of extension servers, read in the background once a minute. v3: their indexes, so that requests for one
// group version are sent on to its server. v2: the whole documents, to be merged into the one of this server. What was read
// last stays where reading fails; a server without v3 gets a document converted from its v2.
import { createHash } from "node:crypto";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import type { Handler } from "../request.ts";
import type { RemoteDocuments } from "./aggregated-openapi.ts";
import type { Backend } from "./backend.ts";
import type { BackendListener, Backends } from "./backends.ts";
import { convertToV3 } from "./convert-openapi.ts";
import { type DocumentRequest, type FetchedDocument, fetchDocument } from "./fetch-document.ts";
import { isJsonObject, mergeSpecsV2, readSpecV2, type SpecV2 } from "./openapi-v2.ts";
import type { ForwardRequest } from "./proxy.ts";

export interface RemoteOpenApiDeps {
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly backends: Backends;
  readonly forward: ForwardRequest;
}

const refreshMs = 60_000;
const firstAfterMs = 1000;
const backoff = { baseMs: refreshMs, maxMs: 3600_000 };
const timeoutMs = 60_000;
const maxIndexBytes = 1024 * 1024;
const maxSpecBytes = 16 * 1024 * 1024;
const openApiUser = { name: "system:aggregator", groups: [] };
const indexPrefix = "/openapi/v3/";

interface Converted {
  readonly bytes: Uint8Array;
  readonly hash: string;
}

interface Known {
  readonly backend: Backend;
  priority: number;
  /** Links by the paths of the index. */
  links: ReadonlyMap<string, string>;
  v2: { readonly etag: string; readonly spec: SpecV2 } | undefined;
  /** For a server without v3. */
  converted: Converted | undefined;
  isComplete: boolean;
}

export class RemoteOpenApi implements BackendListener, RemoteDocuments, Running {
  readonly #deps: RemoteOpenApiDeps;
  readonly #queue: KeyedQueue<string>;
  readonly #known = new Map<string, Known>();
  #generation = 0;

  constructor(deps: RemoteOpenApiDeps) {
    this.#deps = deps;
    const metrics = deps.queues?.hooks("open_api_v3_aggregation_controller");
    this.#queue = new KeyedQueue<string>({
      clock: deps.clock,
      backoff,
      work: (name, signal) => this.#refresh(name, signal),
      ...(metrics ? { metrics } : {}),
    });
    deps.queues?.measure("open_api_v3_aggregation_controller", this.#queue);
    this.#queue.start();
  }

  get generation(): number {
    return this.#generation;
  }

  get hasSpecs(): boolean {
    for (const { v2 } of this.#known.values()) if (v2) return true;
    return false;
  }

  get links(): ReadonlyMap<string, string> {
    const all = new Map<string, string>();
    for (const { links, converted, backend } of this.#ordered()) {
      for (const [path, link] of links) if (!all.has(path)) all.set(path, link);
      const path = backend.root.slice(1);
      if (converted && !all.has(path)) all.set(path, `${indexPrefix}${path}?hash=${converted.hash}`);
    }
    return all;
  }

  find(path: string): Handler | undefined {
    for (const { backend, links, converted } of this.#ordered()) {
      if (links.has(path)) return (context) => this.#deps.forward(backend, context);
      if (converted && path === backend.root.slice(1)) return answer(converted);
    }
    return undefined;
  }

  merge(document: object): object {
    return mergeSpecsV2(
      document,
      this.#ordered().flatMap(({ v2 }) => (v2 ? [v2.spec] : [])),
    );
  }

  onChange(backend: Backend, { spec }: APIService): void {
    let known = this.#known.get(backend.apiService);
    if (known?.backend !== backend) {
      known = { backend, priority: 0, links: new Map(), v2: undefined, converted: undefined, isComplete: false };
      this.#known.set(backend.apiService, known);
    }
    known.priority = spec.groupPriorityMinimum;
    if (backend.available && !known.isComplete) this.#queue.addAfter(backend.apiService, firstAfterMs);
  }

  onRemove({ apiService }: Backend): void {
    if (this.#known.delete(apiService)) this.#generation++;
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** Those of the highest priority win. */
  #ordered(): readonly Known[] {
    const byName = (a: Known, b: Known): number => (a.backend.apiService < b.backend.apiService ? -1 : 1);
    return [...this.#known.values()].sort((a, b) => b.priority - a.priority || byName(a, b));
  }

  async #refresh(name: string, signal: AbortSignal): Promise<KeyOutcome> {
    const known = this.#known.get(name);
    // It comes back with the event that says it is available.
    if (!known?.backend.available) return { kind: "done" };
    try {
      const hasV3 = await this.#readIndex(known, signal);
      await this.#readSpec(known, { hasV3, signal });
      known.isComplete = true;
      return { kind: "after", delayMs: refreshMs };
    } catch (error) {
      known.isComplete = false;
      if (!signal.aborted) this.#deps.logger.info("OpenAPI of an API service not read", { apiService: name, error }, 2);
      return { kind: "retry" };
    }
  }

  #fetch({ backend }: Known, request: Pick<DocumentRequest, "path" | "maxBytes" | "etag" | "signal">): Promise<FetchedDocument> {
    return fetchDocument(backend, { ...request, user: openApiUser, timeoutMs }, this.#deps.clock);
  }

  /** Whether the server has v3 documents. */
  async #readIndex(known: Known, signal: AbortSignal): Promise<boolean> {
    const { status, text } = await this.#fetch(known, { path: "/openapi/v3", maxBytes: maxIndexBytes, signal });
    if (status !== 200 && status !== 404) throw new Error(`could not get the list of OpenAPI documents: status ${status}`);
    const links = status === 200 ? readIndex(text) : new Map<string, string>();
    known.links = links;
    return status === 200;
  }

  async #readSpec(known: Known, { hasV3, signal }: { readonly hasV3: boolean; readonly signal: AbortSignal }): Promise<void> {
    const etag = known.v2?.etag || undefined;
    const answered = await this.#fetch(known, { path: "/openapi/v2", maxBytes: maxSpecBytes, etag, signal });
    if (etag !== undefined && answered.status === 304) return;
    if (answered.status === 404) return this.#setSpec(known, undefined);
    if (answered.status !== 200) throw new Error(`failed to retrieve openAPI spec, http error: status ${answered.status}`);
    const { encodeDocumentV2 } = await import("../openapi/document-v2-protobuf.ts");
    const spec = readSpecV2(answered.text, `${known.backend.root}/`);
    // What cannot be encoded would take this server's own document with it.
    encodeDocumentV2({ swagger: "2.0", info: {}, ...spec });
    const etagOrHash = answered.etag || `"${createHash("sha512").update(answered.text).digest("hex")}"`;
    if (known.v2?.etag === etagOrHash) return;
    this.#setSpec(known, { etag: etagOrHash, spec }, hasV3 ? undefined : convertedOf(convertToV3(spec, { title: "Kubernetes" })));
  }

  #setSpec(known: Known, v2: Known["v2"], converted?: Converted): void {
    if (known.v2 === undefined && v2 === undefined && known.converted === undefined) return;
    known.v2 = v2;
    known.converted = converted;
    this.#generation++;
  }
}

function readIndex(text: string): ReadonlyMap<string, string> {
  const document: unknown = JSON.parse(text);
  if (!isJsonObject(document) || !isJsonObject(document.paths)) throw new Error("OpenAPI: expected a list of documents");
  const links = new Map<string, string>();
  for (const [path, entry] of Object.entries(document.paths)) {
    const link = isJsonObject(entry) ? entry.serverRelativeURL : undefined;
    if (typeof link === "string" && link.startsWith(indexPrefix)) links.set(path, link);
  }
  return links;
}

function convertedOf(document: object): Converted {
  const bytes = Buffer.from(JSON.stringify(document));
  return { bytes, hash: createHash("sha512").update(bytes).digest("hex").toUpperCase() };
}

const answer =
  ({ bytes, hash }: Converted): Handler =>
  async () => ({ kind: "bytes", status: 200, contentType: "application/json", bytes, headers: { Etag: `"${hash}"` } });
