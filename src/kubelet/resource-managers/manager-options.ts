// What a kubelet can be told about its managers of resources, with the names and defaults of KubeletConfiguration, and what of
// that cannot be.
import { type TopologyPolicy, topologyPolicies } from "./topology-hints.ts";

export interface ResourceManagerOptions {
  /** "none", or "static": guaranteed containers that ask for whole CPUs have them for themselves. Default "none". */
  readonly cpuManagerPolicy?: string;
  /** "full-pcpus-only" and "strict-cpu-reservation", each "true" or "false". Default none. */
  readonly cpuManagerPolicyOptions?: Readonly<Record<string, string>>;
  /** How often the CPUs of running containers are compared with what they shall have. Default 10 s. */
  readonly cpuManagerReconcilePeriodMs?: number;
  /** CPUs nobody gets for himself: "0,4-5". Default the lowest, as many as systemReserved and kubeReserved have of cpu. */
  readonly reservedSystemCPUs?: string;
  /** "None". Static memory is not given. */
  readonly memoryManagerPolicy?: string;
  /** "none", "best-effort", "restricted" or "single-numa-node". Default "none". */
  readonly topologyManagerPolicy?: string;
  /** "container" or "pod". Default "container". */
  readonly topologyManagerScope?: string;
  /** None of them is supported. */
  readonly topologyManagerPolicyOptions?: Readonly<Record<string, string>>;
}

export interface CpuPolicy {
  readonly policy: "none" | "static";
  readonly fullPcpusOnly: boolean;
  readonly strictReservation: boolean;
  readonly reconcilePeriodMs: number;
  readonly reservedSystemCPUs: string;
}

export interface ResourceManagers {
  readonly cpu: CpuPolicy;
  readonly topology: TopologyPolicy;
  readonly scope: "container" | "pod";
}

const alphaCpuOptions = ["align-by-socket", "distribute-cpus-across-cores"];
const missingCpuOptions = ["distribute-cpus-across-numa", "prefer-align-cpus-by-uncorecache"];

/** Throws for what is wrong, and for what this kubelet cannot do. */
export function resolveResourceManagers(options: ResourceManagerOptions): ResourceManagers {
  const {
    cpuManagerPolicy: policy = "none",
    topologyManagerPolicy: topology = "none",
    topologyManagerScope: scope = "container",
  } = options;
  if (policy !== "none" && policy !== "static") throw new Error(`unknown policy: ${JSON.stringify(policy)}`);
  const topologyPolicy = topologyPolicies.find((known) => known === topology);
  if (!topologyPolicy) throw new Error(`unknown policy: ${JSON.stringify(topology)}`);
  if (scope !== "container" && scope !== "pod") throw new Error(`unknown scope: ${JSON.stringify(scope)}`);
  const { memoryManagerPolicy = "None", topologyManagerPolicyOptions = {} } = options;
  if (memoryManagerPolicy !== "None")
    throw new Error(`kubelet options: memoryManagerPolicy ${JSON.stringify(memoryManagerPolicy)} is not supported, only "None"`);
  const [unsupported] = Object.keys(topologyManagerPolicyOptions);
  if (unsupported !== undefined)
    throw new Error(`kubelet options: the option ${JSON.stringify(unsupported)} of topologyManagerPolicyOptions is not supported`);
  const cpuOptions = resolveCpuOptions(policy, options.cpuManagerPolicyOptions ?? {});
  const { cpuManagerReconcilePeriodMs: reconcilePeriodMs = 10_000, reservedSystemCPUs = "" } = options;
  return { cpu: { policy, ...cpuOptions, reconcilePeriodMs, reservedSystemCPUs }, topology: topologyPolicy, scope };
}

function resolveCpuOptions(
  policy: string,
  given: Readonly<Record<string, string>>,
): Pick<CpuPolicy, "fullPcpusOnly" | "strictReservation"> {
  const known: Record<string, boolean> = { "full-pcpus-only": false, "strict-cpu-reservation": false };
  if (policy === "none" && Object.keys(given).length > 0)
    throw new Error(`None policy: received unsupported options=${JSON.stringify(given)}`);
  for (const [name, text] of Object.entries(given)) {
    if (alphaCpuOptions.includes(name))
      throw new Error(`CPU Manager Policy Alpha-level Options not enabled, but option ${JSON.stringify(name)} provided`);
    if (missingCpuOptions.includes(name))
      throw new Error(`kubelet options: the option ${JSON.stringify(name)} of cpuManagerPolicyOptions is not supported`);
    if (known[name] === undefined) throw new Error(`unknown CPU Manager Policy option: ${JSON.stringify(name)}`);
    if (text !== "true" && text !== "false")
      throw new Error(`bad value for option ${JSON.stringify(name)}: expected true or false, not ${JSON.stringify(text)}`);
    known[name] = text === "true";
  }
  return { fullPcpusOnly: known["full-pcpus-only"] === true, strictReservation: known["strict-cpu-reservation"] === true };
}
