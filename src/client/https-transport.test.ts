import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { configmaps } from "../api/resources.generated.ts";
import { createClient } from "./create-client.ts";
import { createHttpsTransport, type HttpsTransportOptions } from "./https-transport.ts";

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A server that answers as the handler says, and a client of it. */
async function serve(handler: http.RequestListener, options: Partial<HttpsTransportOptions> = {}) {
  const server = http.createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const transport = createHttpsTransport({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ...options });
  closers.push(() => transport.close());
  return { transport, client: createClient(transport) };
}

const json = (response: http.ServerResponse, status: number, body: unknown, headers: http.OutgoingHttpHeaders = {}): void => {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
};
const at = { namespace: "default", name: "a" };

describe("createHttpsTransport()", () => {
  it("sends method, path, query, credentials and body, and parses the answer", async () => {
    let seen: unknown;
    const { client } = await serve(
      (request, response) => {
        let text = "";
        request.on("data", (chunk) => {
          text += chunk;
        });
        request.on("end", () => {
          seen = {
            method: request.method,
            url: request.url,
            type: request.headers["content-type"],
            token: request.headers.authorization,
            body: JSON.parse(text),
          };
          json(response, 200, { kind: "ConfigMap", metadata: at });
        });
      },
      { credentials: { kind: "token", token: "t" } },
    );
    const answer = await client.patch(configmaps, at, { data: { x: "y" } }, { type: "merge", fieldManager: "me" });
    expect(answer.metadata).toEqual(at);
    expect(seen).toEqual({
      method: "PATCH",
      url: "/api/v1/namespaces/default/configmaps/a?fieldManager=me",
      type: "application/merge-patch+json",
      token: "Bearer t",
      body: { data: { x: "y" } },
    });
  });

  it("throws the server's Status as StatusError, and makes one where there is none", async () => {
    const { client } = await serve((request, response) => {
      if (request.url?.endsWith("/a"))
        json(response, 404, { kind: "Status", code: 404, reason: "NotFound", message: 'configmaps "a" not found' });
      else response.writeHead(502, { "content-type": "text/html" }).end("bad gateway");
    });
    await expect(client.get(configmaps, at)).rejects.toMatchObject({
      name: "StatusError",
      reason: "NotFound",
      message: 'configmaps "a" not found',
    });
    await expect(client.get(configmaps, { ...at, name: "b" })).rejects.toMatchObject({
      name: "StatusError",
      code: 502,
      message: expect.stringContaining("bad gateway"),
    });
  });

  it("tries again what may be repeated when the server asks for it, and not what may not", async () => {
    const calls: string[] = [];
    const { client } = await serve((request, response) => {
      calls.push(request.method ?? "");
      if (calls.length < 3 || request.method === "POST")
        json(response, 429, { kind: "Status", code: 429, reason: "TooManyRequests" }, { "retry-after": "0" });
      else json(response, 200, { metadata: at });
    });
    await client.get(configmaps, at);
    expect(calls).toEqual(["GET", "GET", "GET"]);
    await expect(client.create(configmaps, { metadata: at })).rejects.toMatchObject({ reason: "TooManyRequests" });
    expect(calls).toHaveLength(4);
  });

  it("gives up at the deadline, naming the call", async () => {
    const { client } = await serve(() => undefined);
    await expect(client.get(configmaps, at, { timeoutMs: 50 })).rejects.toMatchObject({
      message: expect.stringMatching(/^GET http:\/\/127\.0\.0\.1:\d+\/api\/v1\/namespaces\/default\/configmaps\/a$/),
      cause: { message: "no answer within 50 ms" },
    });
  });

  it("throws the reason when the caller aborts", async () => {
    const { client } = await serve(() => undefined);
    const abort = new AbortController();
    const call = client.get(configmaps, at, { signal: abort.signal });
    abort.abort(new Error("no longer wanted"));
    await expect(call).rejects.toThrow("no longer wanted");
  });

  it("passes warnings on", async () => {
    const warnings: string[] = [];
    const { client } = await serve((_, response) => json(response, 200, {}, { warning: '299 - "old \\"api\\"", 299 - "second"' }), {
      onWarning: (text) => void warnings.push(text),
    });
    await client.get(configmaps, at);
    expect(warnings).toEqual(['old "api"', "second"]);
  });

  it("refuses an answer beyond its limit", async () => {
    const { client } = await serve((_, response) => json(response, 200, { data: "x".repeat(10_000) }), { maxAnswerBytes: 1000 });
    await expect(client.get(configmaps, at)).rejects.toMatchObject({ cause: { message: "the answer is larger than 1000 bytes" } });
  });

  it("puts kind and version back into the items of a list", async () => {
    const { client } = await serve((_, response) => json(response, 200, { metadata: { resourceVersion: "7" }, items: [{ metadata: at }] }));
    expect((await client.list(configmaps)).items).toEqual([{ metadata: at, apiVersion: "v1", kind: "ConfigMap" }]);
  });

  it("streams a watch in batches, through events cut anywhere, until the caller aborts", async () => {
    const event = (name: string) => `${JSON.stringify({ type: "ADDED", object: { metadata: { name } } })}\n`;
    const text = event("é-one") + event("two");
    const { client } = await serve((_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      const bytes = Buffer.from(text);
      response.write(bytes.subarray(0, 42));
      setTimeout(() => response.write(bytes.subarray(42)), 20);
    });
    const abort = new AbortController();
    const names: string[] = [];
    for await (const batch of await client.watch(configmaps, { signal: abort.signal })) {
      for (const { object } of batch) names.push((object as { metadata: { name: string } }).metadata.name);
      if (names.length === 2) abort.abort();
    }
    expect(names).toEqual(["é-one", "two"]);
  });

  it("throws when a watch is refused, reports an error, or breaks off", async () => {
    let mode = "refuse";
    const { client } = await serve((_, response) => {
      if (mode === "refuse") return json(response, 403, { kind: "Status", code: 403, reason: "Forbidden" });
      response.writeHead(200, { "content-type": "application/json" });
      if (mode === "expire")
        response.end(`${JSON.stringify({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } })}\n`);
      else response.end('{"type":"ADD');
      return undefined;
    });
    const watch = async () => {
      for await (const _ of await client.watch(configmaps)) void _;
    };
    await expect(watch()).rejects.toMatchObject({ reason: "Forbidden" });
    mode = "expire";
    await expect(watch()).rejects.toMatchObject({ reason: "Expired", code: 410 });
    mode = "cut";
    await expect(watch()).rejects.toThrow("the connection ended in the middle of an event");
  });

  it("says where it could not connect", async () => {
    const transport = createHttpsTransport({ server: "https://127.0.0.1:1" });
    closers.push(() => transport.close());
    await expect(createClient(transport).get(configmaps, at)).rejects.toMatchObject({
      message: expect.stringContaining("GET https://127.0.0.1:1/"),
      cause: { code: "ECONNREFUSED" },
    });
  });
});

describe("createClient()", () => {
  it("refuses to address an object without a name or namespace", async () => {
    const { client } = await serve((_, response) => json(response, 200, {}));
    expect(() => client.delete(configmaps, { namespace: "default", name: "" })).toThrow("a name is required");
    expect(() => client.get(configmaps, { name: "a" })).toThrow("a namespace is required");
  });
});
