// The scenarios of scenarios/services.yaml: services and endpoints, and what becomes of packets by the rules made of them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import { DesiredTable } from "../linux/packet-rules/desired-table.ts";
import type { IpFamily } from "../linux/packet-rules/rule-set.ts";
import { type BaseFacts, baseRules } from "./base-rules.ts";
import { localMatch } from "./detect-local.ts";
import { isAffinitySet } from "./names.ts";
import { type RuleFacts, rulesOfService } from "./service-rules.ts";
import { type Packet, trace } from "./trace-fixture.ts";

interface Scenario {
  readonly name: string;
  readonly family?: IpFamily;
  readonly node?: Readonly<Record<string, unknown>>;
  readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly endpoints: Readonly<Record<string, readonly string[]>>;
  /** Client → endpoint. */
  readonly remembered?: Readonly<Record<string, string>>;
  readonly packets: Readonly<Record<string, string>>;
}

const scenarios = parse(readFileSync(join(import.meta.dirname, "scenarios", "services.yaml"), "utf8")) as readonly Scenario[];

const addresses = {
  IPv4: { pod: "10.244.1.9", node: "192.168.7.1", outside: "192.168.7.2", local: ["192.168.7.1", "10.244.1.1", "127.0.0.1"] },
  IPv6: { pod: "fd44:1::9", node: "fd07::1", outside: "fd07::2", local: ["fd07::1", "fd44:1::1", "::1"] },
};

describe("rulesOfService() and baseRules()", () => {
  const ways = [true, false].flatMap((sharesChoice) =>
    scenarios.map((scenario) => [scenario.name, { ...scenario, sharesChoice }] as const),
  );
  it.each(ways)("%s", (_name, { sharesChoice, ...scenario }) => {
    const { family = "IPv4" } = scenario;
    const facts = factsOf(family, { ...scenario.node, sharesChoice });
    const table = new DesiredTable();
    table.put("", baseRules(facts));
    for (const [name, fields] of Object.entries(scenario.services))
      table.put(name, rulesOfService(serviceOf(name, fields), slicesOf(name, scenario.endpoints), facts));
    const rules = table.ruleSet();
    const remembered = rememberedIn(rules.containers.keys(), scenario.remembered ?? {});
    const options = { localAddresses: addresses[family].local, remembered };
    const results = Object.keys(scenario.packets).map((text) => [text, trace(rules, packetOf(text, family), options).join(" | ")]);
    expect(Object.fromEntries(results)).toEqual(scenario.packets);
  });
});

function factsOf(family: IpFamily, given: Readonly<Record<string, unknown>>): BaseFacts & RuleFacts {
  const match = localMatch({ mode: "ClusterCIDR", clusterCidrs: ["10.244.0.0/16", "fd44::/16"] }, family, []);
  const { node } = addresses[family];
  const facts = {
    ...{ family, nodeName: "node-1", zone: "a", nodeIP: node, nodePortAddresses: [node] },
    ...{
      masqueradeMark: 0x4000,
      masqueradeAll: false,
      sharesChoice: true,
      serviceCidrs: [family === "IPv4" ? "10.96.0.0/16" : "fd96::/64"],
    },
    ...{ fromPods: match?.fromPods, notFromPods: match?.notFromPods },
  };
  // null in a scenario is what is not known.
  const own = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value ?? undefined]));
  return { ...facts, ...own } as BaseFacts & RuleFacts;
}

function serviceOf(name: string, { labels, ingress, ...spec }: Readonly<Record<string, unknown>>): Service {
  const affinity = spec.sessionAffinity ? { sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } } : {};
  return {
    metadata: { name, namespace: "default", labels },
    spec: { type: "ClusterIP", ports: [{ port: 80 }], ...affinity, ...spec },
    status: { loadBalancer: { ingress } },
  } as unknown as Service; // as far as the rules look at it
}

/** Keys are "service", "service/port name" or "service/port name/protocol". */
function slicesOf(service: string, endpoints: Scenario["endpoints"]): readonly EndpointSlice[] {
  return Object.entries(endpoints).flatMap(([key, texts]) => {
    const [name, portName = "", protocol = "TCP"] = key.split("/");
    return name === service ? texts.map((text) => sliceOf(text, { portName, protocol })) : [];
  });
}

function sliceOf(text: string, { portName, protocol }: { readonly portName: string; readonly protocol: string }): EndpointSlice {
  const [at = "", nodeName, ...flags] = text.split(" ");
  const [, address = "", port] = /^\[?(.*?)\]?:(\d+)$/.exec(at) ?? [];
  const namesAfter = (prefix: string) =>
    flags
      .find((f) => f.startsWith(prefix))
      ?.slice(prefix.length)
      .split(",")
      .map((name) => ({ name }));
  const isEnding = flags.includes("ending");
  const isEnded = flags.includes("ended");
  const isUnready = flags.includes("unready");
  return {
    addressType: address.includes(":") ? "IPv6" : "IPv4",
    ports: [{ name: portName, protocol, port: Number(port) }],
    endpoints: [
      {
        ...{ addresses: [address], nodeName },
        conditions: { ready: !isEnding && !isEnded && !isUnready, serving: !isEnded && !isUnready, terminating: isEnding || isEnded },
        hints: { forZones: namesAfter("zones="), forNodes: namesAfter("nodes=") },
      },
    ],
  } as unknown as EndpointSlice; // as far as the rules look at it
}

function rememberedIn(containers: Iterable<string>, clients: Readonly<Record<string, string>>): ReadonlyMap<string, readonly string[]> {
  const clientsOf = (set: string): readonly string[] =>
    Object.entries(clients).flatMap(([client, endpoint]) => (set.includes(`__${endpoint}/`) ? [client] : []));
  return new Map([...containers].filter(isAffinitySet).map((set) => [set, clientsOf(set)]));
}

/** "pod to 10.96.0.10:80", "node to [fd96::a]:53/udp". */
function packetOf(text: string, family: IpFamily): Packet {
  const [, from = "", destination = "", port, protocol = "tcp"] = /^(\S+) to \[?(.*?)\]?:(\d+)(?:\/(\w+))?$/.exec(text) ?? [];
  const { pod, node, outside } = addresses[family];
  const source = ({ pod, node, outside, foreign: pod } as Readonly<Record<string, string>>)[from] ?? from;
  const inInterface = from === "node" ? undefined : from === "foreign" ? "cor-other" : source.startsWith("10.244.") ? "cor-own" : "eth0";
  return { source, destination, port: Number(port), protocol: protocol as Packet["protocol"], inInterface };
}
