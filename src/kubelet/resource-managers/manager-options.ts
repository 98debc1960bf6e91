// What a kubelet can be told about its managers of resources, with the names and defaults of KubeletConfiguration, and what of
// that upstream refuses, in its words.
import type { FeatureGates } from "../configuration/feature-gates.ts";
import { type TopologyPolicy, topologyPolicies } from "./topology-hints.ts";

/** Memory of one NUMA node that pods do not get. */
export interface MemoryReservation {
  readonly numaNode: number;
  /** "memory" and "hugepages-<size>" → quantity. */
  readonly limits: Readonly<Record<string, string>>;
}

export interface ResourceManagerOptions {
  /** "none", or "static": guaranteed containers that ask for whole CPUs have them for themselves. Default "none". */
  readonly cpuManagerPolicy?: string;
  /** Names of CpuOption, each "true" or "false". Default none. */
  readonly cpuManagerPolicyOptions?: Readonly<Record<string, string>>;
  /** How often the CPUs of running containers are compared with what they shall have. Default 10 s. */
  readonly cpuManagerReconcilePeriodMs?: number;
  /** CPUs nobody gets for himself: "0,4-5". Default the lowest, as many as systemReserved and kubeReserved have of cpu. */
  readonly reservedSystemCPUs?: string;
  /** "None", or "Static": guaranteed pods get their memory on as few NUMA nodes as possible. Default "None". */
  readonly memoryManagerPolicy?: string;
  /** With the policy Static: all that is reserved and the hard eviction threshold, node by node. */
  readonly reservedMemory?: readonly MemoryReservation[];
  /** "none", "best-effort", "restricted" or "single-numa-node". Default "none". */
  readonly topologyManagerPolicy?: string;
  /** "container" or "pod". Default "container". */
  readonly topologyManagerScope?: string;
  /** prefer-closest-numa-nodes: "true" or "false"; max-allowable-numa-nodes: a number. Default none. */
  readonly topologyManagerPolicyOptions?: Readonly<Record<string, string>>;
}

const cpuOptions = {
  "full-pcpus-only": "stable",
  "strict-cpu-reservation": "stable",
  "prefer-align-cpus-by-uncorecache": "stable",
  "distribute-cpus-across-numa": "beta",
  "align-by-socket": "alpha",
  "distribute-cpus-across-cores": "alpha",
} as const;

export type CpuOption = keyof typeof cpuOptions;

export interface CpuPolicy {
  readonly policy: "none" | "static";
  readonly options: ReadonlySet<CpuOption>;
  readonly reconcilePeriodMs: number;
  readonly reservedSystemCPUs: string;
}

export interface MemoryPolicy {
  readonly policy: "None" | "Static";
  readonly reserved: readonly MemoryReservation[];
}

export interface TopologySettings {
  readonly policy: TopologyPolicy;
  readonly scope: "container" | "pod";
  readonly preferClosest: boolean;
  /** Of a machine whose policy is not none: all their combinations are looked at. */
  readonly maxNumaNodes: number;
}

export interface ResourceManagers {
  readonly cpu: CpuPolicy;
  readonly memory: MemoryPolicy;
  readonly topology: TopologySettings;
}

const q = (text: string): string => JSON.stringify(text);
const defaultMaxNumaNodes = 8;

/** Throws for what is wrong. */
export function resolveResourceManagers(options: ResourceManagerOptions, gates: FeatureGates): ResourceManagers {
  const { cpuManagerPolicy: policy = "none", cpuManagerReconcilePeriodMs: reconcilePeriodMs = 10_000, reservedSystemCPUs = "" } = options;
  if (policy !== "none" && policy !== "static") throw new Error(`unknown policy: ${q(policy)}`);
  const topology = resolveTopology(options);
  const cpu: Pick<CpuPolicy, "policy" | "options"> = {
    policy,
    options: resolveCpuOptions(policy, options.cpuManagerPolicyOptions ?? {}, gates),
  };
  if (cpu.options.has("align-by-socket") && topology.policy === "single-numa-node")
    throw new Error(`Topolgy manager ${topology.policy} policy is incompatible with CPUManager align-by-socket policy option`);
  return { cpu: { ...cpu, reconcilePeriodMs, reservedSystemCPUs }, memory: resolveMemory(options), topology };
}

function resolveMemory({ memoryManagerPolicy: policy = "None", reservedMemory: reserved = [] }: ResourceManagerOptions): MemoryPolicy {
  if (policy === "BestEffort") throw new Error(`policy ${q(policy)} is not available for platform "linux"`);
  if (policy !== "None" && policy !== "Static") throw new Error(`unknown policy: ${q(policy)}`);
  return { policy, reserved };
}

function resolveTopology(options: ResourceManagerOptions): TopologySettings {
  const { topologyManagerPolicy: name = "none", topologyManagerScope: scope = "container" } = options;
  const policy = topologyPolicies.find((known) => known === name);
  if (!policy) throw new Error(`unknown policy: ${q(name)}`);
  if (scope !== "container" && scope !== "pod") throw new Error(`unknown scope: ${q(scope)}`);
  let [preferClosest, maxNumaNodes] = [false, defaultMaxNumaNodes];
  // Without a policy nobody asks for options.
  const given = policy === "none" ? {} : (options.topologyManagerPolicyOptions ?? {});
  for (const [option, text] of Object.entries(given)) {
    if (option === "prefer-closest-numa-nodes") preferClosest = parseBoolean(option, text);
    else if (option === "max-allowable-numa-nodes") maxNumaNodes = parseNodeCount(option, text);
    else throw new Error(`unknown Topology Manager Policy option: ${q(option)}`);
  }
  return { policy, scope, preferClosest, maxNumaNodes };
}

function parseNodeCount(option: string, text: string): number {
  if (!/^[+-]?\d+$/.test(text))
    throw new Error(`unable to convert policy option to integer ${q(option)}: strconv.Atoi: parsing ${q(text)}: invalid syntax`);
  const count = Number(text);
  if (count < defaultMaxNumaNodes) throw new Error(`the minimum value of ${q(option)} should not be less than ${defaultMaxNumaNodes}`);
  return count;
}

function parseBoolean(option: string, text: string): boolean {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  throw new Error(`bad value for option ${q(option)}: strconv.ParseBool: parsing ${q(text)}: invalid syntax`);
}

function resolveCpuOptions(policy: string, given: Readonly<Record<string, string>>, gates: FeatureGates): ReadonlySet<CpuOption> {
  if (policy === "none" && Object.keys(given).length > 0)
    throw new Error(`None policy: received unsupported options=${JSON.stringify(given)}`);
  const on = new Set<CpuOption>();
  for (const [name, text] of Object.entries(given)) {
    const option = (Object.keys(cpuOptions) as CpuOption[]).find((known) => known === name);
    if (!option) throw new Error(`unknown CPU Manager Policy option: ${q(name)}`);
    const level = cpuOptions[option];
    for (const [of, title] of [
      ["alpha", "Alpha"],
      ["beta", "Beta"],
    ] as const)
      if (level === of && !gates.enabled(`CPUManagerPolicy${title}Options`))
        throw new Error(`CPU Manager Policy ${title}-level Options not enabled, but option ${q(name)} provided`);
    if (parseBoolean(name, text)) on.add(option);
  }
  for (const [one, other] of exclusive)
    if (on.has(one) && on.has(other)) throw new Error(`static policy options ${one} and ${other} can not be used at the same time`);
  return on;
}

const exclusive: readonly (readonly [CpuOption, CpuOption])[] = [
  ["full-pcpus-only", "distribute-cpus-across-cores"],
  ["distribute-cpus-across-numa", "distribute-cpus-across-cores"],
  ["prefer-align-cpus-by-uncorecache", "distribute-cpus-across-cores"],
  ["prefer-align-cpus-by-uncorecache", "distribute-cpus-across-numa"],
];
