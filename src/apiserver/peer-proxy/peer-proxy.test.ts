// A peer that is no more than an HTTPS server, and a server of which the stages and the store are real.
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { customresourcedefinitions, leases, namespaces } from "../../api/resources.generated.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { type ApiFixture, createApiFixture } from "../api-fixture.ts";
import { answerOk, fakeContext } from "../authn/request-fixture.ts";
import type { ApiResponse } from "../request.ts";
import { makeServerCertificate } from "../webhook/webhook-server-fixture.ts";
import { createPeerProxy, type PeerProxy } from "./peer-proxy.ts";

const certificate = makeServerCertificate(["kubernetes.default.svc"]);
const key = "/registry/peerserverleases/apiserver-b";

let cluster: ApiFixture;
let metrics: MetricsRegistry;
let proxy: PeerProxy;
let peer: Server;
let asked: IncomingMessage[];
const thing = (resource: string) => ({ resource, verbs: ["get"], responseKind: { group: "", version: "", kind: "Thing" } });
let resources = [thing("things")];

beforeEach(async () => {
  resources = [thing("things")];
  cluster = createApiFixture();
  asked = [];
  peer = createServer(certificate, (request: IncomingMessage, response: ServerResponse) => {
    asked.push(request);
    const groups = [{ metadata: { name: "later.example.com" }, versions: [{ version: "v1", resources, freshness: "Current" }] }];
    const document = { kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2", items: request.url === "/apis" ? groups : [] };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document));
  });
  await once(peer.listen(0, "127.0.0.1"), "listening");
  await cluster.client.create(namespaces, { metadata: { name: "kube-system" }, spec: {} });
  startProxy(certificate.caPem);
});
afterEach(async () => {
  await proxy.stop();
  await cluster.stop();
  peer.close();
  peer.closeAllConnections();
});

function startProxy(authority: string): void {
  metrics = new MetricsRegistry();
  proxy = createPeerProxy(
    { ...cluster, logger: silentLogger, metrics, authority: () => authority, clientCertificate: () => undefined },
    { identity: "apiserver-a" },
  );
}

const put = (subsets: unknown) =>
  cluster.store.transact({ conditions: [], operations: [{ type: "put", key, value: Buffer.from(JSON.stringify({ subsets })) }] });

async function announce(name = "apiserver-b", holderIdentity = "b_1"): Promise<void> {
  const { port } = peer.address() as AddressInfo;
  await put([{ addresses: [{ ip: "127.0.0.1" }], ports: [{ port }] }]);
  const labels = { "apiserver.kubernetes.io/identity": "kube-apiserver" };
  await cluster.client.create(leases, { metadata: { namespace: "kube-system", name, labels }, spec: { holderIdentity } });
}

const things = { path: "/apis/later.example.com/v1/things", apiGroup: "later.example.com", apiVersion: "v1", resource: "things" };
const user = { name: "jane", uid: "7", groups: ["people"], extra: { "example.com/team": ["red"] } };

const ask = (headers: Record<string, string> = {}, info: Parameters<typeof fakeContext>[0] = { info: things }): Promise<ApiResponse> =>
  proxy.routed(answerOk)(fakeContext({ ...info, headers, user }));

/** On a busy machine it takes a while. */
const eventually = (check: () => Promise<void> | void) => vi.waitFor(check, 60_000);

const isPassedOn = async (): Promise<void> => expect((await ask()).kind).toBe("stream");
const groupNames = (): (string | undefined)[] => proxy.groups.merge([]).map(({ metadata }) => metadata.name);
const textOf = (response: ApiResponse): string =>
  response.kind === "bytes" ? `${response.status} ${Buffer.from(response.bytes)}` : response.kind;

it("passes on what a peer serves and it does not, with who asks, and marks it so that the peer answers itself", async () => {
  await announce();
  await proxy.start();
  await eventually(isPassedOn);
  await ask({ "x-remote-user": "root", authorization: "Bearer secret", "x-kubernetes-peer-proxied": "false" });
  const { headers, url } = asked.at(-1) ?? {};
  expect(url).toBe(things.path);
  expect(headers).toMatchObject({
    "x-kubernetes-peer-proxied": "true",
    ...{ "x-remote-user": "jane", "x-remote-uid": "7", "x-remote-group": "people", "x-remote-extra-example.com%2fteam": "red" },
  });
  expect(headers).not.toHaveProperty("authorization");
  // The peer was asked for what it serves itself, by this server.
  expect(asked[0]?.headers).toMatchObject({ "x-remote-user": "system:apiserver", "x-kubernetes-peer-proxied": "true" });
  expect(asked[0]?.headers.accept).toMatch(/^application\/json;g=apidiscovery\.k8s\.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer,/);
  expect(metrics.text()).toMatch(
    /apiserver_rerouted_request_total\{code="200",group="later.example.com",resource="things",version="v1"\} \d/,
  );
  expect(metrics.text()).toContain('apiserver_rerouted_request_total{code="200",group="",resource="",version=""} 2');
});

it("answers itself what was passed on once, what nobody serves, and what it serves", async () => {
  await announce();
  await proxy.start();
  await eventually(isPassedOn);
  const count = asked.length;
  expect((await ask({ "x-kubernetes-peer-proxied": "true" })).kind).toBe("object");
  expect((await ask({}, { info: { ...things, resource: "nothing" } })).kind).toBe("object");
  expect((await ask({}, { info: { ...things, isResourceRequest: false } })).kind).toBe("object");
  expect((await ask({}, { info: { path: "/api/v1/pods", resource: "pods" } })).kind).toBe("object");
  expect(asked.length).toBe(count);
});

it("says in upstream's words that a peer does not answer, and that nobody knows where it is", async () => {
  await announce();
  await proxy.start();
  await eventually(isPassedOn);
  const { port } = peer.address() as AddressInfo;
  peer.close();
  peer.closeAllConnections();
  await eventually(async () =>
    expect(textOf(await ask())).toBe(`503 error trying to reach service: dial tcp 127.0.0.1:${port}: connect: connection refused\n`),
  );
  await cluster.store.transact({ conditions: [], operations: [{ type: "delete", key }] });
  await expect(ask()).rejects.toMatchObject({
    status: { code: 503, reason: "ServiceUnavailable", message: "Error getting ip and port info of the remote server while proxying" },
  });
  expect(metrics.text()).toContain(
    'apiserver_peer_proxy_errors_total{group="later.example.com",resource="things",type="endpoint_resolution",version="v1"} 1',
  );
});

it("believes no peer whose certificate another authority has signed, and follows its own lease to nowhere", async () => {
  startProxy(makeServerCertificate(["kubernetes.default.svc"]).caPem);
  await announce("apiserver-a");
  await announce();
  await proxy.start();
  await eventually(() => expect(metrics.text()).toContain('apiserver_peer_discovery_sync_errors_total{type="fetch_discovery"}'));
  expect((await ask()).kind).toBe("object");
  expect(asked).toEqual([]);
});

it("goes nowhere by leases alone: of others, and of servers that have not said where they are", async () => {
  await announce("apiserver-c");
  await put("nonsense");
  await announce();
  await put("nonsense");
  await proxy.start();
  await eventually(() => expect(metrics.text()).toContain('apiserver_peer_discovery_sync_errors_total{type="hostport_resolution"}'));
  expect(asked).toEqual([]);
});

it("asks again when a peer has started again, and forgets it when its lease goes", async () => {
  await announce();
  await proxy.start();
  await eventually(() => expect(groupNames()).toEqual(["later.example.com"]));
  const before = proxy.groups.generation;
  const lease = await cluster.client.get(leases, { namespace: "kube-system", name: "apiserver-b" });
  resources = [thing("newer")];
  await cluster.client.update(leases, { ...lease, spec: { holderIdentity: "b_2" } });
  await eventually(() => expect(proxy.groups.merge([])[0]?.versions[0]?.resources?.[0]?.resource).toBe("newer"));
  expect(proxy.groups.generation).toBeGreaterThan(before);
  await cluster.client.delete(leases, { namespace: "kube-system", name: "apiserver-b" });
  await eventually(() => expect(groupNames()).toEqual([]));
});

it("asks no peer about what is defined in the store, nor for five minutes after it was; then what peers say counts anew", async () => {
  const schema = { openAPIV3Schema: { type: "object" } };
  await cluster.client.create(customresourcedefinitions, {
    metadata: { name: "things.later.example.com" },
    spec: {
      ...{ group: "later.example.com", scope: "Cluster", names: { plural: "things", kind: "Thing" } },
      versions: [{ name: "v1", served: true, storage: true, schema }],
    },
  });
  await announce();
  await proxy.start();
  await eventually(() => expect(asked.length).toBe(2));
  const isLocal = async (): Promise<void> => expect((await ask()).kind).toBe("object");
  await isLocal();
  expect(groupNames()).toEqual([]);
  await cluster.client.delete(customresourcedefinitions, { name: "things.later.example.com" });
  // Nobody waits for its objects here.
  const going = await cluster.client.get(customresourcedefinitions, { name: "things.later.example.com" });
  await cluster.client.update(customresourcedefinitions, { ...going, metadata: { ...going.metadata, finalizers: [] } });
  await cluster.clock.advance(299_000);
  await isLocal();
  expect(asked.length).toBe(2);
  await cluster.clock.advance(2000);
  await eventually(isPassedOn);
  expect(groupNames()).toEqual(["later.example.com"]);
});
