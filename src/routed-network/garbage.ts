// What has been given out and is nobody's any more. Pure: from the objects, and from what has looked like garbage before, to what
// is to be given back now. Something has to look like garbage for a while: pods are seen later than their addresses, and a node
// whose object was deleted may come back.

import { parseIP } from "../api/meta/ip.ts";
import { isPodTerminal } from "../api/semantics/pod-status.ts";
import type { Pod } from "../api/types/core-v1.ts";
import { type Allocation, allocationsOf, isEmpty, nodeOfBlock } from "./block.ts";
import type { BlockAffinity, IPAMBlock, IPAMHandle } from "./resources.ts";

export interface GarbageInput {
  /** Names of the nodes there are. */
  readonly nodes: ReadonlySet<string>;
  /** By "namespace/name". */
  readonly podOf: (key: string) => Pod | undefined;
  readonly blocks: readonly IPAMBlock[];
  readonly affinities: readonly BlockAffinity[];
  readonly handles: readonly IPAMHandle[];
  /** Since when things look like garbage, as of the last time. */
  readonly suspects: ReadonlyMap<string, number>;
  readonly nowMs: number;
}

export interface GarbagePlan {
  readonly blocks: readonly BlockAction[];
  readonly affinities: readonly BlockAffinity[];
  readonly handles: readonly IPAMHandle[];
  readonly suspects: ReadonlyMap<string, number>;
}

export interface BlockAction {
  readonly block: IPAMBlock;
  /** Places of addresses to give back. */
  readonly release: readonly number[];
  /** The block is then no node's. */
  readonly orphan: boolean;
  /** And then nobody needs it. */
  readonly remove: boolean;
}

/** Of addresses of pods that are not there, and of other single things. */
export const leakGraceMs = 5 * 60_000;
/** Of everything of a node that is not there. */
export const nodeGraceMs = 5_000;

export function planGarbage(input: GarbageInput): GarbagePlan {
  const { nodes, suspects, nowMs } = input;
  const next = new Map<string, number>();
  const isRipe = (key: string, graceMs: number): boolean => {
    const since = suspects.get(key) ?? nowMs;
    next.set(key, since);
    return nowMs - since >= graceMs;
  };
  const isNodeGone = (name: string | undefined): boolean => name !== undefined && !nodes.has(name) && isRipe(`node ${name}`, nodeGraceMs);
  const spare = new Set<string>();
  const blocks: BlockAction[] = [];
  for (const block of [...input.blocks].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    const { spec, metadata } = block;
    const release = allocationsOf(spec).flatMap((each) => {
      const leaked = isNodeGone(each.secondary.node) || (isLeaked(each, input) && isRipe(`${each.address} ${each.handleId}`, leakGraceMs));
      return leaked ? [each.place] : [];
    });
    const owner = nodeOfBlock(spec);
    const orphan = isNodeGone(owner);
    const empty = allocationsOf(spec).length === release.length;
    const remove = empty && (owner === undefined || orphan || isSpare(block, spare, () => isRipe(`block ${metadata.name}`, leakGraceMs)));
    if (release.length > 0 || orphan || remove) blocks.push({ block, release, orphan: orphan || remove, remove });
  }
  const kept = new Set(input.blocks.filter((b) => !blocks.some(({ block, orphan }) => block === b && orphan)).map(ownership));
  return {
    blocks,
    affinities: input.affinities.filter((affinity) => {
      const { node, cidr } = affinity.spec;
      if (isNodeGone(node) || blocks.some(({ block, orphan }) => orphan && ownership(block) === `${node} ${cidr}`)) return true;
      return !kept.has(`${node} ${cidr}`) && isRipe(`affinity ${affinity.metadata.name}`, leakGraceMs);
    }),
    handles: unusedHandles(input).filter(({ metadata }) => isRipe(`handle ${metadata.name}`, leakGraceMs)),
    suspects: next,
  };
}

const ownership = ({ spec }: IPAMBlock): string => `${nodeOfBlock(spec) ?? ""} ${spec.cidr}`;

/** A node keeps one empty block of each family, so that the next pod finds one. */
function isSpare({ spec }: IPAMBlock, seen: Set<string>, isRipe: () => boolean): boolean {
  if (!isEmpty(spec)) return false;
  const kind = `${spec.affinity} ${spec.cidr.includes(":") ? 6 : 4}`;
  if (seen.has(kind)) return isRipe();
  seen.add(kind);
  return false;
}

/** Whether the pod that has the address is not there, or has another one. What is not a pod's is left to its node. */
function isLeaked({ address, secondary }: Allocation, { podOf }: GarbageInput): boolean {
  const { namespace, pod: name, node } = secondary;
  if (namespace === undefined || name === undefined) return false;
  const pod = podOf(`${namespace}/${name}`);
  if (!pod || pod.spec?.nodeName !== node || isPodTerminal(pod)) return true;
  const reported = (pod.status?.podIPs ?? []).flatMap(({ ip }) => parseIP(ip ?? "")?.canonical ?? []);
  return reported.length > 0 && !reported.includes(address);
}

/** Handles whose addresses have been given back. */
function unusedHandles({ handles, blocks }: GarbageInput): readonly IPAMHandle[] {
  const used = new Set(blocks.flatMap(({ spec }) => spec.attributes.flatMap(({ handle_id: id }) => id ?? [])));
  return handles.filter(({ spec }) => !used.has(spec.handleID));
}
