// Asks every node's kubelet what it and its pods use, every 15 s: over HTTPS at the address and port of the node's status, some
// nodes at a time, each with a deadline. The first rounds come sooner, until every node has figures.
import { setMaxListeners } from "node:events";
import { nodes } from "../api/resources.generated.ts";
import type { Node } from "../api/types/core-v1.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import { Turns } from "../base/turns.ts";
import type { Client } from "../client/client.ts";
import type { ClientCredentials } from "../client/client-credentials.ts";
import { createHttpsTransport } from "../client/https-transport.ts";
import type { Transport } from "../client/transport.ts";
import { type Dial, dialUrl } from "../rpc/dial.ts";
import { getInProcess } from "./in-process-kubelet.ts";
import type { MetricStore } from "./metric-store.ts";
import { parseResourceMetrics } from "./parse-metrics.ts";

export interface KubeletAccess {
  /** What has signed the kubelets' serving certificates, PEM. Default what Node trusts. */
  readonly caPem?: string;
  /** --kubelet-insecure-tls: any certificate will do. Default false. */
  readonly insecureSkipVerify?: boolean;
  /** Reaches kubelets that are in this process. */
  readonly dial?: Dial | undefined;
  /** Who asks: has to be allowed to get nodes/metrics. */
  readonly credentials: ClientCredentials;
}

export interface ScraperDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: MetricStore;
  readonly access: KubeletAccess;
}

export interface ScraperOptions {
  /** --metric-resolution. */
  readonly resolutionMs: number;
  /** --kubelet-request-timeout. */
  readonly timeoutMs: number;
  /** Between the first rounds, while nodes have no figures. Default 3 s. */
  readonly earlyMs?: number;
}

interface Kubelet {
  readonly server: string;
  readonly transport: Transport;
}

const concurrency = 16;
const defaultEarlyMs = 3_000;
/** A node that never answers does not keep the others from their usual pace. */
const maxEarlyRounds = 8;
const maxAnswerBytes = 64 * 2 ** 20;
/** --kubelet-preferred-address-types. */
const addressTypes = ["InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS", "Hostname"];

export class Scraper implements Running {
  readonly #deps: ScraperDependencies;
  readonly #options: ScraperOptions;
  readonly #kubelets = new Map<string, Kubelet>();
  readonly #turns: Turns;
  #abort = new AbortController();
  #timer: Timer | undefined;
  #round: Promise<void> = Promise.resolve();
  #rounds = 0;

  constructor(deps: ScraperDependencies, options: ScraperOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#turns = new Turns(deps.clock, { slots: concurrency, holdMs: options.timeoutMs });
  }

  /** Begins, or begins again after stop(). */
  start(): void {
    if (this.#timer) return;
    this.#abort = new AbortController();
    // One listener per node that is being asked: many are no leak.
    setMaxListeners(0, this.#abort.signal);
    this.#rounds = 0;
    this.#next(0);
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#abort.abort(new Error("the metrics server stops"));
    await this.#round;
    for (const name of [...this.#kubelets.keys()]) this.#forget(name);
    this.#deps.store.clear();
  }

  #next(delayMs: number): void {
    const { clock, logger } = this.#deps;
    const { signal } = this.#abort;
    this.#timer = clock.after(delayMs, () => {
      const begunMs = clock.monotonic();
      this.#round = this.#scrapeAll(signal)
        .catch((error: unknown) => {
          if (!signal.aborted) logger.warn("Listing the nodes to measure failed", { error });
          return false;
        })
        .then((isComplete) => {
          if (signal.aborted) return;
          const { resolutionMs, earlyMs = defaultEarlyMs } = this.#options;
          const isEarly = ++this.#rounds <= maxEarlyRounds && !isComplete;
          const periodMs = isEarly ? Math.min(earlyMs, resolutionMs) : resolutionMs;
          this.#next(Math.max(0, periodMs - (clock.monotonic() - begunMs)));
        });
    });
  }

  /** Whether there are nodes, and all have figures. */
  async #scrapeAll(signal: AbortSignal): Promise<boolean> {
    const { items } = await this.#deps.client.list(nodes, { signal, timeoutMs: this.#options.timeoutMs });
    const names = new Set(items.map((node) => node.metadata.name));
    for (const name of [...this.#kubelets.keys()]) if (!names.has(name)) this.#forget(name);
    await Promise.all(items.map((node) => this.#turns.take(() => this.#scrape(node, signal), { signal }).catch(() => undefined)));
    return items.length > 0 && items.every((node) => this.#deps.store.node(node.metadata.name) !== undefined);
  }

  async #scrape(node: Node, signal: AbortSignal): Promise<void> {
    const { store, clock, logger } = this.#deps;
    const { name } = node.metadata;
    try {
      const server = kubeletServer(node);
      const { status, body } = await this.#ask(name, server, signal);
      if (status !== 200 || typeof body !== "string") throw new Error(`the kubelet at ${server} answered ${status}`);
      store.add(name, parseResourceMetrics(body, clock.now()));
    } catch (error) {
      if (signal.aborted) return;
      store.drop(name);
      logger.info("Failed to scrape node", { node: name, error: (error as Error).message }, 1);
    }
  }

  async #ask(name: string, server: string, signal: AbortSignal): Promise<{ readonly status: number; readonly body?: unknown }> {
    const { access, clock } = this.#deps;
    const { timeoutMs } = this.#options;
    const url = new URL("/metrics/resource", server);
    const inside = dialUrl(url, access.dial);
    if (inside) return await getInProcess(url, { ...{ clock, signal, timeoutMs }, dial: () => inside, maxBytes: maxAnswerBytes });
    const { transport } = this.#kubeletOf(name, server);
    return await transport.request({ ...{ method: "GET", path: url.pathname, accept: "text/plain", signal, timeoutMs } });
  }

  #kubeletOf(name: string, server: string): Kubelet {
    const known = this.#kubelets.get(name);
    if (known?.server === server) return known;
    this.#forget(name);
    const transport = createHttpsTransport({
      ...{ ...this.#deps.access, server, serverName: name, clock: this.#deps.clock },
      ...{ maxConnections: 1, maxAnswerBytes, userAgent: "metrics-server" },
    });
    const kubelet = { server, transport };
    this.#kubelets.set(name, kubelet);
    return kubelet;
  }

  #forget(name: string): void {
    void this.#kubelets.get(name)?.transport.close();
    this.#kubelets.delete(name);
    this.#deps.store.drop(name);
  }
}

/** "https://10.0.0.2:10250". Throws for a node without an address. */
export function kubeletServer({ metadata, status }: Node): string {
  const addresses = status?.addresses ?? [];
  const found = addressTypes.map((type) => addresses.find((a) => a.type === type)).find((a) => a !== undefined);
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0;
  if (!found || port === 0) throw new Error(`node ${metadata.name} tells no address of its kubelet`);
  const host = found.address.includes(":") ? `[${found.address}]` : found.address;
  return `https://${host}:${port}`;
}
