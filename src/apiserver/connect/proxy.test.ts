// services/proxy against a real server on the loopback interface, which stands for a pod.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { endpoints, nodes, pods, services } from "../../api/resources.generated.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { parseRequestInfo } from "../http/request-info.ts";
import type { ApiResponse, RequestBody, RequestContext } from "../request.ts";
import { proxyConnects } from "./proxy.ts";

const prefix = "/api/v1/namespaces/proxy-1/services/web:80/proxy";
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let port: number;

beforeEach(async () => {
  const server = createServer((request, response) => answer(request, response)).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  port = (server.address() as AddressInfo).port;
  onTestFinished(() => void server.close());
});

interface Sent {
  readonly status: number;
  readonly text: string;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface Extras {
  readonly body?: RequestBody;
  /** Of the pod. */
  readonly podIP?: string;
}

async function send(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  { body = { kind: "none" }, podIP = "127.0.0.1" }: Extras = {},
): Promise<Sent> {
  const reader = new MemoryReader();
  reader.put(services, { metadata: { namespace: "proxy-1", name: "web" }, spec: { ports: [{ port: 80 }] } });
  reader.put(nodes, {
    metadata: { name: "n1" },
    spec: {},
    status: { addresses: [{ type: "InternalIP", address: "127.0.0.1" }], daemonEndpoints: { kubeletEndpoint: { Port: 9 } } },
  });
  reader.put(pods, { metadata: { namespace: "proxy-1", name: "p" }, spec: { containers: [] }, status: { podIP, podIPs: [{ ip: podIP }] } });
  const addresses = [{ ip: "127.0.0.1", targetRef: { kind: "Pod", namespace: "proxy-1", name: "p" } }];
  reader.put(endpoints, { metadata: { namespace: "proxy-1", name: "web" }, subsets: [{ ports: [{ port }], addresses }] });
  const deps = {
    ...{ kubeletTls: {}, pods: reader.informer(pods), nodes: reader.informer(nodes) },
    ...{ services: reader.informer(services), endpoints: reader.informer(endpoints) },
  };
  const [plain = "", search = ""] = path.split("?");
  const query = new URLSearchParams(search);
  const request = { method, path: plain, uri: path, query, headers, body, signal: new AbortController().signal };
  const context = { request, info: parseRequestInfo(method, plain, query) } as unknown as RequestContext; // what a proxy reads
  const handler = proxyConnects(deps)[`/${context.info.resource}/proxy`];
  if (!handler) throw new Error("there is no proxy");
  return read(await handler(context));
}

async function read(response: ApiResponse): Promise<Sent> {
  if (response.kind !== "bytes" && response.kind !== "stream") throw new Error(response.kind);
  const chunks: Uint8Array[] = [];
  if (response.kind === "bytes") chunks.push(response.bytes);
  else for await (const chunk of response.chunks) chunks.push(chunk);
  const { status, contentType, headers = {} } = response;
  return { status, contentType, headers, text: Buffer.concat(chunks).toString("utf8") };
}

describe("services/proxy", () => {
  it("sends the path behind the proxy and the query on, without credentials, and tells where it came from", async () => {
    answer = (request, response) => response.end(JSON.stringify([request.method, request.url, request.headers]));
    const [method, url, headers] = JSON.parse((await send("POST", `${prefix}/a/b?c=d`, { authorization: "Bearer x", "x-own": "1" })).text);
    expect([method, url]).toEqual(["POST", "/a/b?c=d"]);
    expect(headers).toMatchObject({ host: `127.0.0.1:${port}`, "x-own": "1", "x-forwarded-uri": `${prefix}/a/b` });
    expect(headers.authorization).toBeUndefined();
  });

  it("leaves the query as it was written", async () => {
    answer = (request, response) => response.end(request.url);
    const query = "match[]=a%20b&flag&c=x+y&d=1;e=%zz";
    expect((await send("GET", `${prefix}/metrics?${query}`)).text).toBe(`/metrics?${query}`);
    expect(await send("GET", `${prefix}?${query}`)).toMatchObject({ status: 301, headers: { location: `${prefix}/?${query}` } });
  });

  it("sends readers to the path with a slash at its end, writers on", async () => {
    answer = (request, response) => response.end(request.url);
    expect(await send("GET", `${prefix}?a=b`)).toMatchObject({ status: 301, headers: { location: `${prefix}/?a=b` } });
    expect(await send("GET", `${prefix}/`)).toMatchObject({ status: 200, text: "/" });
    expect(await send("POST", prefix)).toMatchObject({ status: 200, text: "/" });
  });

  it("makes redirects and links of pages lead through the proxy", async () => {
    answer = (_request, response) => response.writeHead(302, { location: `http://127.0.0.1:${port}/login` }).end();
    expect(await send("GET", `${prefix}/`)).toMatchObject({ status: 302, headers: { location: `${prefix}/login` } });

    const page = '<a href="/a">ä</a>';
    answer = (_request, response) => response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page);
    expect(await send("GET", `${prefix}/`)).toMatchObject({ text: `<a href="${prefix}/a">ä</a>`, contentType: "text/html; charset=utf-8" });
    answer = (_request, response) =>
      response.writeHead(200, { "content-type": "text/html", "content-encoding": "gzip" }).end(gzipSync(page));
    const unpacked = await send("GET", `${prefix}/`);
    expect(unpacked.text).toBe(`<a href="${prefix}/a">ä</a>`);
    expect(unpacked.headers["content-encoding"]).toBeUndefined();
    answer = (_request, response) => response.writeHead(200, { "content-type": "text/plain" }).end(page);
    expect((await send("GET", `${prefix}/`)).text).toBe(page);
  });

  it("leaves large pages, and those it cannot read, as they are", async () => {
    const large = `<a href="/a">${"x".repeat(5 * 1024 * 1024)}`;
    answer = (_request, response) => response.writeHead(200, { "content-type": "text/html" }).end(large);
    expect((await send("GET", `${prefix}/`)).text).toBe(large);
    const encoding = { "content-type": "text/html", "content-encoding": "gzip" };
    answer = (_request, response) => response.writeHead(200, encoding).end("no gzip");
    expect(await send("GET", `${prefix}/`)).toMatchObject({ text: "no gzip", headers: { "content-encoding": "gzip" } });
    answer = (_request, response) => response.writeHead(200, encoding).end(gzipSync(large));
    expect((await send("GET", `${prefix}/`)).headers["content-encoding"]).toBe("gzip");
  });

  it("says so when the pod does not answer", async () => {
    answer = (request) => request.socket.destroy();
    await expect(send("GET", `${prefix}/`)).rejects.toMatchObject({
      reason: "ServiceUnavailable",
      message: expect.stringContaining("error trying to reach service"),
    });
  });
});

describe("nodes/proxy", () => {
  it("reaches what listens on a port of the node, by the scheme that is asked for", async () => {
    answer = (request, response) => response.end(request.url);
    expect(await send("GET", `/api/v1/nodes/n1:${port}/proxy/a`)).toMatchObject({ status: 200, text: "/a" });
    expect(await send("GET", `/api/v1/nodes/http:n1:${port}/proxy/b`)).toMatchObject({ status: 200, text: "/b" });
  });

  it("asks the kubelet over TLS where the port is the kubelet's, or none is given", async () => {
    for (const name of ["n1", "n1:9", "http:n1:9"])
      await expect(send("GET", `/api/v1/nodes/${name}/proxy/pods`)).rejects.toThrow(
        "error trying to reach service: dial tcp 127.0.0.1:9: connect: connection refused",
      );
  });

  it("knows nodes by their names alone", async () => {
    await expect(send("GET", "/api/v1/nodes/n2:10250/proxy/pods")).rejects.toThrow('nodes "n2" not found');
  });
});

describe("pods/proxy", () => {
  const podPath = (name: string): string => `/api/v1/namespaces/proxy-1/pods/${name}/proxy/a`;

  it("reaches a port of the pod", async () => {
    answer = (request, response) => response.end(request.url);
    expect(await send("GET", podPath(`p:${port}`))).toMatchObject({ status: 200, text: "/a" });
  });

  it.each([
    ["p:x@127.0.0.1", "lookup tcp/x@127.0.0.1: unknown port"],
    ["http:p:80%40localhost", "lookup tcp/80@localhost: unknown port"],
    ["https:p:@localhost", "lookup tcp/@localhost: unknown port"],
    ["p:80%3F", "lookup tcp/80?: unknown port"],
    ["p:99999", "address 99999: invalid port"],
  ])("reaches no other host by what stands for a port (%s)", async (name, why) => {
    await expect(send("GET", podPath(name))).rejects.toThrow(`error trying to reach service: dial tcp: ${why}`);
    await expect(send("GET", `/api/v1/nodes/${name.replace(/(?<![a-z])p:/, "n1:")}/proxy/a`)).rejects.toThrow(why);
  });

  it.each(["169.254.169.254", "fe80::1", "0.0.0.0", "::"])(
    "reaches no address that only the machine's own link knows (%s)",
    async (podIP) => {
      await expect(send("GET", podPath("p:80"), {}, { podIP })).rejects.toThrow("address not allowed");
    },
  );

  it("passes a body on as it comes, and never holds it whole", async () => {
    answer = async (request, response) => {
      let length = 0;
      for await (const chunk of request) length += (chunk as Buffer).length;
      response.end(JSON.stringify([request.headers["content-length"] ?? request.headers["transfer-encoding"], length]));
    };
    const stream = (): Readable => Readable.from([Buffer.alloc(1000), Buffer.alloc(2000)]);
    const body: RequestBody = { kind: "bytes", read: () => Promise.reject(new Error("read whole")), stream };
    expect((await send("POST", podPath(`p:${port}`), {}, { body })).text).toBe('["chunked",3000]');
    expect((await send("POST", podPath(`p:${port}`), { "content-length": "3000" }, { body })).text).toBe('["3000",3000]');
  });

  it("fails where a body breaks off", async () => {
    answer = (request) => void request.resume();
    const stream = (): Readable =>
      new Readable({
        read() {
          this.push(Buffer.alloc(10));
          this.destroy(new Error("gone"));
        },
      });
    const body: RequestBody = { kind: "bytes", read: () => Promise.reject(new Error("read whole")), stream };
    await expect(send("POST", podPath(`p:${port}`), {}, { body })).rejects.toThrow("the body of the request was cut short");
  });
});
