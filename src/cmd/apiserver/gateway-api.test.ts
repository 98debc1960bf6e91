// The Gateway API on a real API server: its definitions take what they should and refuse the rest, and what is written there is
// served, with traffic through every kind of filter, and says in its status how it is.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { connect as connectHttp2, createServer as createHttp2 } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { endpointslices, namespaces, secrets, services } from "../../api/resources.generated.ts";
import type { EndpointSlice } from "../../api/types/discovery-v1.ts";
import type { Condition } from "../../api/types/meta-v1.ts";
import { realClock } from "../../base/clock.ts";
import { StopStack } from "../../base/lifecycle.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import type { Client } from "../../client/client.ts";
import { createEventRecorder } from "../../client/event-recorder.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import {
  type Gateway,
  type GRPCRoute,
  gatewayclasses,
  gateways,
  grpcroutes,
  type HTTPRoute,
  httproutes,
  type ReferenceGrant,
  type RouteRule,
  referencegrants,
} from "../../ingress/gateway/gateway-types.ts";
import { installGatewayApi } from "../../ingress/gateway/install.ts";
import { type IngressController, startIngressController } from "../../ingress/ingress-controller.ts";
import { hostAddresses } from "../../linux/system-info.ts";
import { freePort } from "../../testing/free-port.ts";
import { ApiServerFixture } from "./apiserver-fixture.ts";

const stack = new StopStack();
let client: Client;
let controller: IngressController;
let address: string;
const namespace = "shop";

beforeAll(async () => {
  const fixture = await ApiServerFixture.create();
  stack.defer(() => fixture[Symbol.asyncDispose]());
  const server = await fixture.start();
  client = server.clientFor({ name: "admin", groups: ["system:masters"] });
  await installGatewayApi(client, realClock);
  for (const name of [namespace, "other"]) await client.create(namespaces, { metadata: { name }, spec: {} });
  address = (await hostAddresses()).find(({ family }) => family === 4)?.address ?? "";
  const deps = { client, clock: realClock, logger: silentLogger };
  const informers = stack.add(createInformerFactory(client, { ...deps, deepFreeze: true }));
  const recorder = stack.add(createEventRecorder({ ...deps, component: "ingress-controller" }));
  const machineAddresses = async () => [];
  const options = { address: "127.0.0.1", httpPort: 0, httpsPort: 0, drainMs: 100, publishAddresses: ["192.0.2.7"] };
  controller = stack.add(
    startIngressController({ ...deps, informers, recorder, metrics: new MetricsRegistry(), machineAddresses }, options),
  );
}, 60_000);
afterAll(() => stack.stop());

interface Seen {
  readonly service: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A service whose pod tells what it has been asked. Pods cannot be on the loopback interface. */
async function service(name: string, of = namespace): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  const server = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk) => (body += chunk));
    incoming.on("end", () => {
      const one = { service: name, url: incoming.url ?? "", headers: incoming.headers, body };
      seen.push(one);
      if (one.url.startsWith("/silent")) return;
      response.setHeader("x-from-pod", "yes").end(JSON.stringify(one));
    });
  }).listen(0, address);
  await once(server, "listening");
  stack.defer(() => void server.close().closeAllConnections());
  await client.create(services, { metadata: { namespace: of, name }, spec: { ports: [{ port: 80, protocol: "TCP" }] } });
  await client.create(endpointslices, {
    metadata: { namespace: of, name, labels: { "kubernetes.io/service-name": name } },
    ...{ addressType: "IPv4", ports: [{ port: (server.address() as AddressInfo).port, protocol: "TCP" }] },
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
  } as New<EndpointSlice>);
  return seen;
}

const listener = (port: number, more: object = {}) => ({ name: "http", port, protocol: "HTTP", ...more });
const gateway = (name: string, ...listeners: object[]) =>
  client.create(gateways, { metadata: { namespace, name }, spec: { gatewayClassName: "coracle", listeners } } as New<Gateway>);
const route = (name: string, parent: string, rules: readonly RouteRule[], more: object = {}, of = namespace) =>
  client.create(httproutes, {
    metadata: { namespace: of, name },
    spec: { parentRefs: [{ name: parent, namespace }], rules, ...more },
  } as New<HTTPRoute>);
const to = (name: string, more: object = {}) => ({ name, port: 80, ...more });
const under = (prefix: string) => [{ path: { type: "PathPrefix", value: prefix } }];

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly seen: Seen | undefined;
}

function ask(
  port: number,
  path: string,
  options: { headers?: Record<string, string>; method?: string; body?: string } = {},
): Promise<Answer> {
  const { headers = {}, method = "GET", body } = options;
  return new Promise((resolve, reject) => {
    const all = { host: "a.example.com", ...headers };
    const asking = request({ host: "127.0.0.1", port, path, method, headers: all, agent: false }, (answer: IncomingMessage) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk)).on("error", reject);
      answer.on("end", () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, seen: text.startsWith("{") ? JSON.parse(text) : undefined }),
      );
    });
    asking.on("error", reject);
    asking.end(body);
  });
}

const said = (conditions: readonly Condition[] | undefined): readonly string[] =>
  (conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);
const statusOf = async (name: string) => (await client.get(gateways, { namespace, name })).status;
const routeStatus = async (name: string, of = namespace) =>
  said((await client.get(httproutes, { namespace: of, name })).status?.parents?.[0]?.conditions);
const untilServed = (port: number, path: string) =>
  vi.waitFor(async () => expect((await ask(port, path)).status).toBe(200), { timeout: 20_000 });

describe("calls of gRPC", () => {
  it("come without TLS, are answered with their end, and are refused in the form that clients understand", async () => {
    const port = await freePort();
    const pod = createHttp2({});
    pod.on("stream", (stream, headers) => {
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.respond({ ":status": 200, "content-type": "application/grpc", seen: String(headers[":path"]) }, { waitForTrailers: true });
      stream.pipe(stream);
    });
    pod.listen(0, address);
    await once(pod, "listening");
    stack.defer(() => void pod.close());
    await client.create(services, { metadata: { namespace, name: "greeter" }, spec: { ports: [{ port: 80, protocol: "TCP" }] } });
    await client.create(endpointslices, {
      metadata: { namespace, name: "greeter", labels: { "kubernetes.io/service-name": "greeter" } },
      ...{ addressType: "IPv4", ports: [{ port: (pod.address() as AddressInfo).port, protocol: "TCP" }] },
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
    } as New<EndpointSlice>);
    await gateway("calls", listener(port));
    const rules = [{ matches: [{ method: { service: "hello.Greeter", method: "Greet" } }], backendRefs: [to("greeter")] }];
    const made = { metadata: { namespace, name: "calls" }, spec: { parentRefs: [{ name: "calls" }], rules } } as New<GRPCRoute>;
    const created = await client.create(grpcroutes, made);
    expect(created.spec.rules?.[0]?.matches?.[0]?.method?.type).toBe("Exact");
    const odd = { ...made, metadata: { namespace, name: "odd" }, spec: { rules: [{ matches: [{ method: { service: "no/service" } }] }] } };
    await expect(client.create(grpcroutes, odd)).rejects.toThrow("service must only contain valid characters");
    await expect
      .poll(async () => said((await client.get(grpcroutes, { namespace, name: "calls" })).status?.parents?.[0]?.conditions))
      .toEqual(["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"]);

    const call = (path: string) =>
      new Promise<{ status: number; body: string; trailers: unknown }>((resolve, reject) => {
        const session = connectHttp2(`http://127.0.0.1:${port}`);
        session.on("error", reject);
        const asking = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" });
        let [status, body, trailers] = [0, "", undefined as unknown];
        asking.on("response", (headers) => (status = Number(headers[":status"])));
        asking.on("trailers", (headers) => (trailers = headers["grpc-status"]));
        asking.on("data", (chunk) => (body += chunk)).on("error", reject);
        asking.on("close", () => session.close(() => resolve({ status, body, trailers })));
        asking.end("message");
      });
    await vi.waitFor(async () => expect((await call("/hello.Greeter/Greet")).status).toBe(200), { timeout: 20_000 });
    expect(await call("/hello.Greeter/Greet")).toEqual({ status: 200, body: "message", trailers: "0" });
    // Which clients take for UNIMPLEMENTED.
    expect((await call("/hello.Greeter/Leave")).status).toBe(404);
  });
});

describe("the definitions", () => {
  it("are installed once, with a class that is accepted", async () => {
    await installGatewayApi(client, realClock);
    const status = async () => (await client.get(gatewayclasses, { name: "coracle" })).status;
    await expect.poll(async () => said((await status())?.conditions)).toEqual(["Accepted=True Accepted"]);
    expect((await status())?.supportedFeatures).toContainEqual({ name: "HTTPRoute" });
  });

  it("fill in what is left out", async () => {
    const made = await route("defaults", "nobody", [{ backendRefs: [to("a")] }]);
    expect(made.spec).toEqual({
      parentRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "nobody", namespace }],
      rules: [
        {
          matches: [{ path: { type: "PathPrefix", value: "/" } }],
          backendRefs: [{ group: "", kind: "Service", name: "a", port: 80, weight: 1 }],
        },
      ],
    });
  });

  const redirect = { type: "RequestRedirect", requestRedirect: {} };
  it.each<[string, () => Promise<unknown>, RegExp]>([
    ["a route without the port of a service", () => route("bad", "g", [{ backendRefs: [{ name: "a" }] }]), /Must have port/],
    ["a path that is none", () => route("bad", "g", [{ matches: under("x") }]), /absolute path/],
    ["a filter without its field", () => route("bad", "g", [{ filters: [{ type: "URLRewrite" }] }]), /filter.urlRewrite/],
    ["two redirects", () => route("bad", "g", [{ filters: [redirect, redirect] as never }]), /cannot be repeated/],
    ["a redirect with backends", () => route("bad", "g", [{ filters: [redirect] as never, backendRefs: [to("a")] }]), /must not be used/],
    [
      "TLS where it means nothing",
      () => gateway("bad", listener(80, { tls: { certificateRefs: [{ name: "a" }] } })),
      /must not be specified/,
    ],
    ["HTTPS without a certificate", () => gateway("bad", listener(443, { protocol: "HTTPS", tls: {} })), /certificateRefs or options/],
    ["two listeners alike", () => gateway("bad", listener(80), listener(80, { name: "again" })), /must be unique/],
    ["a hostname that is none", () => gateway("bad", listener(80, { hostname: "A_b" })), /hostname/],
    ["no listener", () => gateway("bad"), /listeners/],
  ])("refuse %s", async (_what, attempt, message) => {
    const error = await attempt().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(isStatus(error, "Invalid"), String(error)).toBe(true);
    expect(String(error)).toMatch(message);
  });
});

describe("gateways", () => {
  it("listen, lead to their routes' services, say so, and stop with the last", async () => {
    const port = await freePort();
    await service("plain");
    await gateway("plain", listener(port));
    await expect
      .poll(async () => said((await statusOf("plain"))?.conditions))
      .toEqual(["Accepted=True Accepted", "Programmed=True Programmed"]);
    expect((await statusOf("plain"))?.addresses).toEqual([{ type: "IPAddress", value: "192.0.2.7" }]);
    expect((await ask(port, "/")).status).toBe(404);
    await route("plain", "plain", [{ backendRefs: [to("plain")] }]);
    await untilServed(port, "/");
    await expect.poll(() => routeStatus("plain")).toEqual(["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"]);
    await expect.poll(async () => (await statusOf("plain"))?.listeners?.[0]?.attachedRoutes).toBe(1);
    expect((await statusOf("plain"))?.listeners?.[0]?.conditions[0]?.observedGeneration).toBe(1);
    await client.delete(gateways, { namespace, name: "plain" });
    await expect.poll(() => controller.gatewayPort("http", port)).toBeUndefined();
    await expect.poll(() => ask(port, "/").catch((error: Error) => error.message)).toMatch("ECONNREFUSED");
    await client.delete(httproutes, { namespace, name: "plain" });
  });

  it("follow a change of their listeners, and say of a port that is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const [port, busy] = [await freePort(), (taken.address() as AddressInfo).port];
    await gateway("moving", listener(busy));
    await expect.poll(async () => said((await statusOf("moving"))?.listeners?.[0]?.conditions)[0]).toBe("Accepted=False PortUnavailable");
    const made = await client.get(gateways, { namespace, name: "moving" });
    await client.update(gateways, { ...made, spec: { ...made.spec, listeners: [listener(port) as never] } });
    await expect.poll(async () => said((await statusOf("moving"))?.conditions)[1]).toBe("Programmed=True Programmed");
    expect((await ask(port, "/")).status).toBe(404);
    taken.close();
  });

  it("show the certificate of the name, also one of another namespace that allows it", async () => {
    const port = await freePort();
    const { privateKey, publicKey } = generateKey();
    const nowMs = realClock.now();
    const certificate = issueCertificate(
      {
        ...{ subject: { commonName: "secure.example.com", organizations: [] }, names: { dnsNames: ["secure.example.com"] }, publicKey },
        ...{ notBeforeMs: nowMs - 1000, notAfterMs: nowMs + 3_600_000, keyUsages: ["digitalSignature"] },
      },
      { key: privateKey },
    );
    const data = { "tls.crt": certificatePem(certificate), "tls.key": privateKeyPem(privateKey) };
    const encoded = Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text).toString("base64")]));
    await client.create(secrets, { metadata: { namespace: "other", name: "pair" }, type: "kubernetes.io/tls", data: encoded });
    const tls = { certificateRefs: [{ name: "pair", namespace: "other" }] };
    await gateway("secure", listener(port, { protocol: "HTTPS", hostname: "*.example.com", tls }));
    const resolved = async () => said((await statusOf("secure"))?.listeners?.[0]?.conditions)[2];
    await expect.poll(resolved).toBe("ResolvedRefs=False RefNotPermitted");
    const from = [{ group: "gateway.networking.k8s.io", kind: "Gateway", namespace }];
    await client.create(referencegrants("v1"), {
      metadata: { namespace: "other", name: "pair" },
      spec: { from, to: [{ group: "", kind: "Secret", name: "pair" }] },
    } as New<ReferenceGrant>);
    await expect.poll(resolved).toBe("ResolvedRefs=True ResolvedRefs");
    await expect.poll(() => controller.gatewayPort("https", port)).toBe(port);
    const socket = connectTls({ host: "127.0.0.1", port, servername: "a.b.example.com", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    expect(socket.getPeerCertificate().subject.CN).toBe("secure.example.com");
    socket.destroy();
  });
});

describe("routes", () => {
  let port: number;
  let mirrored: readonly Seen[];
  beforeAll(async () => {
    port = await freePort();
    const namespacesOf = { namespaces: { from: "All" } };
    await gateway("main", listener(port, { allowedRoutes: namespacesOf }));
    await service("web");
    await service("far", "other");
    mirrored = await service("copy");
    const set = [{ name: "X-Set", value: "set" }];
    const add = [{ name: "X-Add", value: "added" }];
    await route("main", "main", [
      { matches: under("/"), backendRefs: [to("web")] },
      {
        matches: under("/headers"),
        filters: [
          { type: "RequestHeaderModifier", requestHeaderModifier: { set, add, remove: ["X-Gone"] } },
          { type: "ResponseHeaderModifier", responseHeaderModifier: { set, remove: ["X-From-Pod"] } },
        ],
        backendRefs: [to("web", { filters: [{ type: "RequestHeaderModifier", requestHeaderModifier: { add } }] })],
      },
      {
        matches: under("/old"),
        filters: [
          {
            type: "URLRewrite",
            urlRewrite: { hostname: "inside.example", path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/new" } },
          },
        ],
        backendRefs: [to("web")],
      },
      {
        matches: under("/go"),
        filters: [
          {
            type: "RequestRedirect",
            requestRedirect: { scheme: "https", path: { type: "ReplaceFullPath", replaceFullPath: "/there" }, statusCode: 308 },
          },
        ],
      },
      {
        matches: under("/twice"),
        filters: [{ type: "RequestMirror", requestMirror: { backendRef: to("copy") } }],
        backendRefs: [to("web")],
      },
      { matches: under("/silent"), timeouts: { request: "100ms" }, backendRefs: [to("web")] },
      { matches: under("/silent/try"), timeouts: { backendRequest: "100ms" }, backendRefs: [to("web")] },
      { matches: [{ ...under("/if")[0], headers: [{ name: "X-Kind", value: "a" }] }], backendRefs: [to("copy")] },
      { matches: under("/far"), backendRefs: [to("far", { namespace: "other" })] },
    ]);
    await untilServed(port, "/");
  }, 30_000);

  it("change headers on the way there and back", async () => {
    const { headers, seen } = await ask(port, "/headers", { headers: { "x-gone": "1", "x-add": "own", "x-set": "own" } });
    expect(seen?.headers).toMatchObject({ "x-set": "set", "x-add": "own, added, added" });
    expect(seen?.headers).not.toHaveProperty("x-gone");
    expect([headers["x-set"], headers["x-from-pod"]]).toEqual(["set", undefined]);
  });

  it("rewrite host and path, redirect, and look at headers", async () => {
    expect((await ask(port, "/old/a?b=c")).seen).toMatchObject({
      url: "/new/a?b=c",
      headers: { host: "inside.example", "x-forwarded-host": "a.example.com" },
    });
    const { status, headers } = await ask(port, "/go/away?x=y");
    expect([status, headers.location]).toEqual([308, "https://a.example.com/there?x=y"]);
    expect((await ask(port, "/if", { headers: { "x-kind": "a" } })).seen?.service).toBe("copy");
    expect((await ask(port, "/if", { headers: { "x-kind": "b" } })).seen?.service).toBe("web");
  });

  it("send copies of requests with their bodies elsewhere, and answer from the first", async () => {
    const body = "x".repeat(100_000);
    expect((await ask(port, "/twice", { method: "POST", body })).seen).toMatchObject({ service: "web", body });
    await expect.poll(() => mirrored.find(({ url }) => url === "/twice")?.body).toBe(body);
  });

  it("give up in time", async () => {
    expect((await ask(port, "/silent")).status).toBe(504);
    expect((await ask(port, "/silent/try")).status).toBe(504);
  });

  it("lead to services of another namespace once that allows it", async () => {
    expect((await ask(port, "/far")).status).toBe(500);
    expect(await routeStatus("main")).toEqual(["Accepted=True Accepted", "ResolvedRefs=False RefNotPermitted"]);
    const from = [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace }];
    await client.create(referencegrants("v1"), {
      metadata: { namespace: "other", name: "far" },
      spec: { from, to: [{ group: "", kind: "Service" }] },
    } as New<ReferenceGrant>);
    await expect.poll(async () => (await ask(port, "/far")).seen?.service).toBe("far");
    await expect.poll(() => routeStatus("main")).toEqual(["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"]);
  });

  it("of other namespaces come beside, by hostname, and go again; no request fails meanwhile", async () => {
    await route("beside", "main", [{ backendRefs: [to("far")] }], { hostnames: ["*.beside.example.com"] }, "other");
    const headers = { host: "x.y.beside.example.com" };
    await expect.poll(async () => (await ask(port, "/", { headers })).seen?.service).toBe("far");
    expect((await ask(port, "/")).seen?.service).toBe("web");
    await client.delete(httproutes, { namespace: "other", name: "beside" });
    await expect.poll(async () => (await ask(port, "/", { headers })).seen?.service).toBe("web");
  });

  it("carry WebSockets", async () => {
    const upgrading = createServer().listen(0, address);
    upgrading.on("upgrade", (incoming, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      socket.end(`upgraded ${incoming.url}`);
    });
    await once(upgrading, "listening");
    stack.defer(() => void upgrading.close());
    await client.create(services, { metadata: { namespace, name: "sockets" }, spec: { ports: [{ port: 80, protocol: "TCP" }] } });
    await client.create(endpointslices, {
      metadata: { namespace, name: "sockets", labels: { "kubernetes.io/service-name": "sockets" } },
      ...{ addressType: "IPv4", ports: [{ port: (upgrading.address() as AddressInfo).port, protocol: "TCP" }] },
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
    } as New<EndpointSlice>);
    await route("sockets", "main", [{ matches: under("/ws"), backendRefs: [to("sockets")] }]);
    const heard = () =>
      new Promise<string>((resolve) => {
        const socket = connect(port, "127.0.0.1", () =>
          socket.write("GET /ws/a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        );
        let text = "";
        socket.on("data", (chunk) => (text += chunk)).on("close", () => resolve(text));
      });
    await expect.poll(heard).toMatch(/^HTTP\/1.1 101[\s\S]*upgraded \/ws\/a$/);
  });
});
