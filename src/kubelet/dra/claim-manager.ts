// Prepares the claims of pods before they start, and undoes it when nobody here uses them any more: asks the drivers, keeps
// what they answered across restarts, and tells what a container gets of it: CDI devices, which the runtime puts into it.
// A pod whose claims cannot be prepared waits and is tried again.
import { join } from "node:path";
import { resourceclaims } from "../../api/resources.generated.ts";
import { isReservedFor, isUsable, podClaimOf } from "../../api/semantics/pod-claims.ts";
import type { Container, Pod, PodResourceClaim, ResourceStatus } from "../../api/types/core-v1.ts";
import type { ResourceClaim } from "../../api/types/resource-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import type { CDIDevice } from "../../cri/generated/runtime-v1.ts";
import type { Input } from "../../rpc/protocol.ts";
import type { DynamicResource } from "../devices/generated/pod-resources-v1.ts";
import type { PluginHandler } from "../devices/plugin-watcher.ts";
import { Checkpoint } from "../resize/checkpoint.ts";
import { ClaimLocks } from "./claim-locks.ts";
import { type ClaimState, claimCheckpointFormat, PreparedClaim, type PreparedDevice } from "./claim-states.ts";
import { claimsOfContainer } from "./container-claims.ts";
import { DeviceHealths, type HealthStates, healthFormat } from "./device-health.ts";
import { type DraMetrics, registerDraMetrics } from "./dra-metrics.ts";
import type { DraPlugin } from "./dra-plugin.ts";
import { DraPlugins } from "./dra-plugins.ts";
import type { DeviceHealth } from "./generated/dra-health-v1alpha1.ts";
import type { Claim, Device } from "./generated/dra-v1.ts";
import { SliceRemoval } from "./slice-removal.ts";

export interface ClaimManagerDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** Whether something of the pod may run here; undefined while not all pods are known. */
  readonly isActive: (podUid: string) => boolean | undefined;
  /** The health of a device that the pod has has changed. */
  readonly onPodChange: (podUid: string) => void;
}

export interface ClaimManagerOptions {
  readonly rootDirectory: string;
  readonly nodeName: string;
}

const reconcileMs = 60_000;

export class ClaimManager implements Running {
  readonly #deps: ClaimManagerDependencies;
  readonly #stops = new StopStack();
  readonly #abort = new AbortController();
  readonly #plugins: DraPlugins;
  readonly #slices: SliceRemoval;
  readonly #metrics: DraMetrics;
  readonly #healths: DeviceHealths;
  /** By "namespace/name". */
  readonly #claims = new Map<string, PreparedClaim>();
  readonly #locks = new ClaimLocks();
  readonly #checkpoint: Checkpoint<readonly ClaimState[]>;
  readonly #healthCheckpoint: Checkpoint<HealthStates>;
  #timer: Timer | undefined;
  #reconciling: Promise<void> = Promise.resolve();

  constructor(deps: ClaimManagerDependencies, { rootDirectory, nodeName }: ClaimManagerOptions) {
    this.#deps = deps;
    const states = (): readonly ClaimState[] => [...this.#claims.values()].map(({ state }) => state);
    this.#checkpoint = this.#stops.add(new Checkpoint(join(rootDirectory, "dra_manager_state"), states, deps, claimCheckpointFormat));
    const health = join(rootDirectory, "dra_health_state");
    this.#healthCheckpoint = this.#stops.add(new Checkpoint(health, () => this.#healths.states, deps, healthFormat));
    this.#healths = new DeviceHealths(deps.clock);
    this.#metrics = registerDraMetrics(deps.metrics, () => this.#inUse());
    this.#slices = this.#stops.add(new SliceRemoval(deps, nodeName));
    this.#plugins = this.#stops.add(
      new DraPlugins({
        ...{ clock: deps.clock, logger: deps.logger, metrics: this.#metrics, slices: this.#slices },
        onHealth: (driver, devices) => this.#healthTold(driver, devices),
        onHealthLost: (driver) => this.#healthLost(driver),
      }),
    );
  }

  /** Takes over what an earlier kubelet has prepared. Throws when that cannot be read: devices could be given away twice. */
  async start(): Promise<void> {
    let known: readonly ClaimState[] | undefined;
    try {
      known = await this.#checkpoint.load({ strict: true });
    } catch (error) {
      const advice = "please drain node and remove DRA state file dra_manager_state";
      throw new Error(`the state of prepared ResourceClaims cannot be used, ${advice}: ${errorText(error)}`, { cause: error });
    }
    for (const state of known ?? []) this.#claims.set(`${state.Namespace}/${state.ClaimName}`, new PreparedClaim(state));
    this.#healths.restore((await this.#healthCheckpoint.load()) ?? {});
    this.#slices.start();
    this.#timer = this.#deps.clock.every(reconcileMs, () => this.reconcile());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort(new Error("the kubelet is stopping"));
    await this.#reconciling;
    await this.#stops.stop();
  }

  /** For drivers that are found by their socket in plugins_registry. */
  get pluginHandler(): PluginHandler {
    return this.#plugins.handler;
  }

  #inUse(): { readonly total: number; readonly byDriver: ReadonlyMap<string, number> } {
    const byDriver = new Map<string, number>();
    const prepared = [...this.#claims.values()].filter(({ isPrepared }) => isPrepared);
    for (const { drivers } of prepared) for (const driver of drivers.keys()) byDriver.set(driver, (byDriver.get(driver) ?? 0) + 1);
    return { total: prepared.length, byDriver };
  }

  // ---- before a pod starts

  /** Throws an Error whose message the pod's event shows. */
  async prepare(pod: Pod, signal: AbortSignal): Promise<void> {
    if (!usesClaims(pod)) return;
    const names = claimNamesOf(pod, { strict: true });
    const keys = names.map((name) => `${pod.metadata.namespace}/${name}`);
    await this.#timed("PrepareResources", () => this.#locks.with(keys, () => this.#prepare(pod, signal)));
  }

  async #timed(operation: string, work: () => Promise<void>): Promise<void> {
    const { clock } = this.#deps;
    const begunMs = clock.monotonic();
    const count = (isError: boolean): void =>
      this.#metrics.operations.series(operation, String(isError)).observe((clock.monotonic() - begunMs) / 1000);
    try {
      await work();
    } catch (error) {
      count(true);
      throw error;
    }
    count(false);
  }

  async #prepare(pod: Pod, signal: AbortSignal): Promise<void> {
    // Nothing is noted before everything has been found: a pod that fails here leaves nothing to be undone.
    const found: { readonly claim: ResourceClaim; readonly plugins: ReadonlyMap<string, DraPlugin> }[] = [];
    for (const claim of await this.#fetchClaims(pod, signal)) {
      const drivers = [...PreparedClaim.of(claim).drivers.keys()];
      found.push({ claim, plugins: new Map(drivers.map((driver) => [driver, this.#plugins.get(driver)])) });
    }
    const batches = new Map<DraPlugin, PreparedClaim[]>();
    for (const { claim, plugins } of found) {
      const known = this.#noteUse(claim, pod.metadata.uid);
      if (known.isPrepared) continue;
      for (const plugin of plugins.values()) batches.set(plugin, [...(batches.get(plugin) ?? []), known]);
    }
    await this.#save();
    for (const [plugin, claims] of batches) await this.#prepareBy(plugin, claims, signal);
    for (const claim of new Set([...batches.values()].flat())) claim.isPrepared = true;
    // Claims without devices have nobody to ask.
    for (const { claim } of found) this.#noteUse(claim, pod.metadata.uid).isPrepared = true;
    await this.#save();
  }

  async #fetchClaims(pod: Pod, signal: AbortSignal): Promise<readonly ResourceClaim[]> {
    const { namespace, name: podName, uid } = pod.metadata;
    const claims: ResourceClaim[] = [];
    for (const each of podClaims(pod)) {
      const found = podClaimOf(pod, each);
      if (found.kind !== "named") continue;
      let claim: ResourceClaim;
      try {
        claim = await this.#deps.client.get(resourceclaims, { namespace, name: found.name }, { signal });
      } catch (error) {
        throw new Error(`fetch ResourceClaim ${found.name}: ${errorText(error)}`, { cause: error });
      }
      if (!isUsable(claim, pod, found))
        throw new Error(`ResourceClaim ${namespace}/${found.name} was not created for Pod ${namespace}/${podName} (Pod is not owner)`);
      if (!isReservedFor(claim, pod))
        throw new Error(`pod ${podName} (${uid}) is not allowed to use ResourceClaim ${found.name} (${claim.metadata.uid})`);
      claims.push(claim);
    }
    return claims;
  }

  #noteUse(claim: ResourceClaim, podUid: string): PreparedClaim {
    const { namespace, name, uid } = claim.metadata;
    const key = `${namespace}/${name}`;
    const known = this.#claims.get(key) ?? PreparedClaim.of(claim);
    if (known.uid !== uid)
      throw new Error(
        `old ResourceClaim with same name ${name} and different UID ${known.uid} still exists (previous pod force-deleted?!)`,
      );
    known.pods.add(podUid);
    this.#claims.set(key, known);
    return known;
  }

  async #prepareBy(plugin: DraPlugin, claims: readonly PreparedClaim[], signal: AbortSignal): Promise<void> {
    const answers = await plugin.prepare(claims.map(wireClaim), signal);
    const byUid = requireAll("NodePrepareResources", claims, answers);
    for (const [uid, { devices }] of Object.entries(answers)) byUid.get(uid)?.drivers.set(plugin.driver, devices.map(stateOf));
  }

  // ---- when a pod has ended

  /** Throws when a driver cannot undo it now. */
  async unprepare(pod: Pod): Promise<void> {
    const { uid, namespace } = pod.metadata;
    if (!usesClaims(pod) && !this.#mayUse(uid)) return;
    const keys = claimNamesOf(pod).map((name) => `${namespace}/${name}`);
    await this.#timed("UnprepareResources", () => this.#release(uid, keys));
  }

  #mayUse(podUid: string): boolean {
    return [...this.#claims.values()].some(({ pods }) => pods.has(podUid));
  }

  #release(podUid: string, keys: readonly string[]): Promise<void> {
    return this.#locks.with(keys, async () => {
      const batches = new Map<string, PreparedClaim[]>();
      const last: string[] = [];
      for (const key of keys) {
        const claim = this.#claims.get(key);
        if (!claim?.pods.has(podUid)) continue;
        if (claim.pods.size > 1) {
          claim.pods.delete(podUid);
          continue;
        }
        last.push(key);
        for (const driver of claim.drivers.keys()) batches.set(driver, [...(batches.get(driver) ?? []), claim]);
      }
      for (const [driver, claims] of batches) {
        const answers = await this.#plugins.get(driver).unprepare(claims.map(wireClaim), this.#abort.signal);
        requireAll("NodeUnprepareResources", claims, answers);
      }
      for (const key of last) this.#claims.delete(key);
      await this.#save();
    });
  }

  /** Undoes it for pods that went while no kubelet ran, or whose driver was away. Runs by itself every minute. */
  reconcile(): void {
    this.#reconciling = this.#reconciling.then(() => this.#reconcile());
  }

  async #reconcile(): Promise<void> {
    const { isActive, logger } = this.#deps;
    const gone = new Map<string, string[]>();
    for (const [key, { pods }] of this.#claims)
      for (const uid of pods) if (isActive(uid) === false) gone.set(uid, [...(gone.get(uid) ?? []), key]);
    for (const [podUid, keys] of gone) {
      try {
        await this.#release(podUid, keys);
      } catch (error) {
        if (!this.#abort.signal.aborted)
          logger.info("Unpreparing pod resources in reconcile loop failed, will retry", { podUid, error: errorText(error) });
      }
    }
  }

  async #save(): Promise<void> {
    this.#checkpoint.touch({ now: true });
    await this.#checkpoint.flush();
  }

  // ---- what containers get

  /** Throws an Error whose message the container's status shows. */
  cdiDevices(pod: Pod, container: Container): readonly Input<CDIDevice>[] {
    const ids = new Set<string>();
    for (const { claimName, request } of claimsOfContainer(pod, container)) {
      const claim = this.#claims.get(`${pod.metadata.namespace}/${claimName}`);
      if (!claim) {
        const where = `ResourceClaim ${claimName} in namespace ${pod.metadata.namespace}`;
        throw new Error(`internal error: unable to get claim info for ${where}`);
      }
      for (const { device } of claim.devicesFor(request)) for (const id of device.CDIDeviceIDs ?? []) ids.add(id);
    }
    return [...ids].map((name) => ({ name }));
  }

  /** For the pod-resources API. */
  dynamicResources(pod: Pod, container: Container): readonly Input<DynamicResource>[] {
    const names = new Set(claimsOfContainer(pod, container).map(({ claimName }) => claimName));
    return [...names].flatMap((claimName) => {
      const claim = this.#claims.get(`${pod.metadata.namespace}/${claimName}`);
      if (!claim) return [];
      const claimResources = claim.devicesFor(undefined).map(({ driver, device }) => ({
        cdiDevices: (device.CDIDeviceIDs ?? []).map((name) => ({ name })),
        ...{ driverName: driver, poolName: device.PoolName, deviceName: device.DeviceName },
        ...(device.ShareID === null ? {} : { shareId: device.ShareID }),
      }));
      return [{ claimName, claimNamespace: claim.namespace, claimResources }];
    });
  }

  /** For the container's status: of the claims that it names itself. */
  healthOf(pod: Pod, containerName: string): readonly ResourceStatus[] {
    const container = pod.spec.containers.find(({ name }) => name === containerName);
    return (container?.resources?.claims ?? []).flatMap(({ name, request }) => {
      const [found] = claimsOfContainer(pod, { ...container, name: containerName, resources: { claims: [{ name }] } });
      const claim = found && this.#claims.get(`${pod.metadata.namespace}/${found.claimName}`);
      if (!claim) return [];
      const byId = new Map<string, ResourceStatus["resources"] extends readonly (infer R)[] | undefined ? R : never>();
      for (const { driver, device } of claim.devicesFor(request)) {
        const { PoolName, DeviceName, CDIDeviceIDs } = device;
        const resourceID = CDIDeviceIDs?.[0] ?? `${driver}/${PoolName}/${DeviceName}`;
        if (!byId.has(resourceID)) byId.set(resourceID, { resourceID, ...this.#healths.of(driver, PoolName, DeviceName) });
      }
      return byId.size === 0 ? [] : [{ name: request ? `claim:${name}/${request}` : `claim:${name}`, resources: [...byId.values()] }];
    });
  }

  #healthTold(driver: string, devices: readonly DeviceHealth[]): void {
    const changed = this.#healths.told(driver, devices);
    if (changed.size === 0) return;
    this.#healthCheckpoint.touch();
    this.#wakePodsOf(driver, (device) => changed.has(`${device.PoolName}/${device.DeviceName}`));
  }

  #healthLost(driver: string): void {
    if (!this.#healths.forget(driver)) return;
    this.#healthCheckpoint.touch();
    this.#wakePodsOf(driver, () => true);
  }

  #wakePodsOf(driver: string, concerns: (device: PreparedDevice) => boolean): void {
    const pods = [...this.#claims.values()]
      .filter((claim) => claim.drivers.get(driver)?.some(concerns))
      .flatMap((claim) => [...claim.pods]);
    for (const uid of new Set(pods)) this.#deps.onPodChange(uid);
  }
}

const usesClaims = ({ spec, status }: Pod): boolean =>
  (spec.resourceClaims ?? []).length > 0 || status?.extendedResourceClaimStatus !== undefined;

/** That for extended resources among them. */
function podClaims({ spec, status }: Pod): readonly PodResourceClaim[] {
  const extended = status?.extendedResourceClaimStatus?.resourceClaimName;
  return [...(spec.resourceClaims ?? []), ...(extended === undefined ? [] : [{ name: "", resourceClaimName: extended }])];
}

/** `strict`: throws when a claim has not been made yet. */
function claimNamesOf(pod: Pod, { strict = false }: { readonly strict?: boolean } = {}): readonly string[] {
  const names = podClaims(pod).flatMap((each) => {
    const found = podClaimOf(pod, each);
    if (found.kind === "missing" && strict) {
      const { namespace, name } = pod.metadata;
      throw new Error(`pod "${namespace}/${name}": ResourceClaim not created yet`);
    }
    return found.kind === "named" ? [found.name] : [];
  });
  return [...new Set(names)];
}

const wireClaim = ({ namespace, uid, name }: PreparedClaim): Claim => ({ namespace, uid, name });

const stateOf = ({ poolName, deviceName, shareId, requestNames, cdiDeviceIds }: Device): PreparedDevice => ({
  PoolName: poolName,
  DeviceName: deviceName,
  ShareID: shareId ?? null,
  RequestNames: requestNames.length > 0 ? requestNames : null,
  CDIDeviceIDs: cdiDeviceIds.length > 0 ? cdiDeviceIds : null,
});

/** A driver has to answer for each claim that it was asked for, and for no other. */
function requireAll(
  method: string,
  claims: readonly PreparedClaim[],
  answers: Readonly<Record<string, { readonly error: string }>>,
): ReadonlyMap<string, PreparedClaim> {
  const byUid = new Map(claims.map((claim) => [claim.uid, claim]));
  for (const [uid, { error }] of Object.entries(answers)) {
    const claim = byUid.get(uid);
    if (!claim) throw new Error(`${method} returned result for unknown claim UID ${uid}`);
    if (error !== "") throw new Error(`${method} failed for ResourceClaim ${claim.name}: ${error}`);
  }
  const skipped = byUid.size - Object.keys(answers).length;
  if (skipped !== 0) throw new Error(`${method} skipped ${skipped} ResourceClaims`);
  return byUid;
}
