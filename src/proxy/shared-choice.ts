// Choosing an endpoint by chains that services share: for each protocol and number of endpoints there is one chain, "one of
// three", and which three they are stands in a map, by the address and port a packet was sent to. A change of a service's
// endpoints is then a change of a few elements, and the kernel has no rules to check: where every service has rules of its
// own it goes through all of them with each change. Endpoints of sessions, of the traffic policy Local from outside, and great
// numbers of them still have chains of their own (service-rules.ts).
import type { Chain, Container, IpFamily } from "../linux/packet-rules/rule-set.ts";
import type { ServiceEndpoint } from "./endpoints.ts";
import { endpointsName, nodePortEndpointsName } from "./names.ts";
import type { Protocol } from "./service-port.ts";

/** So many different chains there can be for a protocol. */
const maxSharedEndpoints = 256;

/** Where packets come to: a cluster address; another address, or a node port, from where the answer must come back through here. */
export type Entry = "service" | "external" | "nodeport";

export interface SharedChain {
  readonly name: string;
  /** It and those that it leads to. */
  readonly chains: ReadonlyMap<string, Chain>;
}

const protocols: readonly Protocol[] = ["tcp", "udp", "sctp"];

export const isShareable = (endpoints: readonly ServiceEndpoint[]): boolean =>
  endpoints.length > 0 && endpoints.length <= maxSharedEndpoints;

/** The maps of endpoints. Named by what is in them, not by types: a number that was drawn has no type of its own. */
export function endpointContainers(family: IpFamily): ReadonlyMap<string, Container> {
  const ip = family === "IPv4" ? "ip" : "ip6";
  const drawn = `numgen random mod ${maxSharedEndpoints}`;
  const list = (key: string, protocol: Protocol): Container => ({
    kind: "map",
    isList: true,
    definition: `typeof ${key} . ${drawn} : ${ip} daddr . ${protocol} dport ;`,
  });
  return new Map(
    protocols.flatMap((protocol) => [
      [endpointsName(protocol), list(`${ip} daddr . th dport`, protocol)] as const,
      [nodePortEndpointsName(protocol), list("th dport", protocol)] as const,
    ]),
  );
}

/** The value of a service's address and port, or node port, in those maps. */
export const endpointList = (endpoints: readonly ServiceEndpoint[]): string =>
  endpoints.map(({ address, port }) => `${address} . ${port}`).join(", ");

export interface SharedChainOptions {
  readonly family: IpFamily;
  readonly protocol: Protocol;
  /** Of endpoints. */
  readonly count: number;
  /** Asks for masquerading. */
  readonly mark: string;
}

export function sharedChain(entry: Entry, { family, protocol, count, mark }: SharedChainOptions): SharedChain {
  const name = `${entry}-choice-${protocol}-${count}`;
  const choose = choiceRules(family, { protocol, count, isNodePort: entry === "nodeport" });
  if (entry === "service") return { name, chains: new Map([[name, { rules: choose }]]) };
  if (entry === "nodeport") return { name, chains: new Map([[name, { rules: [mark, ...choose] }]]) };
  const inner = sharedChain("service", { family, protocol, count, mark });
  return { name, chains: new Map([...inner.chains, [name, { rules: [mark, `goto ${inner.name}`] }]]) };
}

/** A packet that meets the table in the moment of a change may draw a place that has just gone: the first is always there. */
function choiceRules(
  family: IpFamily,
  { protocol, count, isNodePort }: { readonly protocol: Protocol; readonly count: number; readonly isNodePort: boolean },
): readonly string[] {
  const ip = family === "IPv4" ? "ip" : "ip6";
  const key = isNodePort ? "th dport" : `${ip} daddr . th dport`;
  const map = isNodePort ? nodePortEndpointsName(protocol) : endpointsName(protocol);
  const oneOf = (number: number): string =>
    `meta l4proto ${protocol} dnat ${ip} addr . port to ${key} . numgen random mod ${number} map @${map}`;
  return count === 1 ? [oneOf(1)] : [oneOf(count), oneOf(1)];
}

/** Commands that a packet filter takes which knows all of this; some versions of nft do not. */
export function choiceProbe(tableName: string): string {
  const at = `ip ${tableName}-probe`;
  const containers = [...endpointContainers("IPv4")].map(([name, { definition }]) => `add map ${at} ${name} { ${definition} }`);
  const chains = (["service", "nodeport"] as const).flatMap((entry) => {
    const { name, chains: made } = sharedChain(entry, { family: "IPv4", protocol: "tcp", count: 2, mark: "continue" });
    return [`add chain ${at} ${name}`, ...(made.get(name)?.rules ?? []).map((rule) => `add rule ${at} ${name} ${rule}`)];
  });
  const element = `add element ${at} ${endpointsName("tcp")} { 192.0.2.1 . 80 . 1 : 192.0.2.2 . 8080 }`;
  return `${[`add table ${at}`, ...containers, ...chains, element].join("\n")}\n`;
}
