// Sends the first packet of a connection through a rule set, as the kernel would: through the chain for those who send, and
// through the one for those who receive. Knows the words of the rules of network policies and throws at any other.
import { cidrContains, parseCIDR, parseIP } from "../api/meta/ip.ts";
import type { RuleSet } from "../linux/packet-rules/rule-set.ts";

export interface TracedPacket {
  readonly source: string;
  readonly destination: string;
  /** Before a service was translated. */
  readonly originalDestination: string;
  readonly protocol: string;
  readonly port: number;
  readonly inInterface: string;
  readonly outInterface: string;
}

type Verdict = "accept" | "drop";

export function trace(rules: RuleSet, packet: TracedPacket): "allowed" | "denied" {
  // What is for the node itself is not forwarded.
  const way = packet.outInterface === "lo" ? "input" : "forward";
  const hooked = [...rules.chains].filter(([, { hook }]) => hook?.hook === way);
  const inOrder = hooked.sort(([, a], [, b]) => (a.hook?.priority ?? 0) - (b.hook?.priority ?? 0));
  return inOrder.every(([name]) => follow(rules, name, packet) !== "drop") ? "allowed" : "denied";
}

/** Undefined: at its end without a verdict. */
function follow(rules: RuleSet, name: string, packet: TracedPacket): Verdict | undefined {
  const chain = rules.chains.get(name);
  if (!chain) throw new Error(`there is no chain ${name}`);
  for (const rule of chain.rules) {
    const verdict = decide(rules, rule, packet);
    if (verdict === undefined) continue;
    if (verdict === "accept" || verdict === "drop") return verdict;
    const [word, target = ""] = verdict.split(" ");
    const there = follow(rules, target, packet);
    if (there !== undefined || word === "goto") return there;
  }
  return undefined;
}

/** What the rule says to do with the packet; undefined where it does not match. */
function decide(rules: RuleSet, rule: string, packet: TracedPacket): string | undefined {
  let rest = rule;
  while (!/^(accept|drop|(jump|goto) \S+)$/.test(rest)) {
    const found = vocabulary.map(([pattern, matches]) => ({ match: pattern.exec(rest), matches })).find(({ match }) => match !== null);
    if (!found?.match) throw new Error(`a rule says ${JSON.stringify(rest)}`);
    const [text, ...groups] = found.match;
    const result = found.matches(
      packet,
      groups.map((group) => group ?? ""),
      rules,
    );
    if (typeof result === "string") return result;
    if (!result) return undefined;
    rest = rest.slice(text.length);
  }
  return rest;
}

type Matches = (packet: TracedPacket, groups: readonly string[], rules: RuleSet) => boolean | string;

const vocabulary: readonly (readonly [RegExp, Matches])[] = [
  [/^ct state established,related /, () => false], // it is the first packet
  [/^icmpv6 type \{ [^}]* \} /, ({ protocol }) => protocol === "ipv6-icmp"],
  [/^ct original ip6? daddr (\S+) /, ({ originalDestination }, [address]) => originalDestination === address],
  [/^([io])ifname "([^"]*)" /, (packet, [way, name]) => (way === "i" ? packet.inInterface : packet.outInterface) === name],
  [
    /^(ip6?) saddr \. meta l4proto @(\S+) /,
    ({ source, protocol }, [, set = ""], rules) => rules.elements.get(set)?.has(`${source} . ${protocol}`) ?? false,
  ],
  [
    /^(ip6?) (saddr|daddr) vmap @(\S+)/,
    (packet, [ip, side, map = ""], rules) => (isOf(packet, ip) && rules.elements.get(map)?.get(addressOf(packet, side))) || false,
  ],
  [
    /^ip6? daddr \. meta l4proto \. th dport @(\S+) /,
    ({ destination, protocol, port }, [set = ""], rules) => rules.elements.get(set)?.has(`${destination} . ${protocol} . ${port}`) ?? false,
  ],
  [
    /^(ip6?) (saddr|daddr) (!= )?(@\S+|\{ [^}]* \}|\S+) /,
    (packet, [ip, side, not, what = ""], rules) => isOf(packet, ip) && isIn(addressOf(packet, side), what, rules) !== (not !== ""),
  ],
  [/^meta l4proto (\S+) /, ({ protocol }, [wanted]) => protocol === wanted],
  [
    /^(tcp|udp|sctp) dport \{ ([^}]*) \} /,
    ({ protocol, port }, [wanted, ranges = ""]) =>
      protocol === wanted &&
      ranges.split(", ").some((range) => {
        const [first = 0, last = first] = range.split("-").map(Number);
        return port >= first && port <= last;
      }),
  ],
];

const isOf = ({ source }: TracedPacket, ip: string | undefined): boolean => source.includes(":") === (ip === "ip6");

const addressOf = ({ source, destination }: TracedPacket, side: string | undefined): string => (side === "saddr" ? source : destination);

function isIn(address: string, what: string, rules: RuleSet): boolean {
  if (what.startsWith("@")) return rules.elements.get(what.slice(1))?.has(address) ?? false;
  const ip = parseIP(address);
  return what
    .replace(/^\{ | \}$/g, "")
    .split(", ")
    .some((text) => {
      const range = parseCIDR(text);
      return text === address || (range !== undefined && ip !== undefined && cidrContains(range, ip));
    });
}
