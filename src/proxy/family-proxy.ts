// The services of one address family on this node: their rules, written to a table of the kernel, and what of them concerns
// flows of UDP, health-check ports and figures.
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { Nftables } from "../linux/nftables.ts";
import { DesiredTable } from "../linux/packet-rules/desired-table.ts";
import type { IpFamily, RulePart } from "../linux/packet-rules/rule-set.ts";
import { TableWriter, type WriteResult } from "../linux/packet-rules/table-writer.ts";
import { baseRules } from "./base-rules.ts";
import { endpointsOf, portKey } from "./endpoints.ts";
import type { FamilyFacts } from "./family-facts.ts";
import { containerNames } from "./names.ts";
import { servicePortsOf } from "./service-port.ts";
import { type RuleFacts, rulesOfService } from "./service-rules.ts";
import { mayHaveStaleFlows, type UdpPort, udpServed } from "./stale-flows.ts";

export interface FamilyProxyDeps {
  readonly nftables: Nftables;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The owner of the base chains: no service is called so. */
const nodeOwner = "";

export class FamilyProxy {
  readonly family: IpFamily;
  readonly #desired = new DesiredTable();
  readonly #writer: TableWriter;
  readonly #tableName: string;
  readonly #nftables: Nftables;
  /** By service: where its UDP ports are served. */
  readonly #udp = new Map<string, ReadonlySet<string>>();
  readonly #staleUdp = new Map<string, readonly UdpPort[]>();
  readonly #withoutLocal = { internal: new Set<string>(), external: new Set<string>() };
  /** Whether there is, or may be, a table in the kernel. */
  #hasTable: boolean | undefined;

  constructor(deps: FamilyProxyDeps, family: IpFamily, tableName: string) {
    this.family = family;
    this.#tableName = tableName;
    this.#nftables = deps.nftables;
    this.#writer = new TableWriter(
      deps,
      { family: family === "IPv4" ? "ip" : "ip6", name: tableName, comment: "rules for kube-proxy" },
      this.#desired,
    );
  }

  setBase(facts: FamilyFacts): void {
    this.#desired.put(nodeOwner, baseRules(facts));
  }

  /** Undefined: the service is gone. */
  setService(key: string, service: Service | undefined, slices: readonly EndpointSlice[], facts: RuleFacts): void {
    const part = service && rulesOfService(service, slices, facts);
    this.#desired.put(key, part);
    this.#noteUdp(key, service && part ? udpPortsOf(service, slices, facts) : []);
    this.#noteWithoutLocal(key, part);
  }

  /** Services whose Local traffic policy finds no endpoint on this node. */
  get withoutLocalEndpoints(): { readonly internal: number; readonly external: number } {
    return { internal: this.#withoutLocal.internal.size, external: this.#withoutLocal.external.size };
  }

  /** UDP ports of services whose flows may be stale since the last call. */
  takeStaleUdp(): readonly UdpPort[] {
    const ports = [...this.#staleUdp.values()].flat();
    this.#staleUdp.clear();
    return ports;
  }

  /**
   * Brings the kernel up to date. A family that no service uses, and of which nothing is left from before, has no table.
   * Rejects when the kernel does not take it.
   */
  async write(): Promise<WriteResult> {
    const hasServices = this.#desired.size > 1;
    this.#hasTable ??= (await this.#nftables.tableNames(this.family === "IPv4" ? "ip" : "ip6", this.#tableName)) !== undefined;
    if (!hasServices && !this.#hasTable) return { kind: "unchanged" };
    this.#hasTable = true;
    return this.#writer.write();
  }

  distrust(): void {
    this.#writer.distrust();
  }

  async isIntact(): Promise<boolean> {
    return this.#hasTable !== true || (await this.#writer.isIntact());
  }

  get sweepAtMs(): number | undefined {
    return this.#writer.sweepAtMs;
  }

  sweep(): Promise<void> {
    return this.#writer.sweep();
  }

  #noteUdp(key: string, ports: readonly UdpPort[]): void {
    const before = this.#udp.get(key) ?? new Set<string>();
    const after = udpServed(ports);
    if (after.size > 0) this.#udp.set(key, after);
    else this.#udp.delete(key);
    if (mayHaveStaleFlows(before, after)) this.#staleUdp.set(key, ports);
  }

  #noteWithoutLocal(key: string, part: RulePart | undefined): void {
    const dropped = (part?.elements ?? []).filter(({ value }) => value === "drop");
    const note = (set: Set<string>, has: boolean): void => void (has ? set.add(key) : set.delete(key));
    const isInternal = ({ rank, container }: { rank: number; container: string }): boolean =>
      rank === 0 && container === containerNames.noEndpointServices;
    note(this.#withoutLocal.internal, dropped.some(isInternal));
    note(
      this.#withoutLocal.external,
      dropped.some((element) => !isInternal(element)),
    );
  }
}

function udpPortsOf(service: Service, slices: readonly EndpointSlice[], facts: RuleFacts): readonly UdpPort[] {
  const ports = servicePortsOf(service, facts.family).filter(({ protocol }) => protocol === "udp");
  if (ports.length === 0) return [];
  const endpoints = endpointsOf(slices, facts);
  return ports.map((port) => ({ port, endpoints: endpoints.get(portKey(port.portName, "udp")) ?? [] }));
}
