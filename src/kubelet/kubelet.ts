// The kubelet: registers the node, runs the pods that are bound to it (and those of its static manifests) through the
// container runtime, and reports what became of them. This file puts its parts together; each part is a file of its own.
//   pods ──> PodWorker (one per pod) ──> PodStarter, PodKiller, VolumeManager ──> CRI
//             ^ wakes: API watch, static files, PodLifecycleEvents, ProbeManager, ReferencedObjectCache, the clock
//             └──> StatusManager ──> API
import { mkdir, readFile, rm } from "node:fs/promises";
import { defaultPod } from "../api/defaults/pod.ts";
import { keyOf } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { nodes, pods, runtimeclasses, services } from "../api/resources.generated.ts";
import type { Node, Pod, Secret, Service } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { CriRuntime } from "../cri/cri.ts";
import { admitPod } from "./admission.ts";
import { CrashBackOff } from "./crash-backoff.ts";
import { parseResolvConf, type ResolverConfig } from "./dns.ts";
import { ImageManager } from "./images.ts";
import { LogRotation } from "./log-rotation.ts";
import { podLogDirectory } from "./logs.ts";
import { MirrorPods } from "./mirror-pods.ts";
import { NodeAgent } from "./node-agent.ts";
import { readNodeFacts } from "./node-facts.ts";
import { NodeLease } from "./node-lease.ts";
import { readPressure } from "./node-pressure.ts";
import { type NodeConfig, type NodeFacts, nodeLabels, nodeResources } from "./node-status.ts";
import { type KubeletOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { Orphans } from "./orphans.ts";
import { PodLifecycleEvents } from "./pleg.ts";
import { PodAccess } from "./pod-access.ts";
import { noPodCgroups, type PodCgroups } from "./pod-cgroups.ts";
import { PodKiller } from "./pod-killer.ts";
import { isMirrorPod, isStaticPod, isTerminalPhase } from "./pod-spec.ts";
import { PodStarter } from "./pod-starter.ts";
import type { PodVerdict } from "./pod-status.ts";
import { PodWorker, type PodWorkerDependencies } from "./pod-worker.ts";
import { createHttpGet, type HttpGet } from "./probes/http.ts";
import { ProbeManager } from "./probes/probe-manager.ts";
import { createProber, type RunProbe } from "./probes/prober.ts";
import { ReferencedObjectCache } from "./referenced-objects.ts";
import { RuntimeHealth } from "./runtime-health.ts";
import { RuntimeReader } from "./runtime-reader.ts";
import { StaticPodSource } from "./static-pods.ts";
import { StatusManager } from "./status-manager.ts";
import { ServiceAccountTokens } from "./volumes/service-account-tokens.ts";
import { type HostMounts, VolumeManager, type VolumePlugin } from "./volumes/volume-manager.ts";

export interface KubeletDependencies {
  readonly client: Client;
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
  /** For tests; default real requests. */
  readonly httpGet?: HttpGet;
  readonly runProbe?: RunProbe;
}

export interface Kubelet extends Running {
  /** Resolves when the runtime has answered and everything runs. Rejects when the runtime is not there. */
  start(): Promise<void>;
  /** Exec, attach, port-forward and logs. */
  readonly access: PodAccess;
  /** The pods of this node with their current statuses. */
  pods(): readonly Pod[];
  readonly node: Node | undefined;
  /** Why the node is not ready; empty when it is. */
  problems(): readonly string[];
}

export function createKubelet(deps: KubeletDependencies, options: KubeletOptions): Kubelet {
  return new KubeletNode(deps, resolveOptions(options));
}

class KubeletNode implements Kubelet {
  readonly access: PodAccess;
  readonly #deps: KubeletDependencies;
  readonly #options: ResolvedOptions;
  readonly #stops = new StopStack();
  readonly #abort = new AbortController();
  readonly #workers = new Map<string, PodWorker>();
  /** By "namespace/name". */
  readonly #staticPods = new Map<string, Pod>();
  readonly #mirrors = new Map<string, Pod>();
  readonly #reader: RuntimeReader;
  readonly #health: RuntimeHealth;
  readonly #pleg: PodLifecycleEvents;
  readonly #objects: ReferencedObjectCache;
  readonly #tokens: ServiceAccountTokens;
  readonly #statuses: StatusManager;
  readonly #mirrorPods: MirrorPods;
  #agent: NodeAgent | undefined;
  #facts: NodeFacts | undefined;
  #config: NodeConfig | undefined;
  #orphans: Orphans | undefined;
  #workerDeps: PodWorkerDependencies | undefined;
  #sourcesReady = false;
  #configuring: Promise<void> = Promise.resolve();

  constructor(deps: KubeletDependencies, options: ResolvedOptions) {
    this.#deps = deps;
    this.#options = options;
    const { client, cri, clock, logger } = deps;
    this.#reader = new RuntimeReader(cri);
    this.#health = new RuntimeHealth({ cri, clock, onChange: () => this.#healthChanged() });
    this.#pleg = new PodLifecycleEvents({ cri, reader: this.#reader, clock, logger, onChange: (uid) => this.#runtimeChanged(uid) });
    this.#objects = new ReferencedObjectCache({ client, clock, logger, onChange: (uid) => this.#workers.get(uid)?.wake() });
    this.#tokens = new ServiceAccountTokens(client, clock);
    this.#statuses = new StatusManager({ client, clock, logger, apiPodOf: (uid) => this.#apiPodOf(uid) });
    this.#mirrorPods = new MirrorPods({
      ...{ client, clock, logger },
      staticPod: (key) => this.#staticPods.get(key),
      mirror: (key) => this.#mirrors.get(key),
      node: () => this.#agent?.node,
    });
    this.access = new PodAccess({ cri, clock, reader: this.#reader, find: (namespace, name) => this.#find(namespace, name) });
  }

  get node(): Node | undefined {
    return this.#agent?.node;
  }

  problems(): readonly string[] {
    const pleg = this.#pleg.problem();
    return [...this.#health.problems(), ...(pleg === undefined ? [] : [pleg])];
  }

  pods(): readonly Pod[] {
    return [...this.#workers.values()].map(({ pod }) => this.#withStatus(pod));
  }

  async start(): Promise<void> {
    const { cri, clock, logger, client, recorder } = this.#deps;
    const { nodeName, podsDirectory, logsDirectory } = this.#options;
    await Promise.all([mkdir(podsDirectory, { recursive: true }), mkdir(logsDirectory, { recursive: true })]);
    const [version, facts, resolver] = await Promise.all([cri.version({}), readNodeFacts(this.#options), this.#readResolver()]);
    await Promise.all([this.#health.start(), this.#pleg.start()]);
    this.#facts = facts;
    this.#config = this.#nodeConfig();
    this.#stops.add(this.#health);
    this.#stops.add(this.#pleg);
    this.#stops.add(this.#objects);

    const informers = this.#deps.informers ?? this.#stops.add(createInformerFactory(client, { clock, logger }));
    const podInformer = informers.informer(pods, { fieldSelector: `spec.nodeName=${nodeName}` });
    const nodeInformer = informers.informer(nodes, { fieldSelector: `metadata.name=${nodeName}` });
    const serviceInformer = informers.informer(services);
    this.#agent = new NodeAgent(
      {
        ...{ client, clock, logger, recorder, cri, health: this.#health, informer: nodeInformer },
        pressure: () => readPressure(this.#options.rootDirectory, this.#options.evictionHard),
        problems: () => [this.#pleg.problem()].filter((p) => p !== undefined),
        onPodCidrs: (cidrs) => this.#configureNetwork(cidrs),
      },
      { facts, config: this.#config, runtime: { name: version.runtimeName, version: version.runtimeVersion } },
    );
    this.#buildPodMachinery(version.runtimeName, resolver, () => serviceInformer.list());
    this.#statuses.start();
    this.#mirrorPods.start();
    this.#stops.add(this.#statuses);
    this.#stops.add(this.#mirrorPods);
    this.#agent.start();
    this.#stops.add(this.#agent);
    const lease = this.#stops.add(new NodeLease({ client, clock, logger }, { nodeName, nodeUid: () => this.#agent?.node?.metadata.uid }));
    lease.start();
    informers.start();
    await this.#startStaticPods();
    const following = this.#followApi(podInformer, serviceInformer);
    this.#stops.defer(() => following);
    this.#stops.defer(() => this.#stopWorkers());
    this.#stops.defer(() => this.#abort.abort());
  }

  stop(): Promise<void> {
    return this.#stops.stop();
  }

  async #stopWorkers(): Promise<void> {
    const workers = [...this.#workers.values()];
    await Promise.all(workers.map((w) => w.stop()));
    await this.#configuring;
    const killer = this.#workerDeps?.killer;
    if (!this.#options.stopPodsOnExit || !killer) return;
    const graceSeconds = 2;
    await Promise.allSettled(workers.map((w) => killer.killPod(w.pod, w.runtime, { graceSeconds })));
  }

  async #readResolver(): Promise<ResolverConfig> {
    const { resolvConf } = this.#options;
    if (resolvConf === "") return { servers: ["127.0.0.1"], searches: ["."], options: [] };
    return parseResolvConf(await readFile(resolvConf, "utf8").catch(() => ""));
  }

  #nodeConfig(): NodeConfig {
    const { kubeletVersion, maxPods, port, labels, taints, unschedulable, reservedMilliCpu, reservedMemoryBytes, evictionHard } = this.#options;
    return {
      ...{ kubeletVersion, maxPods, port, labels, taints, unschedulable, reservedMilliCpu },
      reservedMemoryBytes: reservedMemoryBytes + (evictionHard.memoryBytes ?? 0),
      reservedDiskFraction: evictionHard.diskFraction ?? 0.1,
    };
  }

  /** Everything a pod worker works with. */
  #buildPodMachinery(runtimeName: string, resolver: ResolverConfig, listServices: () => Iterable<Service>): void {
    const { cri, clock, logger, recorder, mounts } = this.#deps;
    const options = this.#options;
    const objects = this.#objects;
    const hostIPs = (): readonly string[] => this.#facts?.addresses.map((a) => a.address) ?? [];
    const allocatable = (): Readonly<Record<string, string | number>> => this.#admissionNode().status?.allocatable ?? {};
    const httpGet = this.#deps.httpGet ?? createHttpGet("1.36");
    const crashes = new CrashBackOff(clock);
    const images = new ImageManager({ cri, clock, recorder }, { maxParallelPulls: options.maxParallelImagePulls });
    const killer = new PodKiller({ cri, clock, logger, recorder, httpGet });
    const volumes = new VolumeManager(options.podsDirectory, {
      ...{ mounts, clock, plugins: this.#deps.volumePlugins ?? [] },
      payload: (pod) => ({
        ...{ objects, hostIPs: hostIPs(), allocatable: allocatable() },
        podIPs: this.#statuses.get(pod.metadata.uid)?.podIPs?.map((p) => p.ip) ?? [],
        token: (of, projection) => this.#tokens.token(of, projection),
      }),
    });
    const probes = new ProbeManager({
      ...{ clock, recorder, runtimeName },
      run: this.#deps.runProbe ?? createProber({ cri, httpGet }),
      onChange: (uid) => this.#workers.get(uid)?.wake(),
    });
    this.#stops.defer(() => probes.stop());
    const starter = new PodStarter(
      {
        ...{ cri, clock, recorder, images, killer, crashes, httpGet, objects, hostIPs, allocatable },
        services: listServices,
        nodeResolver: () => resolver,
        runtimeHandler: (pod) => this.#runtimeHandler(pod),
        podDirectory: (uid) => volumes.podDirectory(uid),
      },
      {
        logsDirectory: options.logsDirectory,
        clusterDns: { servers: options.clusterDns, domain: options.clusterDomain },
        memoryBytes: this.#facts?.system.memoryBytes ?? 1,
        security: { seccompRoot: `${options.rootDirectory}/seccomp`, seccompDefault: options.seccompDefault },
      },
    );
    const cgroups = this.#deps.cgroups ?? noPodCgroups;
    this.#workerDeps = {
      ...{ cri, clock, logger, recorder, reader: this.#reader, starter, killer, crashes, probes, volumes, runtimeName, hostIPs },
      statuses: this.#statuses,
      networkProblem: () => this.#health.networkProblem(),
      ensureCgroup: (pod) => cgroups.ensure(pod),
      removeCgroup: (pod) => cgroups.remove(pod),
      pullSecrets: (pod) => this.#pullSecrets(pod, recorder),
      onGone: async (pod) => {
        images.forget(pod.metadata.uid);
        crashes.forgetPrefix(`${pod.metadata.uid}_`);
        await this.#podGone(pod);
      },
    };
    this.#orphans = new Orphans({
      ...{ cri, reader: this.#reader, killer, volumes, logger, logsDirectory: options.logsDirectory },
      isKnown: (uid) => this.#workers.has(uid),
    });
    this.#stops.add(this.#orphans);
    const rotation = this.#stops.add(new LogRotation({ cri, clock, logger, logs: () => this.#runningLogs() }));
    rotation.start();
  }

  *#runningLogs() {
    for (const { runtime } of this.#workers.values())
      for (const { id, state, logPath } of runtime.containers) if (state === "running" && logPath !== "") yield { containerId: id, path: logPath };
  }

  async #startStaticPods(): Promise<void> {
    const { podManifestPath, nodeName } = this.#options;
    if (podManifestPath === undefined) return;
    const { clock, logger } = this.#deps;
    const source = new StaticPodSource(
      { clock, logger, applyDefaults: defaultPod, onChange: (found) => this.#useStaticPods(found) },
      { directory: podManifestPath, nodeName },
    );
    this.#stops.add(source);
    await source.start();
  }

  #useStaticPods(found: readonly Pod[]): void {
    const wanted = new Map(found.map((pod) => [keyOf(pod), pod]));
    for (const [key, pod] of this.#staticPods) {
      if (wanted.get(key)?.metadata.uid === pod.metadata.uid) continue;
      this.#staticPods.delete(key);
      this.#workers.get(pod.metadata.uid)?.remove();
      this.#mirrorPods.check(key);
    }
    for (const [key, pod] of wanted) {
      if (this.#staticPods.has(key)) continue;
      this.#staticPods.set(key, pod);
      this.#addPod(pod);
      this.#mirrorPods.check(key);
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
      onAdd: (pod) => this.#seen(pod),
      onUpdate: (pod) => this.#seen(pod),
      onDelete: (pod) => this.#deleted(pod),
    });
    this.#stops.defer(() => handler.remove());
    this.#sourcesReady = true;
    await this.#cleanUp();
  }

  async #cleanUp(): Promise<void> {
    const listed = this.#pleg.pods;
    for (const pod of listed.values()) if (!this.#workers.has(pod.uid)) this.#orphans?.end(pod);
    try {
      await this.#orphans?.cleanDisk(new Set(listed.keys()));
    } catch (error) {
      this.#deps.logger.warn("Removing what deleted pods left behind failed", { error });
    }
  }

  #seen(pod: Pod): void {
    const key = keyOf(pod);
    if (isMirrorPod(pod)) {
      this.#mirrors.set(key, pod);
      this.#mirrorPods.check(key);
      const own = this.#staticPods.get(key);
      if (own) this.#statuses.observed(own.metadata.uid);
      return;
    }
    const worker = this.#workers.get(pod.metadata.uid);
    if (!worker) return this.#addPod(pod);
    this.#objects.register(pod);
    worker.update(pod);
    this.#statuses.observed(pod.metadata.uid);
  }

  #deleted(pod: Pod): void {
    if (!isMirrorPod(pod)) {
      this.#workers.get(pod.metadata.uid)?.remove();
      return;
    }
    const key = keyOf(pod);
    if (this.#mirrors.get(key)?.metadata.uid === pod.metadata.uid) this.#mirrors.delete(key);
    this.#mirrorPods.check(key);
  }

  #addPod(pod: Pod): void {
    if (!this.#workerDeps) return;
    const { uid } = pod.metadata;
    const fresh = !this.#pleg.pods.has(uid);
    const refused = fresh ? this.#refusal(pod) : undefined;
    if (refused) {
      const { reason, message } = refused;
      const text = message.replace(/^Pod was rejected: /, "");
      this.#deps.recorder.record(pod, { type: "Warning", reason, message: text });
    }
    this.#objects.register(pod);
    const worker = new PodWorker(pod, this.#workerDeps, { fresh, ...(refused ? { refused } : {}) });
    this.#workers.set(uid, worker);
    worker.wake();
  }

  /** A pod that already runs here, has ended, or is being deleted is not judged again. */
  #refusal(pod: Pod): PodVerdict | undefined {
    if (isTerminalPhase(pod.status?.phase) || pod.metadata.deletionTimestamp !== undefined) return undefined;
    const others = [...this.#workers.values()].filter((w) => w.active).map((w) => w.pod);
    return admitPod(pod, others, this.#admissionNode());
  }

  #admissionNode(): Node {
    const known = this.#agent?.node;
    if (known?.status?.allocatable) return known;
    if (!this.#facts || !this.#config) throw new Error("the kubelet has not been started");
    const metadata = { name: this.#options.nodeName, labels: nodeLabels(this.#facts, this.#config) } as unknown as Node["metadata"]; // not registered yet
    return { apiVersion: "v1", kind: "Node", metadata, spec: {}, status: nodeResources(this.#facts, this.#config) };
  }

  async #podGone(pod: Pod): Promise<void> {
    const { uid } = pod.metadata;
    this.#workers.delete(uid);
    this.#objects.unregister(uid);
    this.#tokens.forget(uid);
    this.#statuses.forget(uid);
    await rm(podLogDirectory(this.#options.logsDirectory, pod), { recursive: true, force: true });
  }

  #runtimeChanged(uid: string): void {
    const worker = this.#workers.get(uid);
    if (worker) return worker.runtimeHasChanged();
    const listed = this.#pleg.pods.get(uid);
    if (listed && this.#sourcesReady) this.#orphans?.end(listed);
  }

  #healthChanged(): void {
    this.#agent?.refresh();
    for (const worker of this.#workers.values()) worker.wake();
  }

  #configureNetwork(podCidrs: readonly string[]): void {
    const { configureNetwork, cri, logger, clock } = this.#deps;
    const attempt = async (): Promise<void> => {
      await configureNetwork?.(podCidrs);
      await cri.updateRuntimeConfig({ runtimeConfig: { networkConfig: { podCidr: podCidrs.join(",") } } });
      this.#health.hurry();
    };
    this.#configuring = this.#configuring.then(async () => {
      for (let delayMs = 500; !this.#abort.signal.aborted; delayMs = Math.min(delayMs * 2, 30_000)) {
        try {
          return await attempt();
        } catch (error) {
          logger.error("Setting up the pod network failed", { podCIDRs: podCidrs.join(), error });
          await clock.sleep(delayMs, this.#abort.signal).catch(() => undefined);
        }
      }
    });
  }

  async #runtimeHandler(pod: Pod): Promise<string> {
    const { runtimeClassName } = pod.spec;
    if (!runtimeClassName) return "";
    return (await this.#deps.client.get(runtimeclasses, { name: runtimeClassName })).handler;
  }

  async #pullSecrets(pod: Pod, recorder: EventRecorder): Promise<readonly Secret[]> {
    const found: Secret[] = [];
    const missing: string[] = [];
    for (const { name = "" } of pod.spec.imagePullSecrets ?? []) {
      try {
        found.push(await this.#objects.secret(pod.metadata.namespace, name));
      } catch (error) {
        if (!isStatus(error, "NotFound", "Forbidden")) throw error;
        missing.push(name);
      }
    }
    if (missing.length > 0) {
      const message = `Unable to retrieve some image pull secrets (${missing.join(", ")}); attempting to pull the image may not succeed.`;
      recorder.record(pod, { type: "Warning", reason: "FailedToRetrieveImagePullSecret", message });
    }
    return found;
  }

  /** The API object that shows this pod's status. */
  #apiPodOf(uid: string): Pod | undefined {
    const pod = this.#workers.get(uid)?.pod;
    if (!pod) return undefined;
    return isStaticPod(pod) ? this.#mirrors.get(keyOf(pod)) : pod;
  }

  #find(namespace: string, name: string): Pod | undefined {
    for (const { pod } of this.#workers.values())
      if (pod.metadata.name === name && pod.metadata.namespace === namespace) return this.#withStatus(pod);
    return undefined;
  }

  #withStatus(pod: Pod): Pod {
    const status = this.#statuses.get(pod.metadata.uid);
    return status ? { ...pod, status } : pod;
  }
}
