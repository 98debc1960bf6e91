// The kubelet: registers the node, runs the pods that are bound to it (and those of its static manifests) through the
// container runtime, and reports what became of them. This file puts its parts together; each part is a file of its own.
//   PodRegistry ──> PodWorker (one per pod) ──> PodStarter, PodKiller, VolumeManager ──> CRI
//                    ^ wakes: API watch, static files, PodLifecycleEvents, ProbeManager, ReferencedObjectCache, the clock
//                    └──> StatusManager ──> API
import { mkdir, readFile, rm } from "node:fs/promises";
import { defaultPod } from "../api/defaults/pod.ts";
import { nodes, pods, services } from "../api/resources.generated.ts";
import type { Node, Pod } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import { parseResolvConf, type ResolverConfig } from "../base/resolv-conf.ts";
import type { Client } from "../client/client.ts";
import { countedClient } from "../client/counted-client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { CriRuntime } from "../cri/cri.ts";
import type { Dial } from "../rpc/dial.ts";
import type { MachineRules, NodeState } from "./admission.ts";
import type { PluginHandler } from "./devices/plugin-watcher.ts";
import { LogRotation, type RotatableLog } from "./log-rotation.ts";
import { podLogDirectory } from "./logs.ts";
import { MirrorPods } from "./mirror-pods.ts";
import { NodeAgent } from "./node-agent.ts";
import { readNodeFacts } from "./node-facts.ts";
import { NodeLease } from "./node-lease.ts";
import { type MachineGuards, NodeProtection } from "./node-protection.ts";
import { type NodeConfig, type NodeFacts, nodeLabels, nodeResources } from "./node-status.ts";
import { type KubeletOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { Orphans } from "./orphans.ts";
import { PodLifecycleEvents } from "./pleg.ts";
import { PodAccess } from "./pod-access.ts";
import type { PodCgroups } from "./pod-cgroups.ts";
import { buildPodMachinery } from "./pod-machinery.ts";
import { PodRegistry } from "./pod-registry.ts";
import { containerType } from "./pod-spec.ts";
import type { PodWorkerDependencies } from "./pod-worker.ts";
import type { HttpGet } from "./probes/http.ts";
import type { RunProbe } from "./probes/prober.ts";
import { type ProtectionMetrics, registerProtectionMetrics } from "./protection-metrics.ts";
import { readCredentialProviders } from "./pulls/credential-provider-config.ts";
import { ReferencedObjectCache } from "./referenced-objects.ts";
import { PodAllocations } from "./resize/pod-allocations.ts";
import { PodResizes } from "./resize/pod-resizes.ts";
import type { RunningContainer } from "./resource-managers/cpu-manager.ts";
import type { CpuTopology } from "./resource-managers/cpu-topology.ts";
import type { NodeManagers } from "./resource-managers/node-managers.ts";
import { RuntimeHealth } from "./runtime-health.ts";
import { RuntimeReader } from "./runtime-reader.ts";
import type { KubeletServerHost } from "./server/host.ts";
import { StaticPodUrl } from "./static-pod-url.ts";
import { StaticPodSource } from "./static-pods.ts";
import { countedRuntime } from "./stats/counted-runtime.ts";
import { createStatsEndpoints } from "./stats/endpoints.ts";
import { KubeletMetrics } from "./stats/kubelet-metrics.ts";
import type { MachineReader } from "./stats/machine.ts";
import { registerPodGauges } from "./stats/pod-gauges.ts";
import { createStatsProvider, type KubeletStats } from "./stats/stats-provider.ts";
import type { StatsProvider } from "./stats/summary.ts";
import { StatusManager } from "./status-manager.ts";
import type { HostMounts, VolumePlugin } from "./volumes/volume-manager.ts";

export interface KubeletDependencies {
  readonly client: Client;
  /** Of the API server, for metrics. Default "": it is in the same process. */
  readonly apiServerHost?: string;
  /** Shared with others in the process; default its own. */
  readonly informers?: InformerFactory;
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly mounts: HostMounts;
  /** Default: none, the runtime places containers where it likes. */
  readonly cgroups?: PodCgroups;
  /** Sets up the node's pod network once its range of addresses is known. Default: only the runtime is told. */
  readonly configureNetwork?: (podCidrs: readonly string[]) => Promise<void>;
  readonly volumePlugins?: readonly VolumePlugin[];
  /** What the machine and its pods' control groups use. Default: only what the runtime tells. */
  readonly machine?: MachineReader;
  /** Of the machine, where the node is one. */
  readonly guards?: MachineGuards;
  /** For tests: what eviction and the removal of images go by. Default what the kubelet measures itself. */
  readonly summaries?: StatsProvider;
  /** For tests: why this node can never resize a running pod so. Default what the managers of resources say. */
  readonly infeasibleResize?: (pod: Pod, allocated: Pod) => string | undefined;
  /** The machine's CPUs: with it devices and CPUs are handed out. Default: nothing is, and no plugin can register. */
  readonly readCpuTopology?: () => Promise<CpuTopology>;
  /** Of CSI and DRA drivers, by the type they register with. Default none, and they are refused. */
  readonly pluginHandlers?: ReadonlyMap<string, PluginHandler>;
  /** Reaches pods that are simulated in this process. Default: all pods are reached by sockets. */
  readonly dial?: Dial;
  /** For tests; default real requests. */
  readonly httpGet?: HttpGet;
  readonly runProbe?: RunProbe;
}

export interface Kubelet extends Running {
  /** Resolves when the runtime has answered and everything runs. Rejects when the runtime is not there. */
  start(): Promise<void>;
  /** Pods, exec, attach, port-forward and logs: what the kubelet's server serves. */
  readonly access: KubeletServerHost;
  /** What the node and its pods use; once the kubelet has started. */
  readonly stats: KubeletStats | undefined;
  /** As the API server has it; undefined until the node is registered. */
  readonly node: Node | undefined;
  /** Why the node is not ready; empty when it is. */
  problems(): readonly string[];
  /** Why the loop over pods does not turn; undefined when it does. */
  stalled(): string | undefined;
  /**
   * Ends the pods as before a shutdown of the machine, by priority; the node is not ready from then on. Resolves when they
   * have ended or have had their time; at once when no shutdown grace periods are configured.
   */
  shutdown(): Promise<void>;
}

export function createKubelet(deps: KubeletDependencies, options: KubeletOptions): Kubelet {
  return new KubeletNode(deps, resolveOptions(options));
}

/** With stopPodsOnExit: how long containers are given. */
const exitGraceSeconds = 2;
const readNodeTimeoutMs = 10_000;
const networkRetryMs = 500;
const maxNetworkRetryMs = 30_000;

class KubeletNode implements Kubelet {
  readonly access: KubeletServerHost;
  readonly #deps: KubeletDependencies;
  readonly #options: ResolvedOptions;
  readonly #config: NodeConfig;
  readonly #stops = new StopStack();
  readonly #abort = new AbortController();
  readonly #reader: RuntimeReader;
  readonly #health: RuntimeHealth;
  readonly #pleg: PodLifecycleEvents;
  readonly #objects: ReferencedObjectCache;
  readonly #statuses: StatusManager;
  readonly #allocations: PodAllocations;
  readonly #resizes: PodResizes;
  readonly #registry: PodRegistry;
  readonly #mirrorPods: MirrorPods;
  readonly #metrics: KubeletMetrics;
  readonly #protectionMetrics: ProtectionMetrics;
  #stats: KubeletStats | undefined;
  #managers: NodeManagers | undefined;
  #agent: NodeAgent | undefined;
  #protection: NodeProtection | undefined;
  #facts: NodeFacts | undefined;
  #orphans: Orphans | undefined;
  /** All pods of the API server have been seen once. */
  #sourcesReady = false;
  #configuring: Promise<void> = Promise.resolve();

  constructor(deps: KubeletDependencies, options: ResolvedOptions) {
    const { clock, logger, recorder } = deps;
    this.#metrics = new KubeletMetrics(clock, options.nodeName);
    const client = countedClient(deps.client, { metrics: this.#metrics.registry, clock, host: deps.apiServerHost ?? "" });
    const cri = countedRuntime(deps.cri, {
      ...{ metrics: this.#metrics.registry, clock },
      containerType: (uid, name) => containerType(this.#registry.worker(uid)?.pod, name),
    });
    this.#deps = { ...deps, cri, client };
    this.#options = options;
    this.#config = configOf(options);
    this.#reader = new RuntimeReader(cri);
    this.#health = new RuntimeHealth({ cri, clock, onChange: () => this.#healthChanged() });
    this.#pleg = new PodLifecycleEvents({
      cri,
      reader: this.#reader,
      clock,
      logger,
      onChange: (uid) => this.#runtimeChanged(uid),
      onRelist: (ms) => this.#metrics.relisted(ms),
    });
    this.#objects = new ReferencedObjectCache({ client, clock, logger, onChange: (uid) => this.#registry.worker(uid)?.wake() });
    this.#statuses = new StatusManager({ client, clock, logger, apiPodOf: (uid) => this.#registry.apiPodOf(uid) });
    this.#mirrorPods = new MirrorPods({
      ...{ client, clock, logger, node: () => this.#agent?.node },
      staticPod: (key) => this.#registry.staticPod(key),
      mirror: (key) => this.#registry.mirror(key),
    });
    this.#protectionMetrics = registerProtectionMetrics(this.#metrics.registry);
    this.#allocations = new PodAllocations(options.rootDirectory, { clock, logger });
    this.#resizes = this.#createResizes();
    this.#registry = new PodRegistry({
      ...{ clock, recorder, objects: this.#objects, statuses: this.#statuses, allocations: this.#allocations, resizes: this.#resizes },
      managers: () => this.#managers,
      nodeState: () => this.#nodeState(),
      onPreempted: (resource) => this.#protectionMetrics.preemptions.series(resource).add(),
      readNode: () => client.get(nodes, { name: options.nodeName }, { timeoutMs: readNodeTimeoutMs, signal: this.#abort.signal }),
      inRuntime: (uid) => this.#pleg.pods.has(uid),
      onStaticPod: (key) => this.#mirrorPods.check(key),
      onMirrorDeleted: (key) => this.#mirrorPods.removed(key),
    });
    const stats = createStatsEndpoints({
      ...{ metrics: this.#metrics, logger, stats: () => this.#stats },
      machine: () => this.#facts?.system,
    });
    this.access = new PodAccess({
      ...{ cri, clock, reader: this.#reader, stats, rootDirectory: options.rootDirectory },
      pods: () => this.#registry.pods(),
    });
    registerPodGauges(this.#metrics.registry, {
      pods: () => this.#registry.workers(),
      volumes: (uid) => this.#stats?.volumesOf(uid),
    });
  }

  get node(): Node | undefined {
    return this.#agent?.node;
  }

  get stats(): KubeletStats | undefined {
    return this.#stats;
  }

  #createResizes(): PodResizes {
    const { clock, recorder, infeasibleResize } = this.#deps;
    return new PodResizes({
      ...{ clock, recorder, allocations: this.#allocations },
      infeasible: infeasibleResize ?? ((pod) => this.#managers?.infeasibleResize(pod)),
      desired: (uid) => this.#registry.desired(uid),
      refusal: (pod) => this.#registry.refusal(pod),
      isReady: () => this.#sourcesReady,
      onChange: (uid) => this.#registry.reallocated(uid),
    });
  }

  problems(): readonly string[] {
    return [...this.#health.problems(), ...this.#ownProblems()];
  }

  #ownProblems(): readonly string[] {
    return [this.#pleg.problem(), this.#protection?.shutdownProblem()].filter((p) => p !== undefined);
  }

  async shutdown(): Promise<void> {
    await this.#protection?.beginShutdown();
  }

  stalled(): string | undefined {
    return this.#pleg.problem();
  }

  async start(): Promise<void> {
    const { cri, clock, logger, client } = this.#deps;
    const { podsDirectory, logsDirectory } = this.#options;
    await Promise.all([mkdir(podsDirectory, { recursive: true }), mkdir(logsDirectory, { recursive: true }), this.#allocations.load()]);
    this.#stops.add(this.#allocations);
    this.#stops.add(this.#resizes);
    const { imageCredentialProviderConfig: providerConfig, imageCredentialProviderBinDir } = this.#options;
    const [version, facts, resolver, credentialProviders] = await Promise.all([
      cri.version({}),
      readNodeFacts(this.#options),
      readResolver(this.#options.resolvConf),
      providerConfig === "" ? [] : readCredentialProviders(providerConfig, imageCredentialProviderBinDir),
    ]);
    this.#facts = facts;
    // Owned before they are started: a start that fails leaves nothing behind.
    this.#stops.add(this.#health);
    this.#stops.add(this.#pleg);
    await Promise.all([this.#health.start(), this.#pleg.start(), this.#startManagers()]);

    const informers = this.#deps.informers ?? this.#stops.add(createInformerFactory(client, { clock, logger }));
    const serviceInformer = informers.informer(services);
    const workerDeps = buildPodMachinery(this.#deps, {
      ...{ facts, resolver, credentialProviders, options: this.#options, runtimeName: version.runtimeName },
      ...{ reader: this.#reader, objects: this.#objects, statuses: this.#statuses, allocations: this.#allocations, resizes: this.#resizes },
      services: () => serviceInformer.list(),
      allocatable: () => this.#admissionNode().status?.allocatable ?? {},
      networkProblem: () => this.#health.networkProblem(),
      metrics: this.#metrics,
      managers: this.#managers,
      runtimeFeatures: (handler) => this.#health.featuresOf(handler),
      wake: (uid) => this.#registry.worker(uid)?.wake(),
      onGone: (pod) => this.#podGone(pod),
    });
    this.#startStats(workerDeps, facts);
    this.#startPodServices(workerDeps);
    await this.#startProtection();
    this.#startNode(informers, { name: version.runtimeName, version: version.runtimeVersion });
    const podInformer = informers.informer(pods, { fieldSelector: `spec.nodeName=${this.#options.nodeName}` });
    informers.start();
    await this.#startStaticPods();
    const following = this.#followApi(podInformer, serviceInformer);
    this.#stops.defer(() => following);
    this.#stops.defer(() => this.#stopWorkers(workerDeps));
    this.#stops.defer(() => this.#abort.abort());
  }

  stop(): Promise<void> {
    return this.#stops.stop();
  }

  async #stopWorkers({ killer }: PodWorkerDependencies): Promise<void> {
    await this.#registry.stop();
    await this.#configuring;
    if (!this.#options.stopPodsOnExit) return;
    const workers = [...this.#registry.workers()];
    await Promise.allSettled(workers.map((w) => killer.killPod(w.pod, w.runtime, { graceSeconds: exitGraceSeconds })));
  }

  async #startManagers(): Promise<void> {
    const { readCpuTopology, cri, clock, logger, pluginHandlers } = this.#deps;
    const { rootDirectory, managers, protection } = this.#options;
    if (!readCpuTopology) {
      if (managers.cpu.policy === "none") return;
      throw new Error(`kubelet options: cpuManagerPolicy "${managers.cpu.policy}" needs real CPUs, which a simulated node does not have`);
    }
    const { NodeManagers: Managers } = await import("./resource-managers/node-managers.ts");
    this.#managers = this.#stops.add(
      new Managers(
        {
          ...{ cri, clock, logger, metrics: this.#metrics.registry, topology: await readCpuTopology() },
          ...(pluginHandlers ? { pluginHandlers } : {}),
          isActive: (uid) => (this.#sourcesReady ? this.#registry.mayRun(uid) : undefined),
          activePods: () => this.#registry.endable().map((w) => w.pod),
          containers: () => this.#runningContainers(),
          onNodeChange: () => this.#agent?.refresh(),
          onPodChange: (uid) => this.#registry.worker(uid)?.wake(),
        },
        { rootDirectory, managers, reserved: [protection.systemReserved, protection.kubeReserved] },
      ),
    );
    await this.#managers.start();
  }

  *#runningContainers(): Iterable<RunningContainer> {
    for (const { pod, runtime } of this.#registry.workers())
      for (const { id, name, state } of runtime.containers) if (state === "running") yield { podUid: pod.metadata.uid, name, id };
  }

  #startStats({ volumes }: PodWorkerDependencies, { system }: NodeFacts): void {
    const { cri, clock, logger, machine } = this.#deps;
    const { nodeName, rootDirectory, volumeStatsAggPeriodMs: volumePeriodMs } = this.#options;
    const stats = createStatsProvider(
      {
        ...{ cri, clock, logger, ...(machine ? { machine } : {}) },
        pods: () => this.#registry.workers(),
        volumes: (uid) => volumes.mounted(uid),
      },
      { nodeName, rootDirectory, memoryBytes: system.memoryBytes, volumePeriodMs },
    );
    this.#stats = this.#stops.add(stats);
    stats.start();
  }

  /** What stands behind the workers, and what cleans up after pods. */
  #startPodServices(workerDeps: PodWorkerDependencies): void {
    const { cri, clock, logger } = this.#deps;
    const { killer, volumes, probes } = workerDeps;
    const { logsDirectory } = this.#options;
    this.#registry.use(workerDeps);
    this.#stops.add(this.#objects);
    this.#stops.defer(() => probes.stop());
    const isKnown = (uid: string): boolean => this.#registry.worker(uid) !== undefined;
    this.#orphans = this.#stops.add(new Orphans({ cri, reader: this.#reader, killer, volumes, logger, logsDirectory, isKnown }));
    const { containerLogMaxBytes: maxBytes, containerLogMaxFiles: maxFiles, containerLogMonitorIntervalMs: periodMs } = this.#options;
    const rotation = this.#stops.add(
      new LogRotation({ cri, clock, logger, logs: () => this.#runningLogs() }, { maxBytes, maxFiles, periodMs }),
    );
    rotation.start();
    this.#stops.add(this.#statuses).start();
    this.#stops.add(this.#mirrorPods).start();
  }

  async #startProtection(): Promise<void> {
    const { cri, clock, logger, recorder, guards = {} } = this.#deps;
    const stats = this.#deps.summaries ?? this.#stats;
    const protection = new NodeProtection(
      {
        ...{ cri, clock, logger, recorder, guards, registry: this.#registry, ...(stats ? { stats } : {}) },
        metrics: this.#protectionMetrics,
        sourcesReady: () => this.#sourcesReady,
        onChange: () => this.#agent?.refresh(),
      },
      this.#options,
    );
    this.#protection = this.#stops.add(protection);
    await protection.start();
  }

  *#runningLogs(): Iterable<RotatableLog> {
    for (const { runtime } of this.#registry.workers())
      for (const { id, state, logPath } of runtime.containers)
        if (state === "running" && logPath !== "") yield { containerId: id, path: logPath };
  }

  #startNode(informers: InformerFactory, runtime: { readonly name: string; readonly version: string }): void {
    const { client, clock, logger, recorder, cri } = this.#deps;
    const { nodeName, nodeLeaseDurationSeconds: durationSeconds } = this.#options;
    const facts = this.#requireFacts();
    const informer = informers.informer(nodes, { fieldSelector: `metadata.name=${nodeName}` });
    const agent = new NodeAgent(
      {
        ...{ client, clock, logger, recorder, cri, informer, health: this.#health },
        pressure: () => this.#protection?.pressure ?? [],
        problems: () => this.#ownProblems(),
        devices: () => this.#managers?.nodeDevices(),
        onPodCidrs: (cidrs) => this.#configureNetwork(cidrs),
      },
      { facts, config: this.#config, runtime },
    );
    this.#agent = this.#stops.add(agent);
    agent.start();
    const lease = this.#stops.add(
      new NodeLease({ client, clock, logger }, { nodeName, durationSeconds, nodeUid: () => agent.node?.metadata.uid }),
    );
    lease.start();
  }

  /** From a directory, and from a URL. */
  async #startStaticPods(): Promise<void> {
    const { podManifestPath: directory, staticPodURL: url, staticPodURLHeader: headers, nodeName } = this.#options;
    if (directory === undefined && url === undefined) return;
    const { clock, logger } = this.#deps;
    // Validation is a lot of code, which a kubelet without static pods never needs.
    const { validatePod: validate } = await import("../api/validation/pod.ts");
    const use = (source: string) => (found: readonly Pod[]) => this.#registry.useStaticPods(source, found);
    const deps = { clock, logger, applyDefaults: defaultPod, validate };
    if (directory !== undefined) {
      const options = { directory, nodeName, periodMs: this.#options.fileCheckFrequencyMs };
      await this.#stops.add(new StaticPodSource({ ...deps, onChange: use("file") }, options)).start();
    }
    if (url !== undefined) {
      const options = { url, headers, nodeName, periodMs: this.#options.httpCheckFrequencyMs };
      this.#stops.add(new StaticPodUrl({ ...deps, onChange: use("http") }, options)).start();
    }
  }

  /** Pods are taken from the API once services are known too, which their environment tells of. */
  async #followApi(podInformer: Informer<Pod>, serviceInformer: { synced(signal: AbortSignal): Promise<void> }): Promise<void> {
    const { signal } = this.#abort;
    try {
      await Promise.all([podInformer.synced(signal), serviceInformer.synced(signal)]);
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    const handler = podInformer.addHandler({
      onAdd: (pod) => this.#registry.seen(pod),
      onUpdate: (pod) => this.#registry.seen(pod),
      onDelete: (pod) => this.#registry.deleted(pod),
    });
    signal.addEventListener("abort", () => handler.remove(), { once: true });
    this.#sourcesReady = true;
    this.#allocations.removeOthers((uid) => this.#registry.worker(uid) !== undefined);
    this.#resizes.retry();
    await this.#cleanUp();
  }

  /** What is left of pods that were deleted while no kubelet ran. */
  async #cleanUp(): Promise<void> {
    const listed = this.#pleg.pods;
    for (const pod of listed.values()) this.#orphans?.end(pod);
    try {
      await this.#orphans?.cleanDisk(new Set(listed.keys()));
    } catch (error) {
      this.#deps.logger.warn("Removing what deleted pods left behind failed", { error });
    }
  }

  #nodeState(): NodeState {
    return {
      node: this.#withoutManaged(this.#admissionNode()),
      pressure: this.#protection?.pressure ?? [],
      shuttingDown: this.#protection?.shutdownProblem() !== undefined,
      machine: this.#machineRules(),
    };
  }

  /** What is handed out piece by piece is counted by whoever hands it out. */
  #withoutManaged(node: Node): Node {
    const { allocatable = {} } = node.status ?? {};
    const managed = Object.keys(allocatable).filter((name) => name.includes("/") && this.#managers?.manages(name));
    if (managed.length === 0) return node;
    const rest = Object.fromEntries(Object.entries(allocatable).filter(([name]) => !managed.includes(name)));
    return { ...node, status: { ...node.status, allocatable: rest } };
  }

  #machineRules(): MachineRules {
    const { appArmor, system } = this.#requireFacts();
    return { appArmor, kernelVersion: system.kernelVersion, allowedUnsafe: this.#options.allowedUnsafeSysctls };
  }

  /** The node as far as it is known: static pods may come before it is registered. */
  #admissionNode(): Node {
    const known = this.#agent?.node;
    if (known?.status?.allocatable) return known;
    const facts = this.#requireFacts();
    const metadata = { name: facts.name, labels: nodeLabels(facts, this.#config) } as unknown as Node["metadata"]; // the rest is the server's to give
    const { features } = this.#health;
    const status = { ...nodeResources(facts, this.#config), ...(features ? { features } : {}) };
    return { apiVersion: "v1", kind: "Node", metadata, spec: {}, status };
  }

  #requireFacts(): NodeFacts {
    if (!this.#facts) throw new Error("the kubelet has not been started");
    return this.#facts;
  }

  async #podGone(pod: Pod): Promise<void> {
    this.#registry.forget(pod.metadata.uid);
    await rm(podLogDirectory(this.#options.logsDirectory, pod), { recursive: true, force: true });
  }

  #runtimeChanged(uid: string): void {
    const worker = this.#registry.worker(uid);
    if (worker) return worker.runtimeHasChanged();
    const listed = this.#pleg.pods.get(uid);
    if (listed && this.#sourcesReady) this.#orphans?.end(listed);
  }

  #healthChanged(): void {
    this.#agent?.refresh();
    for (const worker of this.#registry.workers()) worker.wake();
  }

  /** One range after the other; tried again until it works. */
  #configureNetwork(podCidrs: readonly string[]): void {
    const { configureNetwork, cri, logger, clock } = this.#deps;
    const { signal } = this.#abort;
    this.#configuring = this.#configuring.then(async () => {
      for (let delayMs = networkRetryMs; !signal.aborted; delayMs = Math.min(delayMs * 2, maxNetworkRetryMs)) {
        try {
          await configureNetwork?.(podCidrs);
          await cri.updateRuntimeConfig({ runtimeConfig: { networkConfig: { podCidr: podCidrs.join(",") } } });
          return this.#health.hurry();
        } catch (error) {
          logger.error("Setting up the pod network failed", { podCIDRs: podCidrs.join(), error });
          await clock.sleep(delayMs, signal).catch(() => undefined);
        }
      }
    });
  }
}

function configOf(options: ResolvedOptions): NodeConfig {
  const { kubeletVersion, maxPods, port, labels, taints, unschedulable, podsPerCore, providerID, protection } = options;
  return {
    ...{ kubeletVersion, maxPods, port, labels, taints, unschedulable, podsPerCore, providerID, reservations: protection },
    register: options.registerNode,
    statusUpdateMs: options.nodeStatusUpdateFrequencyMs,
    statusReportMs: options.nodeStatusReportFrequencyMs,
    maxImages: options.nodeStatusMaxImages,
  };
}

async function readResolver(path: string): Promise<ResolverConfig> {
  if (path === "") return { servers: ["127.0.0.1"], searches: ["."], options: [] };
  return parseResolvConf(await readFile(path, "utf8").catch(() => ""));
}
