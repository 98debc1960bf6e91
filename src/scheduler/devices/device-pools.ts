// Pools of devices as one node sees them. A driver publishes a pool in one or several ResourceSlices of one generation; a
// pool is used when all slices of its newest generation are there, and only when they agree with each other. Pools are
// tried in the order of their drivers and names, slices and devices in theirs, so that drivers can say which devices
// should go first; pools with devices that have to be made ready before a pod can be bound come last.
import { compileNodeSelector, type NodeIdentity, type NodeMatcher } from "../../api/semantics/node-affinity.ts";
import type { NodeSelector } from "../../api/types/core-v1.ts";
import type { CounterSet, Device, ResourceSlice } from "../../api/types/resource-v1.ts";

/** One device of a slice. */
export interface PoolDevice {
  /** "driver/pool/device". */
  readonly id: string;
  readonly device: Device;
  readonly slice: ResourceSlice;
}

export interface DevicePool {
  /** "driver/pool". */
  readonly id: string;
  /** Incomplete: slices are missing, as while the driver replaces them. Invalid: they contradict each other. */
  readonly state: "usable" | "incomplete" | "invalid";
  /** Those that the node can use. */
  readonly devices: readonly PoolDevice[];
  /** The others, which use up counters of the pool all the same. */
  readonly elsewhere: readonly PoolDevice[];
  readonly counterSets: ReadonlyMap<string, CounterSet>;
}

export const poolIdOf = ({ spec }: ResourceSlice): string => `${spec.driver}/${spec.pool.name}`;

export const deviceId = (driver: string, pool: string, device: string): string => `${driver}/${pool}/${device}`;

/** `candidates`: slices that may concern the node; `slicesOf`: all slices of a pool, wherever their devices are. */
export function poolsFor(
  node: NodeIdentity,
  candidates: Iterable<ResourceSlice>,
  slicesOf: (poolId: string) => readonly ResourceSlice[],
): readonly DevicePool[] {
  const found = new Map<string, ResourceSlice[]>();
  for (const slice of candidates) if (concerns(slice, node)) keepNewest(found, slice);
  const pools: DevicePool[] = [];
  for (const [id, slices] of found) {
    const pool = poolOf(id, slices, { node, slicesOf });
    if (pool) pools.push(pool);
  }
  return pools.sort(bindingLast);
}

/** Sets of counters are needed on every node that has devices of the pool. */
function concerns({ spec }: ResourceSlice, node: NodeIdentity): boolean {
  if ((spec.sharedCounters ?? []).length > 0) return true;
  if (spec.nodeName || spec.allNodes || spec.nodeSelector) return isOn(spec, node);
  return spec.perDeviceNodeSelection === true && (spec.devices ?? []).some((device) => isOn(device, node));
}

interface Placed {
  readonly nodeName?: string;
  readonly allNodes?: boolean;
  readonly nodeSelector?: NodeSelector;
}

const matchers = new WeakMap<NodeSelector, NodeMatcher>();

function isOn({ nodeName, allNodes, nodeSelector }: Placed, node: NodeIdentity): boolean {
  if (nodeName) return nodeName === node.metadata.name;
  if (allNodes) return true;
  if (!nodeSelector) return false;
  let matcher = matchers.get(nodeSelector);
  if (!matcher) {
    matcher = compileNodeSelector(nodeSelector);
    matchers.set(nodeSelector, matcher);
  }
  return matcher(node);
}

function keepNewest(found: Map<string, ResourceSlice[]>, slice: ResourceSlice): void {
  const id = poolIdOf(slice);
  const known = found.get(id);
  const generation = known?.[0]?.spec.pool.generation ?? -1;
  if (slice.spec.pool.generation > generation) found.set(id, [slice]);
  else if (slice.spec.pool.generation === generation) known?.push(slice);
}

interface Place {
  readonly node: NodeIdentity;
  readonly slicesOf: (poolId: string) => readonly ResourceSlice[];
}

/** Undefined where what concerns the node is being replaced by slices that do not. */
function poolOf(id: string, concerning: readonly ResourceSlice[], { node, slicesOf }: Place): DevicePool | undefined {
  const { generation, resourceSliceCount } = concerning[0]?.spec.pool ?? { generation: 0, resourceSliceCount: 0 };
  const everywhere = slicesOf(id);
  if (everywhere.some(({ spec }) => spec.pool.generation > generation)) return undefined;
  const all = everywhere.filter(({ spec }) => spec.pool.generation === generation);
  if (all.length !== resourceSliceCount) return unusable(id, "incomplete");
  const ours = new Set(concerning);
  const ordered = [...concerning].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)).flatMap(devicesOf);
  const counterSets = new Map<string, CounterSet>();
  for (const set of concerning.flatMap(({ spec }) => spec.sharedCounters ?? [])) {
    if (counterSets.has(set.name)) return unusable(id, "invalid");
    counterSets.set(set.name, set);
  }
  const others = all.filter((slice) => !ours.has(slice)).flatMap(devicesOf);
  const names = new Set(ordered.map(({ id }) => id));
  const isSound = names.size === ordered.length && [...ordered, ...others].every(({ device }) => hasCounters(device, counterSets));
  if (!isSound) return unusable(id, "invalid");
  const here = (each: PoolDevice): boolean => each.slice.spec.perDeviceNodeSelection !== true || isOn(each.device, node);
  const elsewhere = [...ordered.filter((each) => !here(each)), ...others];
  return { id, state: "usable", devices: ordered.filter(here), elsewhere, counterSets };
}

const unusable = (id: string, state: "incomplete" | "invalid"): DevicePool => ({
  id,
  state,
  devices: [],
  elsewhere: [],
  counterSets: new Map(),
});

const known = new WeakMap<ResourceSlice, readonly PoolDevice[]>();

function devicesOf(slice: ResourceSlice): readonly PoolDevice[] {
  let devices = known.get(slice);
  if (!devices) {
    const { driver, pool } = slice.spec;
    devices = (slice.spec.devices ?? []).map((device) => ({ id: deviceId(driver, pool.name, device.name), device, slice }));
    known.set(slice, devices);
  }
  return devices;
}

const hasCounters = ({ consumesCounters = [] }: Device, sets: ReadonlyMap<string, CounterSet>): boolean =>
  consumesCounters.every(({ counterSet, counters }) => {
    const set = sets.get(counterSet);
    return set !== undefined && Object.keys(counters).every((name) => set.counters[name] !== undefined);
  });

function bindingLast(a: DevicePool, b: DevicePool): number {
  const [aBinds, bBinds] = [hasBinding(a), hasBinding(b)];
  if (aBinds !== bBinds) return aBinds ? 1 : -1;
  const [aDriver, bDriver] = [driverOf(a), driverOf(b)];
  if (aDriver !== bDriver) return aDriver < bDriver ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

const hasBinding = ({ devices }: DevicePool): boolean => devices.some(({ device }) => (device.bindingConditions ?? []).length > 0);
const driverOf = ({ id }: DevicePool): string => id.slice(0, id.indexOf("/"));
