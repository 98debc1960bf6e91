// A node's kubelet: puts its parts together and starts them in their order. What a part does is in its own file.

import { mkdir, rm } from "node:fs/promises";
import { nodes, pods, services } from "../api/resources.generated.ts";
import { registerFeatureMetrics } from "../api/semantics/feature-gates.ts";
import type { Node, Pod } from "../api/types/core-v1.ts";
import { StopStack } from "../base/lifecycle.ts";
import { countedClient } from "../client/counted-client.ts";
import type { InformerFactory } from "../client/informer.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { QosCgroups } from "./cgroups/qos-cgroups.ts";
import type { Kubelet, KubeletDependencies } from "./kubelet.ts";
import { LogRotation, type RotatableLog } from "./logs/log-rotation.ts";
import { podLogDirectory } from "./logs/logs.ts";
import { ensureCsiNode } from "./node/csi-node.ts";
import { NodeAgent } from "./node/node-agent.ts";
import { nodeConfigOf, readResolver } from "./node/node-config.ts";
import { readNodeFacts } from "./node/node-facts.ts";
import { NodeLease } from "./node/node-lease.ts";
import { NodeProtection } from "./node/node-protection.ts";
import { type NodeResources, startNodeResources } from "./node/node-resources.ts";
import type { NodeConfig, NodeFacts } from "./node/node-status.ts";
import { NodeView } from "./node/node-view.ts";
import { type ProtectionMetrics, registerProtectionMetrics } from "./node/protection-metrics.ts";
import type { ResolvedOptions } from "./options.ts";
import { PodNetwork } from "./pod-network.ts";
import { MirrorPods } from "./pods/mirror-pods.ts";
import { Orphans } from "./pods/orphans.ts";
import { PodAccess } from "./pods/pod-access.ts";
import { buildPodMachinery } from "./pods/pod-machinery.ts";
import { PodRegistry } from "./pods/pod-registry.ts";
import { ApiPods, startStaticPods } from "./pods/pod-sources.ts";
import { containerType } from "./pods/pod-spec.ts";
import type { PodWorkerDependencies } from "./pods/pod-worker.ts";
import { readCredentialProviders } from "./pulls/credential-provider-config.ts";
import { PullRecords } from "./pulls/pull-records.ts";
import { ReferencedObjectCache } from "./referenced-objects.ts";
import { nodeReference } from "./references.ts";
import { PodAllocations } from "./resize/pod-allocations.ts";
import { type InfeasibleResize, PodResizes } from "./resize/pod-resizes.ts";
import { countRequested, type ResizeMetrics, registerResizeMetrics } from "./resize/resize-metrics.ts";
import { swapRefusal } from "./resize/swap-resize.ts";
import { PodLifecycleEvents } from "./runtime/pleg.ts";
import { RuntimeHealth } from "./runtime/runtime-health.ts";
import { RuntimeReader } from "./runtime/runtime-reader.ts";
import { tracedRuntime } from "./runtime/traced-runtime.ts";
import type { KubeletServerHost } from "./server/host.ts";
import { countedRuntime } from "./stats/counted-runtime.ts";
import { createStatsEndpoints } from "./stats/endpoints.ts";
import { KubeletMetrics } from "./stats/kubelet-metrics.ts";
import { NodeStartMetrics } from "./stats/node-metrics.ts";
import { registerPodGauges } from "./stats/pod-gauges.ts";
import { createStatsProvider, type KubeletStats } from "./stats/stats-provider.ts";
import { StatusManager } from "./status/status-manager.ts";
import { PodCertificates } from "./volumes/pod-certificates.ts";

/** With stopPodsOnExit: how long containers are given. */
const exitGraceSeconds = 2;
const readNodeTimeoutMs = 10_000;

export class KubeletNode implements Kubelet {
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
  readonly #view: NodeView;
  readonly #network: PodNetwork;
  readonly #apiPods: ApiPods;
  readonly #metrics: KubeletMetrics;
  readonly #protectionMetrics: ProtectionMetrics;
  readonly #resizeMetrics: ResizeMetrics;
  readonly #pullRecords: PullRecords;
  readonly #startTimes: NodeStartMetrics;
  #stats: KubeletStats | undefined;
  #resources: NodeResources | undefined;
  #agent: NodeAgent | undefined;
  #protection: NodeProtection | undefined;
  #facts: NodeFacts | undefined;
  #orphans: Orphans | undefined;
  #qosCgroups: QosCgroups | undefined;

  constructor(deps: KubeletDependencies, options: ResolvedOptions) {
    const { clock, logger } = deps;
    this.#metrics = new KubeletMetrics(clock, options.nodeName);
    const { registry: metrics } = this.#metrics;
    registerFeatureMetrics(metrics, options.gates);
    if (deps.serverMetrics) metrics.include(() => deps.serverMetrics?.text() ?? "");
    const client = countedClient(deps.client, { metrics, clock, host: deps.apiServerHost ?? "" });
    const cri = countedRuntime(deps.tracer ? tracedRuntime(deps.cri, deps.tracer) : deps.cri, {
      ...{ metrics, clock },
      containerType: (uid, name) => containerType(this.#registry.worker(uid)?.pod, name),
    });
    this.#deps = { ...deps, cri, client };
    this.#options = options;
    this.#config = nodeConfigOf(options);
    this.#protectionMetrics = registerProtectionMetrics(metrics);
    this.#resizeMetrics = registerResizeMetrics(metrics);
    this.#pullRecords = new PullRecords(options.remembers ? options.rootDirectory : undefined);
    this.#startTimes = new NodeStartMetrics(metrics, clock, async () => deps.machine?.bootTimeMs());
    this.#reader = new RuntimeReader(cri);
    this.#health = new RuntimeHealth({ cri, logger, clock, onChange: () => this.#healthChanged() });
    this.#pleg = new PodLifecycleEvents({
      ...{ cri, reader: this.#reader, clock, logger },
      onChange: (uid) => this.#runtimeChanged(uid),
      onRelist: (ms) => this.#metrics.relisted(ms),
      life: this.#metrics.life,
    });
    this.#objects = new ReferencedObjectCache({ client, clock, logger, onChange: (uid) => this.#registry.worker(uid)?.wake() });
    this.#statuses = new StatusManager({
      ...{ client, clock, logger, apiPodOf: (uid) => this.#registry.apiPodOf(uid) },
      onChanged: (before, after) => this.#metrics.life.statusChanged(before, after),
      onReported: (ms) => this.#metrics.life.statusReported(ms),
    });
    this.#mirrorPods = new MirrorPods({
      ...{ client, clock, logger, node: () => this.#agent?.node },
      staticPod: (key) => this.#registry.staticPod(key),
      mirror: (key) => this.#registry.mirror(key),
    });
    this.#view = this.#createView();
    this.#network = new PodNetwork({ ...this.#deps, signal: this.#abort.signal, onConfigured: () => this.#health.hurry() });
    this.#allocations = new PodAllocations(options.remembers ? options.rootDirectory : undefined, { clock, logger });
    this.#resizes = this.#createResizes();
    this.#registry = this.#createRegistry();
    this.#apiPods = this.#createApiPods();
    this.access = this.#createAccess();
    registerPodGauges(metrics, { pods: () => this.#registry.workers(), volumes: (uid) => this.#stats?.volumesOf(uid) });
  }

  get node(): Node | undefined {
    return this.#agent?.node;
  }

  get stats(): KubeletStats | undefined {
    return this.#stats;
  }

  #createView(): NodeView {
    return new NodeView(
      {
        node: () => this.#agent?.node,
        facts: () => this.#requireFacts(),
        features: () => this.#health.features,
        pressure: () => this.#protection?.pressure ?? [],
        shuttingDown: () => this.#protection?.shutdownProblem() !== undefined,
        manages: (resource) => this.#resources?.managers.manages(resource) === true,
      },
      { config: this.#config, allowedUnsafeSysctls: this.#options.allowedUnsafeSysctls },
    );
  }

  #createResizes(): PodResizes {
    const { clock, recorder, infeasibleResize } = this.#deps;
    return new PodResizes({
      ...{ clock, recorder, allocations: this.#allocations, metrics: this.#resizeMetrics },
      infeasible: infeasibleResize ?? ((pod, allocated) => this.#infeasible(pod, allocated)),
      podLevelAllowed: this.#options.gates.enabled("InPlacePodLevelResourcesVerticalScaling"),
      desired: (uid) => this.#registry.desired(uid),
      refusal: (pod) => this.#registry.refusal(pod),
      isReady: () => this.#apiPods.ready,
      onChange: (uid) => {
        this.#qosCgroups?.touch();
        this.#registry.reallocated(uid);
      },
    });
  }

  #infeasible(pod: Pod, allocated: Pod): InfeasibleResize | undefined {
    const { system } = this.#requireFacts();
    // Swap is handed out in version 2 alone.
    const behavior = this.#deps.cgroups?.version === 2 && system.swapBytes > 0 ? this.#options.swapBehavior : "NoSwap";
    return swapRefusal(pod, allocated, behavior) ?? this.#resources?.managers.infeasibleResize(pod, allocated);
  }

  #createRegistry(): PodRegistry {
    const { clock, recorder, client } = this.#deps;
    const { nodeName: name } = this.#options;
    return new PodRegistry({
      ...{ clock, recorder, objects: this.#objects, statuses: this.#statuses, allocations: this.#allocations, resizes: this.#resizes },
      managers: () => this.#resources?.managers,
      nodeState: () => this.#view.state(),
      onPreempted: (resource) => this.#protectionMetrics.preemptions.series(resource).add(),
      onChanged: (before, after) => countRequested(this.#resizeMetrics, before, after),
      onRefused: (reason) => this.#protectionMetrics.rejected(reason),
      readNode: () => client.get(nodes, { name }, { timeoutMs: readNodeTimeoutMs, signal: this.#abort.signal }),
      inRuntime: (uid) => this.#pleg.pods.has(uid),
      onStaticPod: (key) => this.#mirrorPods.check(key),
      onMirrorDeleted: (key) => this.#mirrorPods.removed(key),
    });
  }

  #createApiPods(): ApiPods {
    return new ApiPods({
      ...{ registry: this.#registry, signal: this.#abort.signal },
      onReady: async () => {
        this.#allocations.removeOthers((uid) => this.#registry.worker(uid) !== undefined);
        this.#resizes.retry("pods_added");
        await this.#cleanUp();
      },
    });
  }

  #createAccess(): PodAccess {
    const { cri, clock, logger } = this.#deps;
    const { rootDirectory } = this.#options;
    const stats = createStatsEndpoints({
      ...{ metrics: this.#metrics, logger, stats: () => this.#stats },
      machine: () => this.#facts?.system,
    });
    return new PodAccess({ ...{ cri, clock, reader: this.#reader, stats, rootDirectory }, pods: () => this.#registry.pods() });
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
    const { podsDirectory, logsDirectory, remembers } = this.#options;
    if (remembers) await Promise.all([mkdir(podsDirectory, { recursive: true }), mkdir(logsDirectory, { recursive: true })]);
    await this.#allocations.load();
    this.#stops.add(this.#allocations);
    this.#stops.add(this.#resizes);
    const { imageCredentialProviderConfig: providerConfig, imageCredentialProviderBinDir } = this.#options;
    const [version, facts, resolver, credentialProviders] = await Promise.all([
      cri.version({}),
      readNodeFacts(this.#options, this.#deps.readSystem),
      readResolver(this.#options.resolvConf),
      providerConfig === "" ? [] : readCredentialProviders(providerConfig, imageCredentialProviderBinDir),
    ]);
    this.#facts = facts;
    // Owned before they are started: a start that fails leaves nothing behind.
    this.#stops.add(this.#health);
    this.#stops.add(this.#pleg);
    await Promise.all([this.#health.start(), this.#pleg.start(), this.#startResources(facts)]);

    const informers = this.#deps.informers ?? this.#stops.add(createInformerFactory(client, { clock, logger }));
    const serviceInformer = informers.informer(services);
    const workerDeps = buildPodMachinery(this.#deps, {
      ...{ facts, resolver, credentialProviders, options: this.#options, runtimeName: version.runtimeName },
      ...{ reader: this.#reader, objects: this.#objects, statuses: this.#statuses, allocations: this.#allocations, resizes: this.#resizes },
      ...{ metrics: this.#metrics, resizeMetrics: this.#resizeMetrics, pullRecords: this.#pullRecords },
      ...{ managers: this.#resources?.managers, claims: this.#resources?.claims },
      services: () => serviceInformer.list(),
      allocatable: () => this.#view.node().status?.allocatable ?? {},
      networkProblem: () => this.#health.networkProblem(),
      runtimeFeatures: (handler) => this.#health.featuresOf(handler),
      wake: (uid) => this.#registry.worker(uid)?.wake(),
      podCertificates: () => this.#createCertificates(),
      onCgroups: () => this.#qosCgroups?.touch(),
      onGone: (pod) => this.#podGone(pod),
    });
    this.#startStats(workerDeps, facts);
    this.#startPodServices(workerDeps);
    await this.#startProtection();
    this.#startNode(informers, { name: version.runtimeName, version: version.runtimeVersion });
    const podInformer = informers.informer(pods, { fieldSelector: `spec.nodeName=${this.#options.nodeName}` });
    informers.start();
    this.#stops.add(
      await startStaticPods({ clock, logger, use: (source, found) => this.#registry.useStaticPods(source, found) }, this.#options),
    );
    const following = this.#apiPods.follow(podInformer, serviceInformer);
    this.#stops.defer(() => following);
    this.#stops.defer(() => this.#stopWorkers(workerDeps));
    this.#stops.defer(() => this.#abort.abort());
  }

  stop(): Promise<void> {
    return this.#stops.stop();
  }

  async #stopWorkers({ killer }: PodWorkerDependencies): Promise<void> {
    await this.#registry.stop();
    await this.#network.settled();
    if (!this.#options.stopPodsOnExit) return;
    const workers = [...this.#registry.workers()];
    await Promise.allSettled(workers.map((w) => killer.killPod(w.pod, w.runtime, { graceSeconds: exitGraceSeconds })));
  }

  async #startResources({ system }: NodeFacts): Promise<void> {
    this.#resources = await startNodeResources(this.#deps, this.#options, {
      ...{ registry: this.#registry, metrics: this.#metrics.registry, memoryBytes: system.memoryBytes, stops: this.#stops },
      sourcesReady: () => this.#apiPods.ready,
      inRuntime: (uid) => this.#pleg.pods.has(uid),
      onNodeChange: () => this.#agent?.refresh(),
    });
  }

  #createCertificates(): PodCertificates {
    const { client, clock, logger, recorder } = this.#deps;
    return this.#stops.add(
      new PodCertificates({
        ...{ client, clock, logger, recorder, metrics: this.#metrics.registry, nodeName: this.#options.nodeName },
        nodeUid: () => this.#agent?.node?.metadata.uid,
        onChange: (uid) => this.#registry.worker(uid)?.wake(),
      }),
    );
  }

  #startStats({ volumes }: PodWorkerDependencies, { system }: NodeFacts): void {
    const { cri, clock, logger, machine } = this.#deps;
    const { nodeName, rootDirectory, volumeStatsAggPeriodMs: volumePeriodMs } = this.#options;
    const stats = createStatsProvider(
      {
        ...{ cri, clock, logger, ...(machine ? { machine } : {}) },
        pods: () => this.#registry.workers(),
        volumes: (uid) => volumes.mounted(uid),
        onVolumeMeasured: (source, ms) => this.#metrics.volumes.measured(source, ms),
      },
      { nodeName, rootDirectory, memoryBytes: system.memoryBytes, volumePeriodMs },
    );
    this.#metrics.volumes.follow({
      wanted: () => this.#registry.endable().map((w) => w.pod),
      mounted: (uid) => volumes.mounted(uid)?.keys() ?? [],
    });
    this.#stats = this.#stops.add(stats);
    stats.start();
  }

  /** What stands behind the workers, and what cleans up after pods. */
  #startPodServices(workerDeps: PodWorkerDependencies): void {
    const { cri, clock, logger, cgroups } = this.#deps;
    const { killer, volumes, probes } = workerDeps;
    const { logsDirectory } = this.#options;
    this.#registry.use(workerDeps);
    this.#stops.add(this.#objects);
    this.#stops.defer(() => probes.stop());
    const isKnown = (uid: string): boolean => this.#registry.worker(uid) !== undefined;
    this.#orphans = this.#stops.add(
      new Orphans({ cri, reader: this.#reader, killer, volumes, logger, logsDirectory, isKnown, metrics: this.#metrics.life }),
    );
    const { containerLogMaxBytes: maxBytes, containerLogMaxFiles: maxFiles, containerLogMonitorIntervalMs: periodMs } = this.#options;
    const rotation = this.#stops.add(
      new LogRotation(
        { cri, clock, logger, logs: () => this.#runningLogs(), figures: this.#metrics.queue("kubelet_log_rotate_manager") },
        { maxBytes, maxFiles, periodMs },
      ),
    );
    rotation.start();
    this.#stops.add(this.#statuses).start();
    this.#stops.add(this.#mirrorPods).start();
    if (cgroups?.version === undefined) return;
    const pods = (): readonly Pod[] => this.#registry.endable().map((w) => w.pod);
    this.#qosCgroups = this.#stops.add(new QosCgroups({ cgroups, clock, logger, pods, onEnforced: () => this.#groupsMade() }));
    this.#qosCgroups.start();
  }

  #groupsMade(): void {
    const { recorder, cgroups } = this.#deps;
    const node = nodeReference(this.#options.nodeName);
    if (cgroups?.version === 1) recorder.record(node, { type: "Warning", reason: "CgroupV1", message: oldGroups });
    const message = "Updated Node Allocatable limit across pods";
    if (this.#options.protection.enforcesPods) recorder.record(node, { type: "Normal", reason: "NodeAllocatableEnforced", message });
  }

  async #startProtection(): Promise<void> {
    const { cri, clock, logger, recorder, guards = {} } = this.#deps;
    const stats = this.#deps.summaries ?? this.#stats;
    const protection = new NodeProtection(
      {
        ...{ cri, clock, logger, recorder, guards, registry: this.#registry, ...(stats ? { stats } : {}) },
        ...{ metrics: this.#protectionMetrics, pullRecords: this.#pullRecords },
        sourcesReady: () => this.#apiPods.ready,
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
        devices: () => this.#resources?.managers.nodeDevices(),
        onPodCidrs: (cidrs) => this.#network.configure(cidrs),
        starting: this.#startTimes,
        // Simulated nodes, of which there are thousands, have no volumes to attach.
        ...(this.#deps.guards ? { csiNode: (node: Node, signal: AbortSignal) => ensureCsiNode(client, node, signal) } : {}),
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
    if (listed && this.#apiPods.ready) this.#orphans?.end(listed);
  }

  #healthChanged(): void {
    this.#agent?.refresh();
    for (const worker of this.#registry.workers()) worker.wake();
  }
}

const oldGroups =
  "cgroup v1 detected. cgroup v1 support is deprecated and will be removed in a future release. Please migrate to cgroup v2. " +
  "More information at https://git.k8s.io/enhancements/keps/sig-node/5573-remove-cgroup-v1";
