// The scenarios of scenarios/policies.yaml: policies, and who reaches whom by the rules made of them. Each is tried with the rules
// made at once, and with those that have come about by one change after the other.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseIP } from "../api/meta/ip.ts";
import { keyOf } from "../api/meta/object.ts";
import type { Pod } from "../api/types/core-v1.ts";
import type { NetworkPolicy } from "../api/types/networking-v1.ts";
import { DesiredTable } from "../linux/packet-rules/desired-table.ts";
import type { RuleSet } from "../linux/packet-rules/rule-set.ts";
import { baseRules } from "./base-rules.ts";
import { PolicyState, policyRules } from "./policy-state.ts";
import { type TracedPacket, trace } from "./trace-fixture.ts";

interface PodFields {
  readonly ip?: string;
  readonly node?: string;
  readonly phase?: string;
  readonly deleting?: boolean;
  readonly hostNetwork?: boolean;
  readonly ports?: readonly object[];
  readonly labels?: Readonly<Record<string, string>>;
}

interface Scenario {
  readonly name: string;
  readonly pods?: Readonly<Record<string, PodFields>>;
  readonly policies: Readonly<Record<string, NetworkPolicy["spec"]>>;
  readonly packets: Readonly<Record<string, string>>;
}

const scenarios = parse(readFileSync(join(import.meta.dirname, "scenarios", "policies.yaml"), "utf8")) as readonly Scenario[];

const http = (containerPort: number): object => ({ name: "http", containerPort });
const cluster: Readonly<Record<string, PodFields>> = {
  "a/web": { ip: "10.244.1.2", ports: [http(8080), { name: "talk", containerPort: 8080, protocol: "UDP" }] },
  "a/client": { ip: "10.244.1.3" },
  "b/web": { ip: "10.244.1.4", ports: [http(9090)] },
  "b/client": { ip: "10.244.1.5" },
  "c/web": { ip: "10.244.2.2", node: "other", ports: [http(8080)] },
  "c/client": { ip: "10.244.2.3", node: "other" },
  "a/host": { ip: "192.168.7.1", hostNetwork: true },
};
const namespaces = {
  a: { ns: "a" },
  b: { ns: "b", team: "ops" },
  c: { ns: "c" },
  "kube-system": { "kubernetes.io/metadata.name": "kube-system" },
};
const base = { bridge: "br0", dnsAddresses: ["10.96.0.10"], clusterCidrs: ["10.244.0.0/16", "fd44::/64"] };
const nodeName = "node";

const ipv6Of = (ip: string): string => `fd44::${ip.split(".").slice(2).join(":")}`;

function podOf(key: string, { ip = "", node = nodeName, phase = "Running", ...fields }: PodFields): Pod {
  const [namespace, name] = key.split("/");
  return {
    metadata: {
      ...{ namespace, name, labels: fields.labels ?? { app: name } },
      ...(fields.deleting ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
    },
    spec: { nodeName: node, hostNetwork: fields.hostNetwork, containers: [{ name: "main", ports: fields.ports }] },
    status: { phase, podIP: ip, podIPs: [{ ip }, { ip: ipv6Of(ip) }] },
  } as unknown as Pod; // as far as policies look at it
}

const policyOf = (key: string, spec: NetworkPolicy["spec"]): NetworkPolicy => {
  const [namespace, name] = key.split("/");
  return { metadata: { namespace, name }, spec } as unknown as NetworkPolicy;
};

function podsOf(scenario: Scenario): readonly Pod[] {
  const all: Record<string, PodFields> = { ...cluster };
  for (const [key, fields] of Object.entries(scenario.pods ?? {})) all[key] = { ...all[key], ...fields };
  return Object.entries(all).map(([key, fields]) => podOf(key, fields));
}

function packetOf(text: string, pods: readonly Pod[]): TracedPacket {
  const match = /^(\S+) to (\S+):(\d+)(?:\/(udp|sctp|icmp|6))?(?: by (\S+))?$/.exec(text);
  if (!match) throw new Error(`not a packet: ${text}`);
  const [, from = "", to = "", port = "", kind = "tcp", by] = match;
  const addressOf = (who: string): string => {
    const [ip4, ip6] = pods.find((pod) => keyOf(pod) === who)?.status?.podIPs ?? [];
    const address = kind === "6" ? ip6?.ip : ip4?.ip;
    const parsed = parseIP(address ?? who);
    if (!parsed) throw new Error(`nobody is called ${who}`);
    return parsed.canonical;
  };
  const [source, destination] = [addressOf(from), addressOf(to)];
  const interfaceOf = (address: string): string =>
    /^(10\.244\.1\.|fd44::1:)/.test(address) ? "br0" : address === "192.168.7.1" ? "lo" : "eth0";
  return {
    ...{ source, destination, originalDestination: by ?? destination, port: Number(port) },
    protocol: kind === "6" ? "tcp" : kind,
    ...{ inInterface: interfaceOf(source), outInterface: interfaceOf(destination) },
  };
}

function resultsOf(scenario: Scenario, rules: RuleSet): Readonly<Record<string, string>> {
  const pods = podsOf(scenario);
  return Object.fromEntries(Object.keys(scenario.packets).map((text) => [text, trace(rules, packetOf(text, pods))]));
}

/** What a table holds, in an order of its own. */
function plain({ chains, containers, elements }: RuleSet): unknown {
  const sorted = <V>(map: ReadonlyMap<string, V>): readonly (readonly [string, V])[] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const filled = sorted(elements).filter(([, values]) => values.size > 0);
  return { chains: sorted(chains), containers: sorted(containers), elements: filled.map(([name, values]) => [name, sorted(values)]) };
}

const atOnce = (scenario: Scenario): RuleSet =>
  policyRules({
    policies: Object.entries(scenario.policies).map(([key, spec]) => policyOf(key, spec)),
    pods: podsOf(scenario),
    ...{ namespaces, nodeName, base },
  });

describe("policyRules()", () => {
  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))("%s", (_name, scenario) => {
    expect(resultsOf(scenario, atOnce(scenario))).toEqual(scenario.packets);
  });
});

describe("PolicyState", () => {
  it("comes to the same rules by one change after the other, from scenario to scenario", () => {
    const state = new PolicyState(nodeName, base.dnsAddresses);
    const table = new DesiredTable();
    table.put("", baseRules(base));
    let policies: readonly string[] = [];
    let pods: readonly string[] = [];
    for (const scenario of [...scenarios, ...[...scenarios].reverse()]) {
      const steps: (() => void)[] = [];
      const now = podsOf(scenario);
      for (const key of policies) if (!(key in scenario.policies)) steps.push(() => state.setPolicy(key, undefined));
      for (const key of pods) if (!now.some((pod) => keyOf(pod) === key)) steps.push(() => state.setPod(key, undefined));
      for (const [key, spec] of Object.entries(scenario.policies)) steps.push(() => state.setPolicy(key, policyOf(key, spec)));
      for (const pod of now) steps.push(() => state.setPod(keyOf(pod), pod));
      for (const [name, labels] of Object.entries(namespaces)) steps.unshift(() => state.setNamespace(name, labels));
      for (const step of steps) {
        step();
        state.update(table);
      }
      expect([scenario.name, plain(table.ruleSet())]).toEqual([scenario.name, plain(atOnce(scenario))]);
      policies = Object.keys(scenario.policies);
      pods = now.map(keyOf);
    }
  });

  const started = (policies: Readonly<Record<string, NetworkPolicy["spec"]>>) => {
    const state = new PolicyState(nodeName, base.dnsAddresses);
    const table = new DesiredTable();
    for (const [name, labels] of Object.entries(namespaces)) state.setNamespace(name, labels);
    for (const [key, fields] of Object.entries(cluster)) state.setPod(key, podOf(key, fields));
    for (const [key, spec] of Object.entries(policies)) state.setPolicy(key, policyOf(key, spec));
    state.update(table);
    table.takeChanges();
    const changesOf = (work: () => void): readonly string[] => {
      work();
      state.update(table);
      const { chains, containers, elements } = table.takeChanges();
      return [...new Set([...chains, ...containers, ...elements.keys()])]
        .map((name) => name.replace(/-[A-Z2-7]{8}-/, " ").replace(/-[0-9a-f]{32}-.*/, ""))
        .sort();
    };
    return { state, changesOf };
  };

  it("follows labels of pods and namespaces", () => {
    const from = [{ namespaceSelector: { matchLabels: { team: "ops" } }, podSelector: { matchLabels: { app: "client" } } }];
    const { changesOf, state } = started({ "a/ops": { podSelector: { matchLabels: { app: "web" } }, ingress: [{ from }] } });
    const concerned = ["peers-ip", "peers-ip6"];
    expect(changesOf(() => state.setNamespace("c", { team: "ops" }))).toEqual(concerned);
    expect(changesOf(() => state.setPod("c/web", podOf("c/web", { ...cluster["c/web"], labels: { app: "client" } })))).toEqual(concerned);
  });

  it("touches nothing for pods that nobody selects, nor for what policies do not look at", () => {
    const { changesOf, state } = started({
      "a/some": { podSelector: { matchLabels: { app: "web" } }, ingress: [{ from: [{ podSelector: {} }] }] },
      "c/deny": { podSelector: {} },
    });
    expect(changesOf(() => state.setPod("c/new", podOf("c/new", { ip: "10.244.2.8", node: "other" })))).toEqual([]);
    expect(changesOf(() => state.setPod("a/web", podOf("a/web", cluster["a/web"] ?? {})))).toEqual([]);
    expect(changesOf(() => state.setNamespace("c", { anything: "else" }))).toEqual([]);
    expect(changesOf(() => state.setPod("b/new", podOf("b/new", { ip: "10.244.1.8" })))).toEqual([
      "egress-pods-ip",
      "egress-pods-ip6",
      "ingress-pods-ip",
      "ingress-pods-ip6",
    ]);
  });

  it("knows a pod of this node by the address it has been given, before its status has it and after it has lost it", () => {
    const { changesOf, state } = started({ "a/deny": { podSelector: {} } });
    const concerned = ["egress-pods-ip", "ingress-pod a/new", "ingress-pods-ip", "ingress-policy a/deny"];
    const unreported = podOf("a/new", {});
    expect(changesOf(() => state.setPod("a/new", { ...unreported, status: {} }))).toEqual([]);
    expect(changesOf(() => state.setAddresses("a/new", ["10.244.1.9"]))).toEqual(concerned);
    const reported = podOf("a/new", { ip: "10.244.1.9" });
    expect(changesOf(() => state.setPod("a/new", reported))).toEqual([]);
    expect(changesOf(() => state.setAddresses("a/new", []))).toEqual(concerned);
    // Told before the pod itself is known.
    expect(changesOf(() => state.setAddresses("a/early", ["10.244.1.10"]))).toEqual([]);
    expect(changesOf(() => state.setPod("a/early", { ...podOf("a/early", {}), status: {} }))).toContain("ingress-pod a/early");
  });

  it("looks again at who may ask the DNS when its namespace gets other labels", () => {
    const to = [{ namespaceSelector: { matchLabels: { names: "yes" } } }];
    const { changesOf, state } = started({ "a/names": { podSelector: {}, policyTypes: ["Egress"], egress: [{ to }] } });
    const denied = ["dns-denied-ip", "dns-denied-ip6"];
    expect(changesOf(() => state.setNamespace("kube-system", { names: "yes" }))).toEqual(expect.arrayContaining(denied));
    expect(changesOf(() => state.setNamespace("kube-system", {}))).toEqual(expect.arrayContaining(denied));
    expect(changesOf(() => state.setNamespace("c", { names: "yes" }))).not.toContain(denied[0]);
  });

  it("a policy that cannot be understood is as if it were not there", () => {
    const { changesOf, state } = started({ "a/deny": { podSelector: {} } });
    const wrong = { podSelector: { matchExpressions: [{ key: "a", operator: "Odd" }] } } as unknown as NetworkPolicy["spec"];
    expect(changesOf(() => expect(() => state.setPolicy("a/deny", policyOf("a/deny", wrong))).toThrow("Odd"))).toContain(
      "ingress-pod a/web",
    );
    expect(state.activePolicies).toBe(0);
  });

  it("names and labels of objects stay in their place in a transaction", () => {
    const key = "a/x y;}\nflush ruleset";
    const rules = policyRules({
      policies: [policyOf(key, { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: "1.2.3.4/32 accept\n" } }] }] })],
      pods: [podOf("a/web", { ip: "10.244.1.2" }), podOf("a/odd", { ip: "10.244.1.3 ; flush ruleset" })],
      ...{ namespaces, nodeName, base },
    });
    const texts = [...rules.chains].flatMap(([name, chain]) => [name, ...chain.rules]);
    texts.push(...[...rules.elements].flatMap(([name, values]) => [name, ...[...values].flat()]));
    expect(texts.filter((text) => /[;\n]|flush ruleset|10\.244\.1\.3|1\.2\.3\.4/.test(text))).toEqual([]);
  });
});
