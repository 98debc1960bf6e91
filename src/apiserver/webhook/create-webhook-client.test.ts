import { describe, expect, onTestFinished, test } from "vitest";
import { endpointslices, services } from "../../api/resources.generated.ts";
import { realClock } from "../../base/clock.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { createWebhookClient, type WebhookClientOptions } from "./create-webhook-client.ts";
import { createServiceResolver } from "./service-resolver.ts";
import type { WebhookClient } from "./webhook-client.ts";
import { WebhookError } from "./webhook-error.ts";
import { type Answering, startWebhookServer, type WebhookServer } from "./webhook-server-fixture.ts";
import { callUrl, webhookTarget } from "./webhook-target.ts";

function newClient(options?: WebhookClientOptions): WebhookClient {
  const client = createWebhookClient({ clock: realClock }, options);
  onTestFinished(() => client.stop());
  return client;
}

async function newServer(answer: Answering, dns?: readonly string[]): Promise<WebhookServer> {
  const server = await startWebhookServer(answer, dns);
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

const failureOf = (call: Promise<unknown>): Promise<WebhookError> =>
  call.then(
    () => Promise.reject(new Error("expected a failure")),
    (error: unknown) => {
      expect(error).toBeInstanceOf(WebhookError);
      return error as WebhookError;
    },
  );
const call = { body: { n: 1 }, timeoutMs: 10_000 };

describe("post()", () => {
  test("sends JSON, gives the decoded answer, and keeps the connection", async () => {
    const server = await newServer((body) => ({ body: { got: body } }));
    const client = newClient();
    const target = { url: server.url("/x?y=1"), caPem: server.caPem };
    expect(await client.post(target, call)).toEqual({ got: { n: 1 } });
    expect(await client.post(target, call)).toEqual({ got: { n: 1 } });
    expect(server.paths).toEqual(["/x?y=1", "/x?y=1"]);
    expect(server.connections()).toBe(1);
  });

  test("goes to another address than the name in the URL says, and checks that name", async () => {
    const server = await newServer(() => ({ body: {} }), ["hook.ns.svc"]);
    const client = newClient();
    const target = { url: "https://hook.ns.svc:443/", caPem: server.caPem, connectTo: { host: "127.0.0.1", port: server.port } };
    expect(await client.post({ ...target, serverName: "hook.ns.svc" }, call)).toEqual({});
    const other = await failureOf(client.post({ ...target, serverName: "other.ns.svc" }, call));
    expect(other.failure).toBe("certificate");
    expect(other.message).toBe(
      'Post "https://hook.ns.svc:443/": tls: failed to verify certificate: x509: certificate is valid for hook.ns.svc, 127.0.0.1, not other.ns.svc',
    );
  });

  test("refuses a certificate of an unknown authority", async () => {
    const server = await newServer(() => ({ body: {} }));
    const error = await failureOf(newClient().post({ url: server.url() }, call));
    expect(error.failure).toBe("certificate");
    expect(error.message).toContain("x509: certificate signed by unknown authority");
    expect(server.bodies).toEqual([]);
  });

  test("says that nobody listens", async () => {
    const server = await newServer(() => ({ body: {} }));
    await server[Symbol.asyncDispose]();
    const error = await failureOf(newClient().post({ url: server.url("/p") }, call));
    expect(error.message).toBe(`Post "${server.url("/p")}": dial tcp 127.0.0.1:${server.port}: connect: connection refused`);
  });

  test("ends at its deadline and when the caller gives up", async () => {
    const server = await newServer(() => undefined);
    const client = newClient();
    const target = { url: server.url(), caPem: server.caPem };
    const late = await failureOf(client.post(target, { ...call, timeoutMs: 50 }));
    expect([late.failure, late.message]).toEqual(["timeout", `Post "${server.url()}": context deadline exceeded`]);
    const given = new AbortController();
    const pending = failureOf(client.post(target, { ...call, signal: given.signal }));
    given.abort();
    expect((await pending).message).toContain("context canceled");
  });

  test("follows redirects, with what is sent where the answer says so, but not for ever", async () => {
    const server = await newServer((body, { url, method }) =>
      url === "/end"
        ? { body: { got: body ?? "nothing", method } }
        : { status: url === "/again" ? 307 : 302, headers: { location: url === "/loop" ? "/loop" : "/end" }, body: "" },
    );
    const client = newClient();
    const at = (path: string) => ({ url: server.url(path), caPem: server.caPem });
    expect(await client.post(at("/again"), call)).toEqual({ got: { n: 1 }, method: "POST" });
    expect(await client.post(at("/elsewhere"), call)).toEqual({ got: "nothing", method: "GET" });
    expect((await failureOf(client.post(at("/loop"), call))).message).toBe(`Post "/loop": stopped after 10 redirects`);
    expect(server.paths.filter((path) => path === "/loop")).toHaveLength(10);
  });

  test("comes back when a busy server says to, until its deadline", async () => {
    let calls = 0;
    const server = await newServer(() => (++calls < 3 ? { status: 429, headers: { "retry-after": "0" }, body: "" } : { body: { calls } }));
    const target = { url: server.url(), caPem: server.caPem };
    expect(await newClient().post(target, call)).toEqual({ calls: 3 });
    server.answer = () => ({ status: 503, headers: { "retry-after": "60" }, body: "" });
    const late = await failureOf(newClient().post(target, { ...call, timeoutMs: 50 }));
    expect(late.message).toBe(`Post "${server.url()}": context deadline exceeded`);
  });

  test("does not take answers that are too long, no objects, or no success", async () => {
    const server = await newServer(() => ({ body: { text: "x".repeat(200) } }));
    const client = newClient({ maxAnswerBytes: 200 });
    const target = { url: server.url(), caPem: server.caPem };
    const messageOf = async (status: number, body: unknown, type?: string): Promise<string> => {
      server.answer = () => ({ status, body, ...(type ? { headers: { "content-type": type } } : {}) });
      return (await failureOf(client.post(target, call))).message;
    };
    expect(await failureOf(client.post(target, call))).toMatchObject({ failure: "answer" });
    expect(await messageOf(200, "no json")).toContain("couldn't get version/kind; json parse error: json: cannot unmarshal string");
    expect(await messageOf(204, "")).toContain("0-length response with status code: 204");
    expect(await messageOf(500, "broken", "text/plain")).toBe(
      'an error on the server ("broken") has prevented the request from succeeding',
    );
    expect(await messageOf(500, "broken")).toBe('an error on the server ("unknown") has prevented the request from succeeding');
    expect(await messageOf(500, { apiVersion: "v1", kind: "Status", status: "Failure", message: "told" })).toBe("told");
    expect(await messageOf(400, "broken")).toBe("the server rejected our request for an unknown reason");
  });

  test("says where redirects and addresses lead that lead nowhere", async () => {
    const server = await newServer((_, { url }) => ({
      status: 307,
      headers: { location: url === "/ftp" ? "ftp://x/y" : "https://[::bad" },
      body: "",
    }));
    const messageOf = async (url: string) => (await failureOf(newClient().post({ url, caPem: server.caPem }, call))).message;
    expect(await messageOf(server.url("/ftp"))).toBe('Post "ftp://x/y": unsupported protocol scheme "ftp"');
    expect(await messageOf(server.url("/bad"))).toBe(
      `Post "${server.url("/bad")}": failed to parse Location header "https://[::bad": parse "https://[::bad": missing ']' in host`,
    );
    expect(await messageOf("https://127.0.0.1:70000/")).toBe('Post "https://127.0.0.1:70000/": dial tcp: address 70000: invalid port');
    expect(await messageOf("https://127.0.0.1:0/")).toBe('Post "https://127.0.0.1:0/": dial tcp 127.0.0.1:0: connect: connection refused');
  });

  test("looks at the names of a certificate before who has signed it", async () => {
    const server = await newServer(() => ({ body: {} }), ["elsewhere"]);
    const error = await failureOf(newClient().post({ url: server.url(), serverName: "wanted" }, call));
    expect(error.message).toContain("x509: certificate is valid for elsewhere, 127.0.0.1, not wanted");
  });

  test("reads a byte order mark away, and takes no media type that is none", async () => {
    const server = await newServer(() => ({ body: '\ufeff{"a":1}' }));
    const target = { url: server.url(), caPem: server.caPem };
    expect(await newClient().post(target, call)).toEqual({ a: 1 });
    server.answer = () => ({ headers: { "content-type": ";;;" }, body: "{}" });
    expect((await failureOf(newClient().post(target, call))).message).toBe("Internal error occurred: mime: no media type");
  });

  test("replaces a kept connection that the server has closed", async () => {
    const server = await newServer(() => ({ body: {} }));
    const client = newClient();
    const target = { url: server.url(), caPem: server.caPem };
    await client.post(target, call);
    server.dropConnections();
    expect(await client.post(target, call)).toEqual({});
    expect(server.connections()).toBe(2);
  });

  test("says what happened where the server closes one kept connection after the other", async () => {
    let closes = false;
    const server = await newServer((_body, request) => {
      if (closes) request.socket.destroy();
      return { body: {} };
    });
    const client = newClient();
    const target = { url: server.url(), caPem: server.caPem };
    await Promise.all([client.post(target, call), client.post(target, call)]);
    closes = true;
    const failure = await failureOf(client.post(target, call));
    expect([failure.failure, failure.message]).toEqual(["connection", `Post "${target.url}": EOF`]);
  });
});

describe("callUrl()", () => {
  test.each([
    ["https://h/a/", "", "https://h/a"],
    ["https://h/a//b/../c/", "timeout=5s", "https://h/a/c?timeout=5s"],
    ["https://h", "timeout=5s", "https://h?timeout=5s"],
    ["https://h:8443/?x=1", "timeout=5s", "https://h:8443/?x=1&timeout=5s"],
  ])("makes the path of %s simple", (url, query, expected) => expect(callUrl(url, query)).toBe(expected));
});

describe("createServiceResolver()", () => {
  const where = { namespace: "ns", name: "hook", port: 443 };
  const spec = { clusterIP: "10.0.0.9", ports: [{ name: "https", port: 443, targetPort: "tls" }], selector: { app: "hook" } };
  const slice = (name: string, ready: boolean) => ({
    metadata: { name, namespace: "ns", labels: { "kubernetes.io/service-name": "hook" } },
    addressType: "IPv4" as const,
    ports: [{ name: "https", port: 8443 }],
    endpoints: [{ addresses: [`10.1.0.${name.length}`], conditions: { ready } }],
  });

  test("chooses a ready endpoint and its target port", () => {
    const reader = new MemoryReader();
    const resolve = createServiceResolver({ reader, clock: realClock });
    expect(() => resolve(where)).toThrow('service "hook" not found');
    reader.put(services, { metadata: { namespace: "ns", name: "hook" }, spec });
    expect(() => resolve(where)).toThrow('no endpoints available for service "hook"');
    reader.put(endpointslices, slice("a", false));
    expect(() => resolve(where)).toThrow('no endpoints available for service "hook"');
    reader.put(endpointslices, slice("bb", true));
    expect(resolve(where)).toEqual({ host: "10.1.0.2", port: 8443 });
    expect(() => resolve({ ...where, port: 80 })).toThrow('no service port 80 found for service "hook"');
  });

  test("goes to the cluster address where nothing is selected, and to an external name", () => {
    const reader = new MemoryReader();
    const resolve = createServiceResolver({ reader, clock: realClock });
    const { selector: _, ...unselecting } = spec;
    reader.put(services, { metadata: { namespace: "ns", name: "hook" }, spec: unselecting });
    expect(resolve(where)).toEqual({ host: "10.0.0.9", port: 443 });
    reader.put(services, { metadata: { namespace: "ns", name: "hook" }, spec: { type: "ExternalName", externalName: "hook.example.org" } });
    expect(resolve(where)).toEqual({ host: "hook.example.org", port: 443 });
  });

  test("a target that cannot be resolved fails as a call does", () => {
    const resolve = createServiceResolver({ reader: new MemoryReader(), clock: realClock });
    const target = (): unknown => webhookTarget({ service: { namespace: "ns", name: "hook", path: "/v" } }, resolve, "timeout=5s");
    expect(target).toThrow('Post "https://hook.ns.svc:443/v?timeout=5s": service "hook" not found');
    expect(target).toThrow(WebhookError);
  });
});
