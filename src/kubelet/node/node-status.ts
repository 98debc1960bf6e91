// The node's object as the kubelet writes it: capacity and what of it pods may use, addresses, versions, images, and the
// conditions MemoryPressure, DiskPressure, PIDPressure and Ready with upstream's reasons and messages. Pure: from what was
// read to what is to be reported.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { parseQuantity, quantityOf } from "../../api/meta/quantity.ts";
import type {
  ContainerImage,
  Node,
  NodeAddress,
  NodeCondition,
  NodeFeatures,
  NodeRuntimeHandler,
  NodeStatus,
  Taint,
} from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { type HugePages, hugePagesResource } from "../../linux/huge-pages.ts";
import type { HostAddress, SystemInfo } from "../../linux/system-info.ts";
import type { NodeDevices } from "../devices/device-inventory.ts";
import type { PressureCondition } from "../eviction/thresholds.ts";
import { allocatableOf, type Reservations } from "./node-allocatable.ts";

/** What a node is made of, read once at the start. */
export interface NodeFacts {
  readonly name: string;
  readonly hostname: string;
  readonly system: SystemInfo;
  readonly addresses: readonly HostAddress[];
  /** Of the file system with the kubelet's data, in bytes. */
  readonly diskBytes: number;
  /** The kernel enforces AppArmor profiles. */
  readonly appArmor: boolean;
  /** Default none. */
  readonly hugePages?: readonly HugePages[];
}

export interface NodeConfig {
  readonly kubeletVersion: string;
  readonly maxPods: number;
  /** The kubelet's own HTTPS port. */
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  readonly unschedulable: boolean;
  readonly reservations: Reservations;
  /** Pods for each CPU; 0 for no limit of this kind. */
  readonly podsPerCore: number;
  /** Empty for none. */
  readonly providerID: string;
  /** Whether the node's object is made here. */
  readonly register: boolean;
  /** How often the status is computed, and written when nothing has changed. */
  readonly statusUpdateMs: number;
  readonly statusReportMs: number;
  /** In the status; -1 for all. */
  readonly maxImages: number;
  /** What this kubelet can do that an older one may not, sorted (the gate NodeDeclaredFeatures). Default: nothing is told. */
  readonly declaredFeatures?: readonly string[];
  /** Whether volumes are attached by the cluster's controller. Default true. */
  readonly controllerAttaches?: boolean;
  /** A cloud's controller says what the node is, before pods may come. Default false. */
  readonly externalCloud?: boolean;
  /** The addresses were given, not found. Default false. */
  readonly addressesGiven?: boolean;
}

/** What may change while the node runs. */
export interface NodeObservation {
  readonly runtimeName: string;
  readonly runtimeVersion: string;
  readonly runtimeHandlers: readonly NodeRuntimeHandler[];
  readonly features?: NodeFeatures | undefined;
  readonly images: readonly ContainerImage[];
  readonly pressure: readonly PressureCondition[];
  /** Of plugins. */
  readonly devices?: NodeDevices | undefined;
  /** Why the node is not ready; empty when it is. */
  readonly problems: readonly string[];
}

export function newNode(
  facts: NodeFacts,
  config: NodeConfig,
  status: NodeStatus,
): Omit<Node, "metadata"> & { readonly metadata: { readonly name: string } } {
  const taints = config.externalCloud ? [...config.taints, uninitialized] : config.taints;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: facts.name,
      labels: nodeLabels(facts, config),
      annotations: nodeAnnotations(facts, config),
    } as { readonly name: string },
    spec: {
      ...(taints.length > 0 ? { taints } : {}),
      ...(config.unschedulable ? { unschedulable: true } : {}),
      ...(config.providerID === "" ? {} : { providerID: config.providerID }),
    },
    status,
  };
}

/** Until a cloud's controller has said what the node is. */
const uninitialized: Taint = { key: "node.cloudprovider.kubernetes.io/uninitialized", value: "true", effect: "NoSchedule" };

export const attachAnnotation = "volumes.kubernetes.io/controller-managed-attach-detach";
export const providedAddresses = "alpha.kubernetes.io/provided-node-ip";

export function nodeAnnotations({ addresses }: NodeFacts, config: NodeConfig): Readonly<Record<string, string>> {
  return {
    ...(config.controllerAttaches === false ? {} : { [attachAnnotation]: "true" }),
    ...(config.externalCloud && config.addressesGiven ? { [providedAddresses]: addresses.map((a) => a.address).join(",") } : {}),
  };
}

const labelsOfMachine: readonly string[] = [
  ...["kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch"],
  ...["topology.kubernetes.io/zone", "topology.kubernetes.io/region", "node.kubernetes.io/instance-type"],
  ...["failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region", "beta.kubernetes.io/instance-type"],
];

/** What a node that is there already is told anew: labels that others may have changed since stay as they are. */
export function renewedMetadata(facts: NodeFacts, config: NodeConfig): unknown {
  const labels = Object.entries(nodeLabels(facts, config)).filter(([name, value]) => labelsOfMachine.includes(name) && value !== "");
  const annotations = { [attachAnnotation]: null, [providedAddresses]: null, ...nodeAnnotations(facts, config) };
  return { labels: Object.fromEntries(labels), annotations };
}

export function nodeLabels({ hostname, system }: NodeFacts, config: NodeConfig): Readonly<Record<string, string>> {
  return {
    "beta.kubernetes.io/arch": system.architecture,
    "beta.kubernetes.io/os": system.operatingSystem,
    "kubernetes.io/arch": system.architecture,
    "kubernetes.io/hostname": hostname,
    "kubernetes.io/os": system.operatingSystem,
    ...config.labels,
  };
}

export function nodeStatus(
  facts: NodeFacts,
  config: NodeConfig,
  seen: NodeObservation,
  previous: NodeStatus | undefined,
  nowMs: number,
): NodeStatus {
  const { system } = facts;
  return {
    addresses: addressesOf(facts, config, previous),
    ...withExtendedResources(nodeResources(facts, config), seen.devices, previous),
    conditions: nodeConditions(seen, previous?.conditions ?? [], formatTime(nowMs)),
    daemonEndpoints: { kubeletEndpoint: { Port: config.port } },
    images: seen.images,
    nodeInfo: {
      architecture: system.architecture,
      bootID: system.bootId,
      containerRuntimeVersion: `${seen.runtimeName}://${shownVersion(seen.runtimeVersion)}`,
      kernelVersion: system.kernelVersion,
      kubeProxyVersion: "",
      kubeletVersion: config.kubeletVersion,
      machineID: system.machineId,
      operatingSystem: system.operatingSystem,
      osImage: system.osImage,
      systemUUID: system.systemUuid,
      ...(system.swapBytes > 0 ? { swap: { capacity: system.swapBytes } } : {}),
    },
    ...(config.declaredFeatures ? { declaredFeatures: config.declaredFeatures } : {}),
    ...(seen.features ? { features: seen.features } : {}),
    ...(seen.runtimeHandlers.length > 0 ? { runtimeHandlers: seen.runtimeHandlers } : {}),
  };
}

/** A semantic version as it is, of any other the numbers it begins with. */
function shownVersion(version: string): string {
  const [, numbers = "", rest = ""] = /^\s*v?(\d+(?:\.\d+)+)(.*)$/s.exec(version) ?? [];
  if (numbers === "") return version;
  const isSemantic = /^\d+\.\d+\.\d+$/.test(numbers) && /^(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\s*$/.test(rest);
  return isSemantic ? `${numbers}${rest.trim()}` : numbers;
}

/** A cloud's controller has the last word on them, and the only one where none were given. */
function addressesOf(facts: NodeFacts, config: NodeConfig, previous: NodeStatus | undefined): readonly NodeAddress[] {
  if (config.externalCloud && previous?.addresses?.length) return previous.addresses;
  if (config.externalCloud && !config.addressesGiven) return [{ type: "Hostname", address: facts.hostname }];
  return nodeAddresses(facts);
}

/** Whether two statuses differ in more than their heartbeats. */
export function nodeStatusChanged(before: NodeStatus | undefined, after: NodeStatus): boolean {
  const quiet = (status: NodeStatus | undefined): unknown => ({
    ...status,
    conditions: status?.conditions?.map(({ lastHeartbeatTime: _time, ...rest }) => rest),
  });
  return !semanticallyEqual(quiet(before), quiet(after));
}

export function nodeAddresses({ hostname, addresses }: NodeFacts): readonly NodeAddress[] {
  return [...addresses.map((a) => ({ type: "InternalIP", address: a.address })), { type: "Hostname", address: hostname }];
}

export function nodeResources(
  { system, diskBytes, hugePages = [] }: NodeFacts,
  config: NodeConfig,
): Pick<NodeStatus, "capacity" | "allocatable"> {
  const kibi = (bytes: number): string => `${Math.floor(bytes / 1024)}Ki`;
  const capacity = {
    cpu: String(system.cpus),
    "ephemeral-storage": kibi(diskBytes),
    memory: kibi(system.memoryBytes),
    pods: String(config.podsPerCore > 0 ? Math.min(config.maxPods, config.podsPerCore * system.cpus) : config.maxPods),
  };
  const huge = Object.fromEntries(
    hugePages.map((h) => [hugePagesResource(h.pageBytes), quantityOf(h.pageBytes * h.pages, "BinarySI").toString()]),
  );
  const hugeBytes = hugePages.reduce((sum, h) => sum + h.pageBytes * h.pages, 0);
  const allocatable = allocatableOf(capacity, config.reservations);
  return {
    capacity: { ...capacity, ...huge },
    // What is set aside as huge pages is nobody's ordinary memory.
    allocatable: { ...allocatable, ...huge, memory: lessBytes(allocatable.memory ?? "0", hugeBytes) },
  };
}

function lessBytes(memory: string, bytes: number): string {
  if (bytes === 0) return memory;
  const left = parseQuantity(memory).sub(quantityOf(bytes, "BinarySI"));
  return left.sign < 0 ? "0" : left.toString();
}

/**
 * What plugins have, and what others have written into the node's capacity: that is all for pods. A resource nobody counts
 * any more stays as it was last written.
 */
function withExtendedResources(
  { capacity, allocatable }: Pick<NodeStatus, "capacity" | "allocatable">,
  devices: NodeDevices | undefined,
  previous: NodeStatus | undefined,
): Pick<NodeStatus, "capacity" | "allocatable"> {
  const others = Object.fromEntries(Object.entries(previous?.capacity ?? {}).filter(([name]) => name.includes("/")));
  return {
    capacity: { ...others, ...capacity, ...devices?.capacity },
    allocatable: { ...others, ...allocatable, ...devices?.allocatable },
  };
}

function nodeConditions(seen: NodeObservation, previous: readonly NodeCondition[], now: string): readonly NodeCondition[] {
  const make = (type: string, status: boolean, reason: string, message: string): NodeCondition => {
    const before = previous.find((c) => c.type === type);
    const text = status ? "True" : "False";
    const lastTransitionTime = before?.status === text ? before.lastTransitionTime : undefined;
    return { type, status: text, lastHeartbeatTime: now, lastTransitionTime: lastTransitionTime ?? now, reason, message };
  };
  const [memory, disk, pid] = (["MemoryPressure", "DiskPressure", "PIDPressure"] as const).map((c) => seen.pressure.includes(c));
  const ready = seen.problems.length === 0;
  const [only] = seen.problems;
  const why = seen.problems.length === 1 ? (only ?? "") : `[${seen.problems.join(", ")}]`;
  return [
    memory
      ? make("MemoryPressure", true, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
      : make("MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    disk
      ? make("DiskPressure", true, "KubeletHasDiskPressure", "kubelet has disk pressure")
      : make("DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    pid
      ? make("PIDPressure", true, "KubeletHasInsufficientPID", "kubelet has insufficient PID available")
      : make("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ready ? make("Ready", true, "KubeletReady", "kubelet is posting ready status") : make("Ready", false, "KubeletNotReady", why),
  ];
}

/** The events upstream records when a condition changes, by the condition's new state. */
export function conditionEvent(condition: NodeCondition): string | undefined {
  const on = condition.status === "True";
  switch (condition.type) {
    case "Ready":
      return on ? "NodeReady" : "NodeNotReady";
    case "MemoryPressure":
      return on ? "NodeHasInsufficientMemory" : "NodeHasSufficientMemory";
    case "DiskPressure":
      return on ? "NodeHasDiskPressure" : "NodeHasNoDiskPressure";
    case "PIDPressure":
      return on ? "NodeHasInsufficientPID" : "NodeHasSufficientPID";
    default:
      return undefined;
  }
}
