// What the other API servers of the store serve, by their own word: their aggregated discovery, without what they themselves know of
// others. All are asked when one appears, starts again or goes; with back-off where that fails. What a server has said holds until
// it has started again.
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import type { Store } from "../../storage/store.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { Address } from "../aggregation/backend-request.ts";
import { fetchDocument } from "../aggregation/fetch-document.ts";
import { readDiscoveredGroups } from "../aggregation/remote-documents.ts";
import type { RequestTarget } from "../aggregation/remote-server.ts";
import type { DiscoveredGroup } from "../discovery/documents.ts";
import type { RequestInfo } from "../http/request-info.ts";
import { readPeerEndpoints } from "../peers/peer-endpoints.ts";
import { ExcludedVersions } from "./excluded-versions.ts";
import { markedAsPassedOn } from "./passed-on.ts";
import { PeerLeases } from "./peer-leases.ts";
import type { PeerMetrics } from "./peer-metrics.ts";

export interface PeerDiscoveryDeps {
  readonly reader: AdmissionReader;
  readonly store: Store;
  /** Before every key of the store: "/registry/". */
  readonly prefix: string;
  /** Reaches the peers. */
  readonly target: RequestTarget;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: PeerMetrics;
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
}

interface ServedByPeer {
  /** Of the lease, when it was asked. */
  readonly holder: string;
  /** The core group among them. */
  readonly groups: readonly DiscoveredGroup[];
}

const queueName = "peer-discovery-cache-sync";
const workers = 4;
const backoff = { baseMs: 5, maxMs: 30_000 };
const timeoutMs = 5000;
const maxDocumentBytes = 32 * 1024 * 1024;
const maxGroupVersions = 20_000;
const user = { name: "system:apiserver", uid: "system:apiserver", groups: ["system:authenticated"] };
const aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const accept = `${aggregatedType};profile=nopeer,${aggregatedType},application/json`;
const noPeers: readonly string[] = [];

export class PeerDiscovery implements Running {
  readonly #deps: PeerDiscoveryDeps;
  readonly #leases: PeerLeases;
  readonly #excluded: ExcludedVersions;
  readonly #queue: KeyedQueue<string>;
  readonly #stack = new StopStack();
  readonly #served = new Map<string, ServedByPeer>();
  /** By "group/version/resource"; made when first asked for after a change. */
  #servers: Map<string, string[]> | undefined;
  #generation = 0;
  #isSynced = false;

  /** `own`: this server's identity. */
  constructor(deps: PeerDiscoveryDeps, own: string) {
    this.#deps = deps;
    this.#leases = new PeerLeases(deps.reader, own, { onChange: () => this.#askAll() });
    this.#excluded = new ExcludedVersions(deps, { onChange: () => this.#changed(), onReturn: () => this.#askAll() });
    const metrics = deps.queues?.hooks(queueName);
    this.#queue = new KeyedQueue<string>({
      clock: deps.clock,
      workers,
      backoff,
      work: (identity, signal) => this.#ask(identity, signal),
      ...(metrics ? { metrics } : {}),
    });
    deps.queues?.measure(queueName, this.#queue);
  }

  /** Resolves when it is known who the peers are; what they serve comes later. */
  async start(): Promise<void> {
    await Promise.all([this.#stack.add(this.#leases).start(), this.#stack.add(this.#excluded).start()]);
    this.#stack.add(this.#queue).start();
    this.#isSynced = true;
  }

  stop(): Promise<void> {
    return this.#stack.stop();
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Another number when groups() would give something else. */
  get generation(): number {
    return this.#generation;
  }

  /** The identities of the peers that serve a resource. */
  servers({ apiGroup, apiVersion, resource }: RequestInfo): readonly string[] {
    this.#servers ??= this.#index();
    return this.#servers.get(`${apiGroup}/${apiVersion}/${resource}`) ?? noPeers;
  }

  /** By the identities of the peers: what each serves below /apis. */
  groups(): ReadonlyMap<string, readonly DiscoveredGroup[]> {
    const named = ({ metadata }: DiscoveredGroup): boolean => metadata.name !== undefined;
    return new Map([...this.#served].map(([identity, { groups }]) => [identity, this.#included(groups).filter(named)]));
  }

  #index(): Map<string, string[]> {
    const index = new Map<string, string[]>();
    for (const [identity, { groups }] of this.#served)
      for (const { metadata, versions } of this.#included(groups))
        for (const { version, resources = [] } of versions)
          for (const { resource } of resources) {
            const key = `${metadata.name ?? ""}/${version}/${resource}`;
            index.set(key, [...(index.get(key) ?? []), identity]);
          }
    return index;
  }

  #included(groups: readonly DiscoveredGroup[]): readonly DiscoveredGroup[] {
    return groups.flatMap((group) => {
      const versions = group.versions.filter(({ version }) => !this.#excluded.has(`${group.metadata.name ?? ""}/${version}`));
      return versions.length === 0 ? [] : [{ ...group, versions }];
    });
  }

  #askAll(): void {
    for (const identity of this.#served.keys()) if (this.#leases.holder(identity) === undefined) this.#forget(identity);
    for (const identity of this.#leases.identities()) this.#queue.add(identity);
  }

  async #ask(identity: string, signal: AbortSignal): Promise<KeyOutcome> {
    const holder = this.#leases.holder(identity);
    if (holder === undefined) return { kind: "done" };
    try {
      const groups = await this.#fetch(identity, signal);
      this.#keep(identity, { holder, groups });
      return { kind: "done" };
    } catch (error) {
      if (!signal.aborted) this.#deps.logger.info("Discovery of another API server failed", { identity, error }, 2);
      if (this.#served.get(identity)?.holder !== holder) this.#forget(identity);
      return { kind: "retry" };
    }
  }

  async #fetch(identity: string, signal: AbortSignal): Promise<readonly DiscoveredGroup[]> {
    const { store, prefix, metrics } = this.#deps;
    const address = (await readPeerEndpoints(store, prefix)).get(identity);
    if (!address) {
      metrics.syncFailed("hostport_resolution");
      throw new Error("it has not said where it is");
    }
    const documents = await Promise.all(["/api", "/apis"].map((path) => this.#document(path, address, signal)));
    // What is out now is asked for again when that is over.
    return this.#included(documents.flat());
  }

  async #document(path: string, address: Address, signal: AbortSignal): Promise<readonly DiscoveredGroup[]> {
    const { target, clock, metrics } = this.#deps;
    const server = { send: target.send.bind(target), resolve: () => address };
    let status = 503;
    try {
      const request = { path, user, accept, headers: markedAsPassedOn, timeoutMs, maxBytes: maxDocumentBytes, signal };
      const answer = await fetchDocument(server, request, clock);
      ({ status } = answer);
      if (status !== 200) throw new Error(`discovery request failed with status: ${status}`);
      return readDiscoveredGroups(answer.text, { maxGroupVersions });
    } catch (error) {
      metrics.syncFailed("fetch_discovery");
      throw error;
    } finally {
      metrics.rerouted(status, { apiGroup: "", apiVersion: "", resource: "" });
    }
  }

  #keep(identity: string, served: ServedByPeer): void {
    const before = this.#served.get(identity);
    // It may have gone meanwhile.
    if (this.#leases.holder(identity) === undefined) return;
    this.#served.set(identity, served);
    if (!isDeepStrictEqual(before?.groups, served.groups)) this.#changed();
  }

  #forget(identity: string): void {
    if (this.#served.delete(identity)) this.#changed();
  }

  #changed(): void {
    this.#servers = undefined;
    this.#generation++;
  }
}
