// 5,000 services with 10 endpoints each: making their rules, and the text that writes them; and one endpoint's change.
import { bench, describe } from "vitest";
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import { DesiredTable } from "../linux/packet-rules/desired-table.ts";
import { changeTransaction, fullTransaction, type WrittenTable } from "../linux/packet-rules/transaction.ts";
import { baseRules } from "./base-rules.ts";
import type { FamilyFacts } from "./family-facts.ts";
import { rulesOfService } from "./service-rules.ts";

const facts: FamilyFacts = {
  ...{ family: "IPv4", nodeName: "node-1", zone: "a", nodeIP: "192.168.7.1", nodePortAddresses: ["192.168.7.1"] },
  ...{ masqueradeMark: 0x4000, masqueradeAll: false, sharesChoice: true, serviceCidrs: ["10.96.0.0/12"] },
  ...{ fromPods: "ip saddr 10.244.0.0/16", notFromPods: "ip saddr != 10.244.0.0/16" },
};
const table = { family: "ip", name: "kube-proxy" } as const;

const serviceOf = (i: number): Service =>
  ({
    metadata: { namespace: "default", name: `service-${i}` },
    spec: { type: "ClusterIP", clusterIP: `10.100.${i >> 8}.${i & 255}`, ports: [{ port: 80 }] },
  }) as unknown as Service; // as far as the rules look at it

const sliceOf = (i: number, count: number): EndpointSlice =>
  ({
    addressType: "IPv4",
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    endpoints: Array.from({ length: count }, (_, k) => ({ addresses: [`10.244.${i >> 8}.${(i + k) & 255}`], nodeName: `node-${k}` })),
  }) as unknown as EndpointSlice; // as far as the rules look at it

const all = Array.from({ length: 5_000 }, (_, i) => [serviceOf(i), sliceOf(i, 10)] as const);

function desiredTable(): DesiredTable {
  const desired = new DesiredTable();
  desired.put("", baseRules(facts));
  for (const [service, slice] of all) desired.put(service.metadata.name, rulesOfService(service, [slice], facts));
  return desired;
}

describe("packet rules", () => {
  const desired = desiredTable();
  const { chains, containers, elements } = desired.ruleSet();
  const written: WrittenTable = {
    chains: new Map(chains),
    containers: new Map(containers),
    elements: new Map([...elements].map(([name, values]) => [name, new Map(values)])),
  };
  desired.takeChanges();
  let count = 10;

  bench("rules of 5,000 services", () => void desiredTable());
  bench("text of 5,000 services", () => void fullTransaction(table, desired, undefined));
  bench("a change of one service", () => {
    count = count === 10 ? 9 : 10;
    desired.put("service-77", rulesOfService(serviceOf(77), [sliceOf(77, count)], facts));
    changeTransaction(table, desired, written, desired.takeChanges());
  });
});
