// From IPPool objects to pools that can be used: parsed, with their defaults, and without those that cannot be: a range that is
// none, blocks that do not fit, or addresses that an older pool or somebody else has already. Pure.
import { cidrsOverlap, type ParsedCIDR, parseCIDR } from "../api/meta/ip.ts";
import type { Labels } from "../api/meta/selectors.ts";
import type { EncapsulationMode, IPPool } from "./resources.ts";
import { type LabelPredicate, parseSelector } from "./selector.ts";

export interface Pool {
  readonly name: string;
  readonly family: 4 | 6;
  readonly cidr: ParsedCIDR;
  /** Prefix length. */
  readonly blockSize: number;
  readonly encapsulation: Encapsulation;
  readonly natOutgoing: boolean;
  readonly exported: boolean;
  readonly forPods: boolean;
  readonly forTunnels: boolean;
  /** Whether it is only for pods that name it. */
  readonly onlyByName: boolean;
  readonly isDisabled: boolean;
  readonly selects: LabelPredicate;
}

/** "none": packets travel as they are. */
export interface Encapsulation {
  readonly by: "none" | "vxlan" | "ipip";
  /** Also between nodes on one link. */
  readonly always: boolean;
}

/** A range that no pool may have addresses of. */
export interface ReservedRange {
  readonly cidr: string;
  /** For a person: "the services' range". */
  readonly what: string;
}

export interface PoolSet {
  /** The oldest first. */
  readonly pools: readonly Pool[];
  /** Why a pool is not among them, by its name. */
  readonly problems: ReadonlyMap<string, string>;
}

const linkLocal: readonly ReservedRange[] = [
  { cidr: "169.254.0.0/16", what: "the link-local range" },
  { cidr: "fe80::/10", what: "the link-local range" },
];

const blockSizes = { 4: { min: 20, max: 32, absent: 26 }, 6: { min: 116, max: 128, absent: 122 } } as const;

export function poolsOf(objects: Iterable<IPPool>, reserved: readonly ReservedRange[] = []): PoolSet {
  const age = ({ metadata }: IPPool): string => `${metadata.creationTimestamp ?? ""} ${metadata.name}`;
  const pools: Pool[] = [];
  const problems = new Map<string, string>();
  for (const object of [...objects].sort((a, b) => (age(a) < age(b) ? -1 : 1))) {
    const { name } = object.metadata;
    try {
      pools.push(parsePool(object, pools, [...linkLocal, ...reserved]));
    } catch (error) {
      problems.set(name, error instanceof Error ? error.message : String(error));
    }
  }
  return { pools, problems };
}

/** Throws with the reason where it cannot be used. */
function parsePool({ metadata, spec }: IPPool, older: readonly Pool[], reserved: readonly ReservedRange[]): Pool {
  const cidr = parseCIDR(spec.cidr);
  if (!cidr) throw new Error(`spec.cidr: ${JSON.stringify(spec.cidr)} is no range of addresses`);
  const family = cidr.network.length === 4 ? 4 : 6;
  const { min, max, absent } = blockSizes[family];
  const blockSize = spec.blockSize ?? absent;
  if (!Number.isInteger(blockSize) || blockSize < min || blockSize > max)
    throw new Error(`spec.blockSize: expected ${min} to ${max} for IPv${family}, not ${blockSize}`);
  if (blockSize < cidr.prefixLength) throw new Error(`spec.cidr: ${cidr.canonical} has no room for a block of /${blockSize}`);
  const taken = older.find((other) => cidrsOverlap(other.cidr, cidr));
  if (taken) throw new Error(`spec.cidr: ${cidr.canonical} overlaps with ${taken.cidr.canonical} of the IP pool ${taken.name}`);
  for (const { cidr: range, what } of reserved) {
    const parsed = parseCIDR(range);
    if (parsed && cidrsOverlap(parsed, cidr)) throw new Error(`spec.cidr: ${cidr.canonical} overlaps with ${what}, ${range}`);
  }
  const uses = spec.allowedUses?.length ? spec.allowedUses : ["Workload", "Tunnel"];
  return {
    ...{ name: metadata.name, family, cidr, blockSize, encapsulation: encapsulationOf(spec, family) },
    natOutgoing: spec.natOutgoing ?? spec["nat-outgoing"] ?? false,
    exported: spec.disableBGPExport !== true,
    forPods: uses.includes("Workload"),
    forTunnels: uses.includes("Tunnel"),
    onlyByName: spec.assignmentMode === "Manual",
    isDisabled: spec.disabled === true,
    selects: selectorOf(spec.nodeSelector ?? ""),
  };
}

function encapsulationOf(spec: IPPool["spec"], family: 4 | 6): Encapsulation {
  const old: EncapsulationMode = !spec.ipip?.enabled ? "Never" : spec.ipip.mode === "cross-subnet" ? "CrossSubnet" : "Always";
  const ipip = spec.ipipMode && spec.ipipMode !== "Never" ? spec.ipipMode : old;
  const vxlan = spec.vxlanMode ?? "Never";
  if (ipip !== "Never" && vxlan !== "Never") throw new Error("spec: ipipMode and vxlanMode exclude each other");
  if (ipip !== "Never" && family === 6) throw new Error("spec.ipipMode: IPIP is for IPv4; use vxlanMode");
  if (ipip !== "Never") return { by: "ipip", always: ipip === "Always" };
  return vxlan === "Never" ? { by: "none", always: false } : { by: "vxlan", always: vxlan === "Always" };
}

function selectorOf(text: string): LabelPredicate {
  try {
    return parseSelector(text);
  } catch (error) {
    throw new Error(`spec.nodeSelector: ${error instanceof Error ? error.message : error}`);
  }
}

export interface PoolWish {
  readonly family: 4 | 6;
  readonly nodeLabels: Labels;
  readonly use: "pod" | "tunnel";
  /** Pools by name or range, in the order in which they are tried; as pod annotations have them. Default all that are for the node. */
  readonly named?: readonly string[];
}

/** Those from which a node gives out addresses, in the order in which they are tried. Throws where a named one cannot be used. */
export function eligiblePools(pools: readonly Pool[], { family, nodeLabels, use, named }: PoolWish): readonly Pool[] {
  const usable = (pool: Pool): boolean =>
    pool.family === family && !pool.isDisabled && (use === "pod" ? pool.forPods : pool.forTunnels) && pool.selects(nodeLabels);
  if (named === undefined) return pools.filter((pool) => !pool.onlyByName && usable(pool));
  return named.map((text) => {
    const pool = pools.find(({ name, cidr }) => name === text || cidr.canonical === text);
    if (!pool) throw new Error(`there is no IP pool ${JSON.stringify(text)}, or it cannot be used`);
    if (!usable(pool)) throw new Error(`the IP pool ${pool.name} is disabled, not for this node, or not of IPv${family}`);
    return pool;
  });
}
