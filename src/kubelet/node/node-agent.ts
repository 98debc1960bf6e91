// Registers the node and keeps its status: computed every ten seconds and when something happens, written when it changed
// or every five minutes. Follows the node's object, for its pod range and for admission.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { nodes } from "../../api/resources.generated.ts";
import type { ContainerImage, Node, NodeStatus } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { Informer } from "../../client/informer.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { NodeDevices } from "../devices/device-inventory.ts";
import type { PressureCondition } from "../eviction/thresholds.ts";
import { nodeReference } from "../references.ts";
import type { RuntimeHealth } from "../runtime/runtime-health.ts";
import type { NodeStartMetrics } from "../stats/node-metrics.ts";
import { conditionEvent, type NodeConfig, type NodeFacts, newNode, nodeStatus, nodeStatusChanged, renewedMetadata } from "./node-status.ts";

export interface NodeAgentDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly cri: CriRuntime;
  readonly health: RuntimeHealth;
  /** Of what the node runs short. */
  readonly pressure: () => readonly PressureCondition[];
  /** Of plugins; default none. */
  readonly devices?: () => NodeDevices | undefined;
  /** Says which drivers of volumes the node has. Default: nothing is said. */
  readonly csiNode?: (node: Node, signal: AbortSignal) => Promise<void>;
  /** How the node came to be, for metrics. */
  readonly starting?: Pick<NodeStartMetrics, "registering" | "registered" | "ready">;
  /** Of this node alone. */
  readonly informer: Informer<Node>;
  /** Why the node is not ready besides the runtime. */
  readonly problems: () => readonly string[];
  /** The node has got its range of pod addresses, for the first time since the start or another one. */
  readonly onPodCidrs: (cidrs: readonly string[]) => void;
}

export interface RuntimeIdentity {
  readonly name: string;
  readonly version: string;
}

const maxNamesPerImage = 5;
const firstRetryMs = 200;
const maxRetryMs = 7_000;

export class NodeAgent implements Running {
  readonly #deps: NodeAgentDependencies;
  readonly #facts: NodeFacts;
  readonly #config: NodeConfig;
  readonly #runtime: RuntimeIdentity;
  readonly #abort = new AbortController();
  #known: Node | undefined;
  #reported: NodeStatus | undefined;
  #reportedAtMs = 0;
  #timer: Timer | undefined;
  #working: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  #podCidrs = "";
  #volumesOf: string | undefined;
  #announced = false;

  constructor(
    deps: NodeAgentDependencies,
    about: { readonly facts: NodeFacts; readonly config: NodeConfig; readonly runtime: RuntimeIdentity },
  ) {
    this.#deps = deps;
    this.#facts = about.facts;
    this.#config = about.config;
    this.#runtime = about.runtime;
  }

  /** The object as last seen; undefined until the node is registered. */
  get node(): Node | undefined {
    return this.#known;
  }

  /** As last computed, also before anything was written. */
  get status(): NodeStatus | undefined {
    return this.#reported;
  }

  start(): void {
    this.#deps.informer.addHandler({
      onAdd: (node) => this.#observe(node),
      onUpdate: (node) => this.#observe(node),
      onDelete: () => this.#lost(),
    });
    const message = "Starting kubelet.";
    this.#deps.recorder.record(nodeReference(this.#facts.name), { type: "Normal", reason: "Starting", message });
    this.refresh();
  }

  /** Computes the status now. */
  refresh(): void {
    if (this.#abort.signal.aborted) return;
    this.#again = true;
    this.#working ??= this.#work();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#timer?.cancel();
    await this.#working;
  }

  async #work(): Promise<void> {
    await Promise.resolve();
    while (this.#again && !this.#abort.signal.aborted) {
      this.#again = false;
      this.#timer?.cancel();
      let delayMs = this.#config.statusUpdateMs;
      try {
        await this.#report();
        this.#failures = 0;
      } catch (error) {
        if (this.#abort.signal.aborted) break;
        delayMs = Math.min(firstRetryMs * 2 ** this.#failures++, maxRetryMs);
        this.#deps.logger.info("Reporting the node's status failed", { node: this.#facts.name, error: (error as Error).message }, 1);
      }
      if (!this.#abort.signal.aborted) this.#timer = this.#deps.clock.after(delayMs, () => this.refresh());
    }
    this.#working = undefined;
  }

  async #report(): Promise<void> {
    const { clock, client } = this.#deps;
    const now = clock.now();
    const previous = this.#known?.status ?? this.#reported;
    const status = nodeStatus(this.#facts, this.#config, await this.#observation(), previous, now);
    const call = { signal: this.#abort.signal, timeoutMs: 10_000 };
    if (!this.#announced) this.#announce(undefined, status);
    this.#announced = true;
    if (!this.#known && !this.#config.register) return; // someone else makes it
    if (!this.#known) await this.#register(status);
    await this.#announceVolumes();
    const current = this.#known?.status;
    if (!nodeStatusChanged(current, { ...current, ...status }) && now - this.#reportedAtMs < this.#config.statusReportMs) return;
    this.#announce(current, status);
    const patched = await client.patch(
      nodes,
      { name: this.#facts.name },
      { status: patchOf(current, status) },
      { type: "strategic", subresource: "status", ...call },
    );
    this.#reported = status;
    this.#reportedAtMs = now;
    this.#observe(patched);
    if (status.conditions?.some((c) => c.type === "Ready" && c.status === "True")) await this.#deps.starting?.ready();
  }

  /** Once for each node object. */
  async #announceVolumes(): Promise<void> {
    const { csiNode, logger } = this.#deps;
    const node = this.#known;
    if (!csiNode || !node || node.metadata.uid === this.#volumesOf) return;
    try {
      await csiNode(node, this.#abort.signal);
      this.#volumesOf = node.metadata.uid;
    } catch (error) {
      if (!this.#abort.signal.aborted)
        logger.warn("Making the node's CSINode failed", { node: node.metadata.name, error: (error as Error).message });
    }
  }

  async #register(status: NodeStatus): Promise<void> {
    const { client } = this.#deps;
    const call = { signal: this.#abort.signal, timeoutMs: 10_000 };
    try {
      this.#deps.starting?.registering();
      const created = await client.create(nodes, newNode(this.#facts, this.#config, status), call);
      this.#deps.starting?.registered();
      this.#observe(created);
    } catch (error) {
      // Another node's credentials, or none of a node: nothing that time mends.
      if (isStatus(error, "Forbidden")) {
        const { name: node } = this.#facts;
        this.#deps.logger.error("Unable to register node with API server, reason is forbidden", { node, error: error.message });
      }
      if (!isStatus(error, "AlreadyExists")) throw error;
      const { name } = this.#facts;
      const metadata = renewedMetadata(this.#facts, this.#config);
      const existing = await client.patch(nodes, { name }, { metadata }, { type: "strategic", ...call });
      this.#observe(existing);
    }
  }

  async #observation() {
    const { cri, health, problems, pressure, devices } = this.#deps;
    const images = await this.#images(cri);
    return {
      runtimeName: this.#runtime.name,
      runtimeVersion: this.#runtime.version,
      runtimeHandlers: health.handlers,
      features: health.features,
      images,
      pressure: pressure(),
      devices: devices?.(),
      problems: [...health.problems(), ...problems()],
    };
  }

  async #images(cri: CriRuntime): Promise<readonly ContainerImage[]> {
    try {
      const { images } = await cri.listImages({}, { timeoutMs: 10_000 });
      return [...images]
        .sort((a, b) => b.size - a.size)
        .slice(0, this.#config.maxImages < 0 ? images.length : this.#config.maxImages)
        .map((image) => ({ names: [...image.repoDigests, ...image.repoTags].slice(0, maxNamesPerImage), sizeBytes: image.size }));
    } catch {
      // The runtime is away, which the Ready condition says: the images stay as they were reported.
      return this.#known?.status?.images ?? [];
    }
  }

  #announce(before: NodeStatus | undefined, after: NodeStatus): void {
    for (const condition of after.conditions ?? []) {
      const old = before?.conditions?.find((c) => c.type === condition.type);
      // A new node's first Ready is no news unless it changes.
      if (old?.status === condition.status || (!old && condition.type === "Ready")) continue;
      const reason = conditionEvent(condition);
      if (!reason) continue;
      const message = `Node ${this.#facts.name} status is now: ${reason}`;
      this.#deps.recorder.record(nodeReference(this.#facts.name), { type: "Normal", reason, message });
    }
  }

  #observe(node: Node): void {
    const known = this.#known;
    if (known && known.metadata.uid === node.metadata.uid && BigInt(known.metadata.resourceVersion) > BigInt(node.metadata.resourceVersion))
      return;
    this.#known = node;
    const cidrs = node.spec?.podCIDRs ?? (node.spec?.podCIDR ? [node.spec.podCIDR] : []);
    if (cidrs.length === 0 || cidrs.join() === this.#podCidrs) return;
    this.#podCidrs = cidrs.join();
    this.#deps.onPodCidrs(cidrs);
  }

  /** Someone deleted the node: it registers again. */
  #lost(): void {
    this.#known = undefined;
    this.refresh();
  }
}

/**
 * Addresses have no key of their own by which they could be merged: when they change, the whole list is replaced. Resources
 * that are no longer counted are taken out.
 */
function patchOf(before: NodeStatus | undefined, after: NodeStatus): unknown {
  const { addresses, capacity, allocatable, ...rest } = after;
  const same = semanticallyEqual(before?.addresses, addresses);
  return {
    ...rest,
    capacity: { ...goneFrom(before?.capacity, capacity), ...capacity },
    allocatable: { ...goneFrom(before?.allocatable, allocatable), ...allocatable },
    ...(same ? {} : { addresses: [...(addresses ?? []), { $patch: "replace" }] }),
  };
}

function goneFrom(before: NodeStatus["capacity"] = {}, after: NodeStatus["capacity"] = {}): Readonly<Record<string, null>> {
  return Object.fromEntries(Object.keys(before).flatMap((name) => (after[name] === undefined ? [[name, null]] : [])));
}
