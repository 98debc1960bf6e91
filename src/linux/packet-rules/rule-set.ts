// What a table of a node's packet filter is to hold: chains with their rules, sets and maps with their elements, as plain
// values. Who wants a rule or an element is its owner: the node itself (the base chains), one service or one policy; a change
// of one owner touches only what is the owner's.

export type IpFamily = "IPv4" | "IPv6";

export const ipFamilies: readonly IpFamily[] = ["IPv4", "IPv6"];

/** Where a base chain is hooked into the kernel's path of packets. */
export interface Hook {
  readonly type: "filter" | "nat";
  readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting";
  readonly priority: number;
}

export interface Chain {
  readonly rules: readonly string[];
  readonly hook?: Hook;
}

/** A set, or a map to verdicts. */
export interface Container {
  readonly kind: "set" | "map";
  /** What stands between the braces: "type ipv4_addr . inet_proto . inet_service : verdict ;". */
  readonly definition: string;
  /** What is in it comes from packets: it stays over everything but the container's end. Default false. */
  readonly isFilledByPackets?: boolean;
  /**
   * The value of a key is a list, "10.0.0.1 . 80, 10.0.0.2 . 80": the kernel has an element for each place in it, with the
   * key and the place, from 0 on, as its key. Default false.
   */
  readonly isList?: boolean;
}

export interface Element {
  readonly container: string;
  /** "10.96.0.1 . tcp . 443". */
  readonly key: string;
  /** In a map the verdict, "goto service-…", or a list; "" in a set. */
  readonly value: string;
  /** Of several owners that claim a key with different values, the lowest rank has it; then the first by name. */
  readonly rank: number;
}

/** What one owner wants. */
export interface RulePart {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly containers: ReadonlyMap<string, Container>;
  readonly elements: readonly Element[];
  /** Chains that other owners want too, with the same rules. Once wanted they stay until everything is written again. */
  readonly shared?: ReadonlyMap<string, Chain>;
}

/** Everything of a table. */
export interface RuleSet {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly containers: ReadonlyMap<string, Container>;
  /** Key → value by container; a container without elements may be absent. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, string>>;
}
