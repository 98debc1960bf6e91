import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { KubernetesObject, New } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { apiservices, customresourcedefinitions, endpointslices, services } from "../../api/resources.generated.ts";
import type { CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import { realClock } from "../../base/clock.ts";
import { parseFlags } from "../../base/flags.ts";
import { silentLogger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { discoverResources } from "../../client/discovery.ts";
import { type RunningApiServer, startApiServer } from "../../cmd/apiserver/start-apiserver.ts";
import { loopbackUser } from "../authn/user.ts";
import { apiServerFlags, apiServerOptions } from "../options.ts";
import { sampleApiService, sampleService, serviceDns } from "./aggregation-fixture.ts";
import { ExtensionServer, type ExtensionServerOptions } from "./extension-server-fixture.ts";

const root = "/apis/sample.example.com/v1";
const widgets: ResourceType<KubernetesObject> = {
  group: "sample.example.com",
  version: "v1",
  resource: "widgets",
  singular: "widget",
  kind: "Widget",
  namespaced: true,
  verbs: [],
  subresources: [],
};
const widget = (name: string, size = "1") => ({ apiVersion: "sample.example.com/v1", kind: "Widget", metadata: { name }, spec: { size } });

let directory = "";
let server: RunningApiServer;
let client: Client;
let extension: ExtensionServer;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-aggregation-"));
  const tokens = join(directory, "tokens");
  await writeFile(tokens, 'T,admin,admin-id,"system:masters"\nA,alice,alice-id\n');
  const args = ["--data-dir", directory, "--storage=memory", "--bind-address=127.0.0.1", "--secure-port=0", "--token-auth-file", tokens];
  const { values } = parseFlags(apiServerFlags, args);
  server = await startApiServer(apiServerOptions(values), { clock: realClock, logger: silentLogger });
  await server.ready;
  client = server.clientFor(loopbackUser);
});
afterEach(async () => {
  await extension?.stop();
  await server.stop();
  await rm(directory, { recursive: true });
});

async function startExtension(options: Partial<ExtensionServerOptions> = {}): Promise<void> {
  extension = new ExtensionServer({ frontProxyCaPem: server.pki.frontProxyCa.pem.certificate, dns: [serviceDns], ...options });
  await extension.start();
}

async function register(spec: Partial<APIService["spec"]> = {}): Promise<void> {
  await client.create(services, sampleService);
  const service = sampleApiService(extension);
  await client.create(apiservices, { ...service, spec: { ...service.spec, ...spec } });
}

/** Waits until the check does not throw. */
const eventually = (check: () => Promise<void> | void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 20 });
const condition = async (name = "v1.sample.example.com") => (await client.get(apiservices, { name })).status?.conditions?.[0];
const becomes = (expected: object): Promise<void> => eventually(async () => expect(await condition()).toMatchObject(expected));
const available = () => becomes({ type: "Available", status: "True", reason: "Passed", message: "all checks passed" });

interface Asked {
  readonly method?: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

function ask(path: string, { method = "GET", token = "T", headers, body }: Asked = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const all = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers };
    const request = https.request(`${server.url}${path}`, { ca: server.caPem, agent: false, method, headers: all }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += String(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const json = async (path: string, asked?: Asked) => JSON.parse((await ask(path, asked)).text);

/** Lines of a watch over HTTPS as they come. */
async function watchOverHttps(path: string) {
  const lines: { type: string; object: KubernetesObject }[] = [];
  const headers = { authorization: "Bearer T", "accept-encoding": "gzip" };
  const request = https.get(`${server.url}${path}`, { ca: server.caPem, agent: false, headers });
  const ended = new Promise<void>((resolve) => request.on("close", resolve));
  let complete: () => void = () => undefined;
  const completed = new Promise<void>((resolve) => {
    complete = resolve;
  });
  request.on("error", () => undefined);
  const opened = new Promise<number>((resolve) => {
    request.on("response", (response) => {
      response.on("error", () => undefined);
      response.on("end", () => complete());
      response.on("data", (chunk) => {
        for (const line of String(chunk).split("\n")) if (line !== "") lines.push(JSON.parse(line));
      });
      resolve(response.statusCode ?? 0);
    });
  });
  return { status: await opened, lines, end: () => request.destroy(), ended, completed };
}

describe("aggregation", () => {
  it("registers the group versions that are served here", async () => {
    const { items } = await client.list(apiservices);
    expect(items).toHaveLength(21);
    expect(items.find(({ metadata }) => metadata.name === "v1.apps")).toMatchObject({
      metadata: { labels: { "kube-aggregator.kubernetes.io/automanaged": "onstart" } },
      spec: { group: "apps", version: "v1", groupPriorityMinimum: 17800, versionPriority: 15 },
      status: { conditions: [{ type: "Available", status: "True", reason: "Local", message: "Local APIServices are always available" }] },
    });
    const ready = (await ask("/readyz?verbose")).text;
    expect(ready).toContain("[+]autoregister-completion ok\n");
    expect(ready).toContain("[+]poststarthook/apiservice-registration-controller ok\n");
  });

  it("registers the versions of custom resource definitions as long as these serve them", async () => {
    const schema = { openAPIV3Schema: { type: "object" } };
    const version = (name: string, served: boolean, storage = false) => ({ name, served, storage, schema });
    const names = { plural: "things", kind: "Thing", singular: "thing", listKind: "ThingList" };
    const made = await client.create(customresourcedefinitions, {
      metadata: { name: "things.custom.example.com" },
      spec: { group: "custom.example.com", scope: "Namespaced", names, versions: [version("v1", true, true), version("v2", false)] },
    } as unknown as New<CustomResourceDefinition>);
    const registered = async () =>
      (await client.list(apiservices)).items.flatMap(({ metadata }) =>
        metadata.name.endsWith(".custom.example.com") ? [metadata.name] : [],
      );
    await eventually(async () => expect(await registered()).toEqual(["v1.custom.example.com"]));
    expect(await client.get(apiservices, { name: "v1.custom.example.com" })).toMatchObject({
      metadata: { labels: { "kube-aggregator.kubernetes.io/automanaged": "true" } },
      spec: { groupPriorityMinimum: 1000, versionPriority: 100 },
      status: { conditions: [{ status: "True", reason: "Local" }] },
    });
    await client.delete(apiservices, { name: "v1.custom.example.com" });
    await eventually(async () => expect(await registered()).toEqual(["v1.custom.example.com"]));
    const latest = await client.get(customresourcedefinitions, { name: made.metadata.name });
    const versions = [version("v1", false, true), version("v2", true)];
    await client.update(customresourcedefinitions, { ...latest, spec: { ...latest.spec, versions } } as CustomResourceDefinition);
    await eventually(async () => expect(await registered()).toEqual(["v2.custom.example.com"]));
    await client.delete(customresourcedefinitions, { name: made.metadata.name });
    await eventually(async () => expect(await registered()).toEqual([]));
  });

  it("passes requests on, with who asks and without what the client says of itself", async () => {
    await startExtension();
    await register();
    await available();
    const path = `${root}/namespaces/n/widgets`;
    expect(await ask(path, { method: "POST", body: widget("w") })).toMatchObject({ status: 201 });
    expect(JSON.parse((await ask(`${path}/w`)).text)).toMatchObject({ metadata: { name: "w", namespace: "n" }, spec: { size: "1" } });
    expect(await ask(`${path}/w`, { method: "PUT", body: widget("w", "2") })).toMatchObject({ status: 200 });
    expect((await json(`${path}?limit=5&labelSelector=a%3Db`)).items).toMatchObject([{ spec: { size: "2" } }]);
    expect(extension.asked.at(-1)?.url).toBe(`${path}?limit=5&labelSelector=a%3Db`);
    expect(await ask(`${path}/none`)).toMatchObject({ status: 404 });
    const forged = {
      "x-remote-user": "root",
      "x-remote-extra-scopes": "all",
      "x-custom": "kept",
      "audit-id": "id-7",
      connection: "x-hop",
      "x-hop": "1",
    };
    expect(await ask(`${path}/w`, { method: "DELETE", headers: forged })).toMatchObject({ status: 200 });
    const { headers, groups } = extension.asked.at(-1) ?? { headers: {}, groups: [] };
    expect(headers).toMatchObject({ "x-remote-user": "admin", "x-remote-uid": "admin-id", "x-custom": "kept", "audit-id": "id-7" });
    expect(headers).toMatchObject({ "x-forwarded-for": "127.0.0.1", "x-forwarded-uri": `${path}/w` });
    expect(groups).toEqual(["system:masters", "system:authenticated"]);
    for (const absent of ["authorization", "x-remote-extra-scopes", "x-hop"]) expect(headers).not.toHaveProperty(absent);
  });

  it("sends an impersonated user, and asks its own authorizers first", async () => {
    await startExtension();
    await register();
    await available();
    const impersonating = { "impersonate-user": "bob", "impersonate-group": "system:masters", "impersonate-extra-a%2fb": "c" };
    expect(await ask(`${root}/widgets`, { headers: impersonating })).toMatchObject({ status: 200 });
    const { headers } = extension.asked.at(-1) ?? { headers: {} };
    expect(headers).toMatchObject({ "x-remote-user": "bob", "x-remote-extra-a%2fb": "c" });
    expect(headers).not.toHaveProperty("impersonate-user");
    const before = extension.asked.length;
    const refused = await json(`${root}/widgets`, { token: "A" });
    expect(refused).toMatchObject({ code: 403, reason: "Forbidden" });
    expect(refused.message).toContain('User "alice" cannot list resource "widgets" in API group "sample.example.com" at the cluster scope');
    expect(extension.asked).toHaveLength(before);
  });

  it("streams watches over HTTPS and to clients of its own process, and ends them when the client goes", async () => {
    await startExtension();
    await register();
    await available();
    const overHttps = await watchOverHttps(`${root}/widgets?watch=true`);
    const stop = new AbortController();
    const inProcess = await client.watch(widgets, { signal: stop.signal });
    const events = inProcess[Symbol.asyncIterator]();
    await eventually(() => expect(extension.watches).toBe(2));
    await client.create(widgets, { ...widget("w"), metadata: { name: "w", namespace: "n" } });
    expect((await events.next()).value).toMatchObject([{ type: "ADDED", object: { metadata: { name: "w" } } }]);
    await eventually(() => expect(overHttps.lines).toMatchObject([{ type: "ADDED", object: { metadata: { name: "w" } } }]));
    const next = events.next();
    stop.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    overHttps.end();
    await overHttps.ended;
    await eventually(() => expect(extension.watches).toBe(0));
  });

  it("ends watches properly when this server stops", async () => {
    await startExtension();
    await register();
    await available();
    const watch = await watchOverHttps(`${root}/widgets?watch=true`);
    expect(watch.status).toBe(200);
    const stopping = server.stop();
    await watch.completed;
    await stopping;
    await eventually(() => expect(extension.watches).toBe(0));
  });

  it("passes requests of HTTP/2 on, with bodies as they come", async () => {
    await startExtension();
    await register();
    await available();
    const session = connectHttp2(server.url, { ca: server.caPem });
    const path = `${root}/namespaces/n/widgets`;
    const stream = session.request({ ":method": "POST", ":path": path, authorization: "Bearer T", "content-type": "application/json" });
    const text = JSON.stringify(widget("large", "x".repeat(300_000)));
    stream.write(text.slice(0, 1000));
    stream.end(text.slice(1000));
    const status = await new Promise((resolve) => stream.on("response", (headers) => resolve(headers[":status"])));
    let length = 0;
    for await (const chunk of stream) length += (chunk as Buffer).length;
    expect(status).toBe(201);
    expect(length).toBeGreaterThan(300_000);
    session.close();
  });

  it("passes upgraded connections through", async () => {
    await startExtension();
    await register();
    await available();
    const headers = { authorization: "Bearer T", connection: "Upgrade", upgrade: "echo", "x-stream-protocol-version": "a" };
    const request = https.get(`${server.url}${root}/namespaces/n/widgets/w/exec?command=ls`, { ca: server.caPem, agent: false, headers });
    const socket = await new Promise<Duplex>((resolve, reject) => {
      request.on("upgrade", (_response, upgraded) => resolve(upgraded));
      request.on("response", (response) => reject(new Error(`answered ${response.statusCode}`)));
      request.on("error", reject);
    });
    socket.write("hello");
    expect(String(await new Promise((resolve) => socket.once("data", resolve)))).toBe("hello");
    const seen = extension.asked.at(-1);
    expect(seen).toMatchObject({ url: `${root}/namespaces/n/widgets/w/exec?command=ls`, headers: { "x-remote-user": "admin" } });
    expect(seen?.headers).not.toHaveProperty("authorization");
    socket.destroy();
  });

  it("merges discovery in all its forms", async () => {
    await startExtension();
    await register();
    await available();
    const group = { name: "sample.example.com", versions: [{ groupVersion: "sample.example.com/v1", version: "v1" }] };
    const { groups } = await json("/apis");
    expect(groups.at(-1)).toEqual({ ...group, preferredVersion: group.versions[0] });
    expect(groups[0].name).toBe("apiregistration.k8s.io");
    expect(await json("/apis/sample.example.com")).toMatchObject({ kind: "APIGroup", ...group });
    expect(await json(root)).toMatchObject({ kind: "APIResourceList", resources: [{ name: "widgets" }, { name: "widgets/status" }] });
    await eventually(async () => {
      const { resources, stale } = await discoverResources(client);
      expect(stale).toEqual([]);
      expect(resources.find(({ resource }) => resource === "widgets")).toMatchObject({ kind: "Widget", namespaced: true });
    });
    expect((await json("/")).paths).toEqual(expect.arrayContaining(["/apis/sample.example.com", root]));
  });

  it("marks in discovery what cannot be reached, and changes the ETag", async () => {
    await startExtension();
    await register();
    await available();
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const find = async () => {
      const { headers, text } = await ask("/apis", { headers: { accept } });
      const found = (JSON.parse(text).items as { metadata: { name: string } }[]).find((g) => g.metadata.name === "sample.example.com");
      return { found, etag: headers.etag as string };
    };
    await eventually(async () => expect((await find()).found).toMatchObject({ versions: [{ freshness: "Current" }] }));
    const { etag } = await find();
    expect(await ask("/apis", { headers: { accept, "if-none-match": etag } })).toMatchObject({ status: 304 });
    await extension.stop();
    await touch();
    await eventually(async () => expect((await find()).found).toMatchObject({ versions: [{ freshness: "Stale", resources: [{}] }] }));
    expect((await find()).etag).not.toBe(etag);
    expect((await discoverResources(client)).stale).toEqual(["sample.example.com/v1"]);
  });

  /** A change of the APIService that means nothing: everybody looks at it again. */
  async function touch(): Promise<void> {
    await client.patch(apiservices, { name: "v1.sample.example.com" }, { metadata: { labels: { touched: "yes" } } }, { type: "merge" });
  }

  it("answers 503 while the server is down, and goes on when it is back", async () => {
    await startExtension();
    await register();
    await available();
    await extension.stop();
    await touch();
    await becomes({ status: "False", reason: "FailedDiscoveryCheck" });
    expect((await condition())?.message).toMatch(
      /^failing or missing response from (https:\/\/localhost:\d+\/apis\/sample.example.com\/v1): Get "\1": dial tcp .*: connect: connection refused$/,
    );
    expect(await ask(`${root}/widgets`)).toMatchObject({ status: 503, text: "service unavailable\n" });
    expect(await ask(root)).toMatchObject({ status: 503, text: "service unavailable\n" });
    const metrics = (await ask("/metrics")).text;
    expect(metrics).toContain('aggregator_unavailable_apiservice{name="v1.sample.example.com"} 1\n');
    expect(metrics).toContain('aggregator_unavailable_apiservice{name="v1.apps"} 0\n');
    expect(metrics).toContain('aggregator_unavailable_apiservice_total{name="v1.sample.example.com",reason="FailedDiscoveryCheck"} 1\n');
    await extension.start();
    await touch();
    await available();
    expect(await ask(`${root}/widgets`)).toMatchObject({ status: 200 });
  });

  it("says what is wrong with the service before it calls it", async () => {
    await startExtension();
    const service = sampleApiService({ port: 443, caBundle: extension.caBundle });
    await client.create(apiservices, service);
    await becomes({ status: "False", reason: "ServiceNotFound", message: 'service/sample in "default" is not present' });
    const metadata = { name: "sample", namespace: "default" };
    const made = await client.create(services, { metadata, spec: { ports: [{ name: "web", port: 80 }] } as never });
    await becomes({ reason: "ServicePortError", message: 'service/sample in "default" is not listening on port 443' });
    await client.update(services, { ...made, spec: { ...made.spec, ports: [{ name: "web", port: 443 }] } });
    await becomes({ reason: "EndpointsNotFound", message: 'cannot find endpointslices for service/sample in "default"' });
    await client.create(endpointslices, {
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": "sample" } },
      addressType: "IPv4",
      endpoints: [{ addresses: ["10.1.2.3"], conditions: { ready: false } }],
      ports: [{ name: "web", port: 443 }],
    });
    const message = 'endpointslices for service/sample in "default" have no addresses with port name "web"';
    await becomes({ status: "False", reason: "MissingEndpoints", message });
    expect(extension.requests).toEqual([]);
    // A version that nobody has registered is no page, though its group is there; of our own groups it is no resource.
    expect((await json("/apis/sample.example.com")).versions).toMatchObject([{ version: "v1" }]);
    expect(await ask("/apis/sample.example.com/v2")).toMatchObject({ status: 404, text: "404 page not found\n" });
    expect((await json("/apis/apps/v9")).message).toBe("the server could not find the requested resource");
  });

  it("trusts no server with a certificate of somebody else, unless told to", async () => {
    await startExtension({ dns: ["other.default.svc"] });
    await register();
    await becomes({ status: "False", reason: "FailedDiscoveryCheck" });
    expect((await condition())?.message).toContain("x509: certificate is valid for other.default.svc, 127.0.0.1, not sample.default.svc");
    const { metadata, spec, ...rest } = await client.get(apiservices, { name: "v1.sample.example.com" });
    const { caBundle: _, ...open } = spec;
    await client.update(apiservices, { ...rest, metadata, spec: { ...open, insecureSkipTLSVerify: true } });
    await available();
    expect(await ask(`${root}/widgets`)).toMatchObject({ status: 200 });
  });

  it("does not follow or forward redirects", async () => {
    await startExtension();
    await register();
    await available();
    extension.answer = (_request, response) => {
      response.writeHead(302, { location: "https://elsewhere.example.com/" });
      response.end();
    };
    const text = "the backend attempted to redirect this request, which is not permitted\n";
    expect(await ask(`${root}/widgets`)).toMatchObject({ status: 502, text });
  });

  it("serves nothing of a group any more when its APIService is deleted", async () => {
    await startExtension();
    await register();
    await available();
    expect(await ask(`${root}/widgets`)).toMatchObject({ status: 200 });
    await client.delete(apiservices, { name: "v1.sample.example.com" });
    expect(await ask(`${root}/widgets`)).toMatchObject({ status: 404, text: "404 page not found\n" });
    expect(await ask("/apis/sample.example.com")).toMatchObject({ status: 404 });
    expect((await json("/apis")).groups.map((g: { name: string }) => g.name)).not.toContain("sample.example.com");
    expect((await ask("/metrics")).text).not.toContain("v1.sample.example.com");
  });

  it("merges OpenAPI documents, and renames definitions that mean something else", async () => {
    await startExtension();
    await register();
    await available();
    await eventually(async () => expect((await ask("/openapi/v3")).text).toContain(`"/openapi/v3${root}?hash=ABC"`));
    expect((await json(`/openapi/v3${root}?hash=ABC`)).info).toEqual({ title: "sample" });
    await eventually(async () => expect(Object.keys((await json("/openapi/v2")).definitions)).toContain("com.example.Widget"));
    const { paths, definitions } = await json("/openapi/v2");
    const path = `${root}/namespaces/{namespace}/widgets/{name}`;
    expect(paths[path].parameters).toMatchObject([{ name: "name", in: "path" }]);
    const renamed = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta_v2";
    expect(definitions["com.example.Widget"].properties.metadata.$ref).toBe(`#/definitions/${renamed}`);
    expect(definitions[renamed].properties).toEqual({ name: { type: "string" } });
    expect(definitions).not.toHaveProperty(["com.example.Unused"]);
    const protobuf = await ask("/openapi/v2", { headers: { accept: "application/com.github.proto-openapi.spec.v2@v1.0+protobuf" } });
    expect(protobuf.text).toContain("com.example.Widget");
  });

  it("loses nothing of its own to a server that answers nonsense", async () => {
    await startExtension();
    const asked: string[] = [];
    extension.answer = (request, response) => {
      asked.push(request.url ?? "");
      response.writeHead(200, { "content-type": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" });
      response.end('{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"sample.example.com"},"versions":[7]}],"paths":3}');
    };
    await register();
    await available();
    await eventually(() => expect(asked).toEqual(expect.arrayContaining(["/apis", "/openapi/v3"])));
    const { resources, stale } = await discoverResources(client);
    expect(stale).toEqual(["sample.example.com/v1"]);
    expect(resources.map(({ resource }) => resource)).toContain("pods");
    expect((await ask("/openapi/v3")).text).toContain('"/openapi/v3/apis/apps/v1?hash=');
    expect(await ask("/openapi/v2")).toMatchObject({ status: 200 });
    expect(await ask("/readyz")).toMatchObject({ status: 200, text: "ok" });
  });

  it("gives its own APIServices to nobody", async () => {
    await startExtension();
    await client.create(services, sampleService);
    const { spec } = sampleApiService(extension);
    const name = "v1.apiregistration.k8s.io";
    await client.create(apiservices, { metadata: { name }, spec: { ...spec, group: "apiregistration.k8s.io" } });
    extension.answer = (_request, response) => response.end("{}");
    await eventually(async () => expect(await condition(name)).toMatchObject({ status: "True", reason: "Passed" }));
    expect(await json(`/apis/apiregistration.k8s.io/v1/apiservices/${name}`)).toMatchObject({ metadata: { name } });
    expect((await json("/apis/apiregistration.k8s.io/v1")).resources[0].name).toBe("apiservices");
    const { resources } = await discoverResources(client);
    expect(resources.map(({ resource }) => resource)).toContain("apiservices");
  });

  it("keeps conditions of others", async () => {
    await startExtension();
    await register();
    await available();
    const mine = { type: "StatusUpdated", status: "True", reason: "E2E", message: "Set by e2e test" };
    const found = await client.get(apiservices, { name: "v1.sample.example.com" });
    await client.updateStatus(apiservices, { ...found, status: { conditions: [...(found.status?.conditions ?? []), mine] } });
    await extension.stop();
    await touch();
    await becomes({ type: "Available", status: "False" });
    const { status } = await client.get(apiservices, { name: "v1.sample.example.com" });
    expect(status?.conditions).toMatchObject([{ type: "Available", reason: "FailedDiscoveryCheck" }, mine]);
  });

  it("understands servers from before aggregated discovery and OpenAPI v3", async () => {
    await startExtension({ isOld: true });
    await register();
    await available();
    await eventually(async () => {
      const { resources } = await discoverResources(client);
      expect(resources.find(({ resource }) => resource === "widgets")).toMatchObject({
        kind: "Widget",
        subresources: [{ name: "status" }],
      });
    });
    await eventually(async () => expect((await ask("/openapi/v3")).text).toContain(`"/openapi/v3${root}?hash=`));
    const document = await json(`/openapi/v3${root}`);
    const { get } = document.paths[`${root}/namespaces/{namespace}/widgets/{name}`];
    const schema = { $ref: "#/components/schemas/com.example.Widget" };
    expect(get.responses[200].content).toEqual({ "application/json": { schema } });
    expect(document.components.schemas["com.example.Widget"].properties.spec.additionalProperties).toEqual({ type: "string" });
  });
});
