// A DNS server over an API in memory, and a client that reads its answers with a codec of its own: what the tests share.
import { type DecodedPacket, decode, encode, type Packet } from "dns-packet";
import type { KubernetesObject, New } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { endpointslices, namespaces, services } from "../api/resources.generated.ts";
import type { Service, ServiceSpec } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create-client.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { createDnsServer, type DnsServer, type DnsServerOptions } from "../dns/dns-server.ts";
import { createFakeApi, type FakeApi } from "./fake-api.ts";

export interface DnsFixture extends AsyncDisposable {
  readonly server: DnsServer;
  readonly api: FakeApi;
  readonly client: Client;
  readonly clock: VirtualClock;
  create<T extends KubernetesObject>(type: ResourceType<T>, object: New<T>): Promise<T>;
  service(name: string, spec: ServiceSpec, namespace?: string): Promise<Service>;
  slice(service: string, slice: Partial<EndpointSlice>): Promise<EndpointSlice>;
  settle(): Promise<void>;
  /** The answer over UDP, decoded; undefined where there is none. */
  ask(name: string, type?: string, packet?: Packet): Promise<DecodedPacket | undefined>;
  /** "A 10.0.0.1", "SRV 0 100 80 web.default.svc.cluster.local" …, sorted. */
  records(name: string, type?: string): Promise<readonly string[]>;
  /** "NXDOMAIN", "NODATA", or how many records. */
  outcome(name: string, type?: string): Promise<string>;
}

export async function createDnsFixture(options: Partial<DnsServerOptions> = {}, synced = true): Promise<DnsFixture> {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  const informers = createInformerFactory(client, { clock, logger: silentLogger, deepFreeze: true });
  await client.create(namespaces, { metadata: { name: "default" }, spec: {} });
  if (!synced)
    api.intercept = () => {
      throw new Error("the API server is not there yet");
    };
  const server = createDnsServer({ informers, clock, logger: silentLogger }, { upstreams: [], ...options });
  await clock.advance(50);
  const fixture: DnsFixture = {
    ...{ server, api, client, clock },
    create: (type, object) => client.create(type, object),
    service: (name, spec, namespace = "default") => client.create(services, { metadata: { name, namespace }, spec }),
    slice: (service, slice) =>
      client.create(endpointslices, {
        addressType: "IPv4",
        ...slice,
        metadata: { generateName: `${service}-`, namespace: "default", labels: { "kubernetes.io/service-name": service } },
      } as New<EndpointSlice>), // metadata is complete but for the name
    settle: () => clock.advance(50),
    async ask(name, type = "A", packet = {}) {
      const reply = await exchange(
        server,
        encode({ type: "query", id: 7, flags: 0x100, ...packet, questions: [{ name, type: type as "A" }] }),
      );
      return reply && decode(Buffer.from(reply));
    },
    async records(name, type) {
      const reply = await fixture.ask(name, type);
      return (reply?.answers ?? []).map(shown).sort();
    },
    async outcome(name, type) {
      const reply = await fixture.ask(name, type);
      const code = (reply as unknown as { readonly rcode?: string } | undefined)?.rcode ?? "no answer"; // missing in the types
      if (code !== "NOERROR") return code;
      return reply?.answers?.length ? `${reply.answers.length} records` : "NODATA";
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      await informers.stop();
      await api.close();
    },
  };
  return fixture;
}

/** Bytes to the server and back, without sockets. */
export async function exchange(server: DnsServer, message: Uint8Array, protocol: "udp" | "tcp" = "udp"): Promise<Uint8Array | undefined> {
  let reply: Uint8Array | undefined;
  await server.respond(message, { address: "10.244.0.9", protocol }, (sent) => {
    reply = sent;
  });
  return reply;
}

type Shown = NonNullable<DecodedPacket["answers"]>[number];

export function shown(record: Shown): string {
  if (record.type === "SRV") {
    const { priority, weight, port, target } = record.data;
    return `SRV ${priority} ${weight} ${port} ${target}`;
  }
  if (record.type === "TXT") return `TXT ${[record.data].flat().map(String).join()}`;
  return `${record.type} ${"data" in record ? String(record.data) : ""}`;
}
