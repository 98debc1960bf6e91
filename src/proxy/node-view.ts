// What the proxy takes from its own node object: where it is, how it is reached, and whether load balancers should still send
// to it.
import { parseIP } from "../api/meta/ip.ts";
import type { Node } from "../api/types/core-v1.ts";
import { type IpFamily, ipFamilies } from "../linux/packet-rules/rule-set.ts";
import { addressesOf } from "./service-port.ts";

export interface NodeView {
  readonly zone: string | undefined;
  readonly podCidrs: readonly string[];
  /** The primary address of each family the node has. */
  readonly addresses: Readonly<Partial<Record<IpFamily, string>>>;
}

const zoneLabel = "topology.kubernetes.io/zone";
const toBeDeletedTaint = "ToBeDeletedByClusterAutoscaler";

/** `bindAddress` stands for the node's address of its family, unless it means every one. */
export function viewOfNode(node: Node | undefined, bindAddress: string): NodeView {
  const listed = node?.status?.addresses ?? [];
  const ofType = (type: string): readonly string[] => listed.filter((a) => a.type === type).map(({ address }) => address);
  const all = [...ofType("InternalIP"), ...ofType("ExternalIP")];
  const bound = parseIP(bindAddress);
  const given = bound?.bytes.some((byte) => byte !== 0) ? [bindAddress] : [];
  const addresses = Object.fromEntries(
    ipFamilies.flatMap((family) => {
      const [first] = addressesOf([...given, ...all], family);
      return first === undefined ? [] : [[family, first]];
    }),
  );
  return { zone: node?.metadata.labels?.[zoneLabel], podCidrs: node?.spec?.podCIDRs ?? [], addresses };
}

/** Whether load balancers should send to the node: not when it is about to be deleted. */
export function isEligible(node: Node | undefined): boolean {
  if (!node || node.metadata.deletionTimestamp !== undefined) return false;
  return !(node.spec?.taints ?? []).some(({ key }) => key === toBeDeletedTaint);
}
