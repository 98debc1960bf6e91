// Requests to pods that speak HTTP/2 without TLS, through real sockets: calls with messages in both directions, their ends, and
// pods that are not there.
import { once } from "node:events";
import { request as http1Request } from "node:http";
import { connect, constants, createServer, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { realClock } from "../base/clock.ts";
import { StopStack } from "../base/lifecycle.ts";
import { silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { createIngressMetrics } from "./ingress-metrics.ts";
import { IngressProxy, type IngressProxyOptions } from "./ingress-proxy.ts";
import type { Endpoint } from "./ready-endpoints.ts";
import { compileRoutes, type RoutePolicy } from "./routes.ts";

let stack = new StopStack();
afterEach(async () => {
  const ended = stack;
  stack = new StopStack();
  await ended.stop();
});

const endpoint = (port: number): Endpoint => ({ address: "127.0.0.1", port, key: `127.0.0.1:${port}` });

async function pod(serve: (stream: ServerHttp2Stream, headers: Readonly<Record<string, unknown>>) => void): Promise<Endpoint> {
  const server = createServer();
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    serve(stream, headers);
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => void sessions.add(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(async () => {
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return endpoint((server.address() as AddressInfo).port);
}

/** A port on which nobody listens. */
async function deadEndpoint(): Promise<Endpoint> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return endpoint(port);
}

async function serve(
  endpoints: readonly Endpoint[],
  policy: Partial<RoutePolicy> = {},
  options: Partial<IngressProxyOptions> = {},
): Promise<number> {
  const deps = {
    ...{ clock: realClock, logger: silentLogger, metrics: createIngressMetrics(new MetricsRegistry()) },
    endpointsOf: () => endpoints,
    changed: () => undefined,
  };
  const proxy = stack.add(new IngressProxy(deps, { address: "127.0.0.1", drainMs: 200, ...options }));
  const backend = { namespace: "d", service: "calls", port: 80 };
  const target = { backend, policy: { redirectToHttps: false, protocol: "h2c" as const, ...policy }, source: "d/r" };
  const table = compileRoutes([{ host: undefined, match: "prefix", path: "/", target }]);
  proxy.use([{ scheme: "http", port: 0, h2c: true, sites: [{ host: undefined, table }] }]);
  await expect.poll(() => proxy.port("http", 0)).toBeDefined();
  return proxy.port("http", 0) ?? 0;
}

const session = (port: number) => {
  const made = connect(`http://127.0.0.1:${port}`);
  made.on("error", () => undefined);
  stack.defer(() => void made.destroy());
  return made;
};
const grpc = { ":method": "POST", ":path": "/a.B/C", "content-type": "application/grpc", te: "trailers" };

describe("requests to pods that speak HTTP/2", () => {
  it("carry messages in both directions at once, and the end of the call", async () => {
    const seen: Readonly<Record<string, unknown>>[] = [];
    const port = await serve([
      await pod((stream, headers) => {
        seen.push(headers);
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "grpc-message": "fine" }));
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("data", (chunk) => stream.write(`echo ${chunk}`));
        stream.on("end", () => stream.end());
      }),
    ]);
    const call = session(port).request({ ...grpc, "x-forwarded-for": "6.6.6.6" });
    const answers: string[] = [];
    const trailers = once(call, "trailers");
    call.on("data", (chunk) => answers.push(String(chunk)));
    call.write("one");
    await once(call, "response");
    await expect.poll(() => answers.join()).toBe("echo one");
    call.write("two");
    await expect.poll(() => answers.join()).toBe("echo one,echo two");
    call.end();
    expect((await trailers)[0]).toMatchObject({ "grpc-status": "0", "grpc-message": "fine" });
    expect(seen[0]).toMatchObject({ te: "trailers", ":authority": `127.0.0.1:${port}`, "x-forwarded-for": "127.0.0.1" });
  });

  it("that fail at once say so in their head, as the end of the answer", async () => {
    const port = await serve([
      await pod((stream) =>
        stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "5" }, { endStream: true }),
      ),
    ]);
    const call = session(port).request(grpc);
    call.end();
    const [headers, flags] = await once(call, "response");
    expect(headers["grpc-status"]).toBe("5");
    expect(flags & constants.NGHTTP2_FLAG_END_STREAM).not.toBe(0);
  });

  it("go to another pod when there is no connection to the first, with their body", async () => {
    const port = await serve([
      await deadEndpoint(),
      await pod((stream) => {
        stream.respond({ ":status": 200 });
        stream.pipe(stream);
      }),
    ]);
    for (let i = 0; i < 3; i++) {
      const call = session(port).request(grpc);
      let text = "";
      call.on("data", (chunk) => (text += chunk));
      call.end("message");
      await once(call, "end");
      expect(text).toBe("message");
    }
    const nobody = session(await serve([await deadEndpoint()])).request(grpc);
    nobody.end();
    expect((await once(nobody, "response"))[0][":status"]).toBe(502);
  });

  it("may come by HTTP/1.1, at the same port", async () => {
    const port = await serve([
      await pod((stream, headers) => {
        stream.respond({ ":status": 201, "x-method": String(headers[":method"]) });
        stream.end("by two");
      }),
    ]);
    const asking = http1Request({ port, path: "/x", method: "PUT", agent: false });
    asking.end("body");
    const [answer] = await once(asking, "response");
    let text = "";
    for await (const chunk of answer) text += chunk;
    expect([answer.statusCode, answer.headers["x-method"], text]).toEqual([201, "PUT", "by two"]);
  });

  it("are changed by filters, and end in time", async () => {
    const changes = { set: [["x-set", "1"]], add: [], remove: ["x-gone"] } as const;
    const filters = { requestHeaders: [changes], responseHeaders: [changes], mirrors: [], requestTimeoutMs: 200 };
    const port = await serve(
      [
        await pod((stream, headers) => {
          if (headers[":path"] === "/silent") return;
          stream.respond({ ":status": 200, "x-gone": "1", seen: `${headers["x-set"]} ${headers["x-gone"]}` }, { endStream: true });
        }),
      ],
      { filters },
    );
    const client = session(port);
    const call = client.request({ ...grpc, "x-gone": "1" });
    call.end();
    const [headers] = await once(call, "response");
    expect([headers.seen, headers["x-set"], headers["x-gone"]]).toEqual(["1 undefined", "1", undefined]);
    const silent = client.request({ ...grpc, ":path": "/silent" });
    silent.end();
    expect((await once(silent, "response"))[0][":status"]).toBe(504);
  });

  it("that a client gives up are given up at the pod", async () => {
    let isClosed = false;
    const port = await serve([
      await pod((stream) => {
        stream.respond({ ":status": 200 });
        stream.write("first");
        stream.on("close", () => (isClosed = true));
      }),
    ]);
    const call = session(port).request(grpc);
    await once(call, "response");
    call.on("error", () => undefined);
    call.close(constants.NGHTTP2_CANCEL);
    await expect.poll(() => isClosed).toBe(true);
  });
});
