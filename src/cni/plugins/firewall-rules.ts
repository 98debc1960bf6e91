// The rules of the firewall plugin as texts: what iptables-save prints of them, and the input for iptables-restore that adds or
// removes them. Pure.

export interface WantedRule {
  readonly chain: string;
  /** As iptables-save writes it, without "-A CHAIN". */
  readonly rule: string;
  /** Whether it goes before what is in the chain. */
  readonly first?: boolean;
}

const comment = (text: string): string => `-m comment --comment "${text}"`;
const forwardChain = "CNI-FORWARD";

/** For each address: answers to it, and whatever comes from it; in a chain that is asked first, and which asks the administrator's. */
export function acceptanceRules(addresses: readonly string[], adminChain: string): readonly WantedRule[] {
  return [
    { chain: "FORWARD", rule: `${comment("CNI firewall plugin rules")} -j ${forwardChain}`, first: true },
    { chain: forwardChain, rule: `${comment("CNI firewall plugin admin overrides")} -j ${adminChain}`, first: true },
    ...addresses.flatMap((address) => [
      { chain: forwardChain, rule: answersTo(address) },
      { chain: forwardChain, rule: comingFrom(address) },
    ]),
  ];
}

const answersTo = (address: string): string => `-d ${address} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`;
const comingFrom = (address: string): string => `-s ${address} -j ACCEPT`;

/** Bridges cannot reach each other; with "isolated" neither can containers of one bridge. */
export function isolationRules(policy: "open" | "same-bridge" | "isolated", bridge: string): readonly WantedRule[] {
  if (policy === "open") return [];
  const [stage1, stage2] = ["CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"];
  const both = comment("CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)");
  const own = comment(`CNI firewall plugin rules (ingressPolicy: ${policy})`);
  return [
    { chain: "FORWARD", rule: `${both} -j ${stage1}`, first: true },
    { chain: stage1, rule: `-i ${bridge} ! -o ${bridge} ${own} -j ${stage2}`, first: true },
    ...(policy === "isolated" ? [{ chain: stage1, rule: `-i ${bridge} -o ${bridge} ${own} -j DROP`, first: true }] : []),
    { chain: stage1, rule: `${both} -j RETURN` },
    { chain: stage2, rule: `-o ${bridge} ${both} -j DROP`, first: true },
    { chain: stage2, rule: `${both} -j RETURN` },
  ];
}

/** The input that adds those that are missing, with the chains they are in and lead to. Undefined when none is. */
export function addRules(saved: string, wanted: readonly WantedRule[]): string | undefined {
  const missing = wanted.filter((rule) => !isThere(saved, rule));
  const chains = wanted.flatMap(({ chain, rule }) => [chain, ...targetOf(rule)]);
  // Naming a chain that is there would empty it.
  const fresh = [...new Set(chains)].filter((chain) => !new RegExp(`^:${literally(chain)} `, "m").test(saved));
  if (missing.length === 0) return undefined;
  const lines = missing.map(({ chain, rule, first }) => (first ? `-I ${chain} 1 ${rule}` : `-A ${chain} ${rule}`));
  return ["*filter", ...fresh.map((chain) => `:${chain} - [0:0]`), ...lines, "COMMIT", ""].join("\n");
}

/** Chains of users only: nothing is to be made for ACCEPT and the like. */
function targetOf(rule: string): readonly string[] {
  const target = / -j (\S+)$/.exec(rule)?.[1];
  return target === undefined || ["ACCEPT", "DROP", "RETURN"].includes(target) ? [] : [target];
}

export function missingRules(saved: string, wanted: readonly WantedRule[]): readonly string[] {
  return wanted.filter((rule) => !isThere(saved, rule)).map(({ chain, rule }) => `-A ${chain} ${rule}`);
}

/** The input that removes those of addresses. Undefined when there are none. */
export function removeRules(saved: string, addresses: readonly string[]): string | undefined {
  const own = addresses.flatMap((address) => [answersTo(address), comingFrom(address)]).map((rule) => ({ chain: forwardChain, rule }));
  const present = own.filter((rule) => isThere(saved, rule));
  if (present.length === 0) return undefined;
  return ["*filter", ...present.map(({ chain, rule }) => `-D ${chain} ${rule}`), "COMMIT", ""].join("\n");
}

const isThere = (saved: string, { chain, rule }: WantedRule): boolean => saved.split("\n").includes(`-A ${chain} ${rule}`);

const literally = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
