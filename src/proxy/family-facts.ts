// What the rules of one address family depend on besides services: how the proxy is set up, its node, and the ranges of
// cluster addresses.

import type { IpFamily } from "../linux/packet-rules/rule-set.ts";
import type { BaseFacts } from "./base-rules.ts";
import { type DetectLocal, localMatch } from "./detect-local.ts";
import { nodePortAddresses } from "./node-port-addresses.ts";
import type { NodeView } from "./node-view.ts";
import { addressesOf } from "./service-port.ts";
import type { RuleFacts } from "./service-rules.ts";

export interface FamilyFacts extends BaseFacts, RuleFacts {}

/** The part of the proxy's options that the rules show. */
export interface RuleOptions extends Pick<BaseFacts, "foreignInterfaces" | "opaqueBridge"> {
  readonly nodeName: string;
  readonly detectLocal: DetectLocal;
  readonly masqueradeAll: boolean;
  /** 0 to 31. */
  readonly masqueradeBit: number;
  /** "primary" alone, or ranges; none is every address. */
  readonly nodePortAddresses: readonly string[];
}

export interface FactSources {
  readonly options: RuleOptions;
  readonly node: NodeView;
  /** Of this machine's interfaces; asked for only where node ports answer in given ranges. */
  readonly local: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly sharesChoice: boolean;
}

export function familyFacts(family: IpFamily, { options, node, local, serviceCidrs, sharesChoice }: FactSources): FamilyFacts {
  const { nodeName, detectLocal, masqueradeAll, masqueradeBit, foreignInterfaces, opaqueBridge } = options;
  const match = localMatch(detectLocal, family, node.podCidrs);
  return {
    ...{ family, nodeName, masqueradeAll, zone: node.zone, nodeIP: node.addresses[family] },
    masqueradeMark: 2 ** masqueradeBit,
    sharesChoice,
    fromPods: match?.fromPods,
    notFromPods: match?.notFromPods,
    nodePortAddresses: nodePortAddresses({ wanted: options.nodePortAddresses, node, local }, family),
    serviceCidrs: serviceCidrs.filter((cidr) => addressesOf([cidr.slice(0, cidr.indexOf("/"))], family).length > 0),
    ...(foreignInterfaces ? { foreignInterfaces } : {}),
    ...(opaqueBridge === undefined ? {} : { opaqueBridge }),
  };
}

/** Whether no service's rules change with these facts. */
export function isSameForServices(before: FamilyFacts | undefined, after: FamilyFacts): boolean {
  if (before === undefined || before.sharesChoice !== after.sharesChoice) return false;
  return before.zone === after.zone && before.nodeIP === after.nodeIP && before.fromPods === after.fromPods;
}
