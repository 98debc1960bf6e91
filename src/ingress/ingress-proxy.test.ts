// Through real sockets: clients of HTTP/1.1, HTTP/2 and WebSocket, pods that answer, break off, or are not there.
import { once } from "node:events";
import { Agent, createServer, type IncomingHttpHeaders, type IncomingMessage, type RequestListener, request, type Server } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { Readable } from "node:stream";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { realClock } from "../base/clock.ts";
import { StopStack } from "../base/lifecycle.ts";
import { createLogger, silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { createIngressMetrics } from "./ingress-metrics.ts";
import { IngressProxy, type IngressProxyOptions } from "./ingress-proxy.ts";
import type { Endpoint } from "./ready-endpoints.ts";
import { compileRoutes, type Route, type RoutePolicy } from "./routes.ts";

let stack = new StopStack();
afterEach(async () => {
  const ended = stack;
  stack = new StopStack();
  await ended.stop();
});

const endpoint = (port: number): Endpoint => ({ address: "127.0.0.1", port, key: `127.0.0.1:${port}` });

async function pod(serve: RequestListener): Promise<Endpoint & { readonly server: Server }> {
  const server = createServer(serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { ...endpoint((server.address() as AddressInfo).port), server };
}

/** A port on which nobody listens. */
async function deadEndpoint(): Promise<Endpoint> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return endpoint(port);
}

/** The same at one port of each scheme. */
function useRoutes(proxy: IngressProxy, routes: readonly Route[]): void {
  const sites = [{ host: undefined, table: compileRoutes(routes) }];
  proxy.use((["http", "https"] as const).map((scheme) => ({ scheme, port: 0, sites })));
}

interface Proxied {
  readonly proxy: IngressProxy;
  readonly http: number;
  readonly https: number;
  readonly metrics: MetricsRegistry;
}

async function serve(
  endpoints: readonly Endpoint[],
  options: Partial<IngressProxyOptions> = {},
  policy?: Partial<RoutePolicy>,
): Promise<Proxied> {
  const metrics = new MetricsRegistry();
  const deps = {
    ...{ clock: realClock, logger: silentLogger, metrics: createIngressMetrics(metrics) },
    endpointsOf: () => endpoints,
    changed: () => undefined,
  };
  const proxy = stack.add(new IngressProxy(deps, { address: "127.0.0.1", httpsPort: 0, drainMs: 200, ...options }));
  const backend = { namespace: "d", service: "web", port: 80 };
  const target = { backend, policy: { redirectToHttps: false, ...policy }, source: "d/i" };
  const route: Route = { host: "web.example.com", match: "prefix", path: "/", target };
  useRoutes(proxy, [route]);
  await expect.poll(() => [proxy.port("http", 0), proxy.port("https", 0)]).not.toContain(undefined);
  return { proxy, http: proxy.port("http", 0) ?? 0, https: proxy.port("https", 0) ?? 0, metrics };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk.toString();
  return text;
}

function ask(
  port: number,
  options: { path?: string; method?: string; headers?: Record<string, string>; body?: string | Readable; agent?: Agent } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body, headers = {}, agent, ...more } = options;
    const all = { host: "web.example.com", ...headers };
    const outgoing = request({ host: "127.0.0.1", port, headers: all, agent: agent ?? false, ...more }, (answer) => {
      textOf(answer).then((text) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }), reject);
    });
    outgoing.on("error", reject);
    if (body instanceof Readable) body.pipe(outgoing);
    else outgoing.end(body);
  });
}

/** Sends bytes as they are, and gives back all that comes until the connection ends. */
function sendRaw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes, "latin1"));
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString("latin1")));
    socket.on("error", reject);
    socket.on("close", () => resolve(text));
  });
}

const echo: RequestListener = (incoming, response) => {
  void textOf(incoming).then(
    (body) => {
      const { method, url, headers } = incoming;
      response.setHeader("set-cookie", ["a=1", "b=2"]).setHeader("connection", "close, x-private").setHeader("x-private", "1");
      response.end(JSON.stringify({ method, url, headers, body }));
    },
    () => response.destroy(),
  );
};

describe("what goes through", () => {
  it("ends one request with 500 where looking for its backend fails, and serves the next", async () => {
    const { proxy, http } = await serve([await pod(echo)]);
    const { pick } = proxy.backends;
    proxy.backends.pick = () => {
      proxy.backends.pick = pick;
      throw new TypeError("a slice that nobody expected");
    };
    expect((await ask(http)).status).toBe(500);
    expect((await ask(http)).status).toBe(200);
  });

  it("ends one request with 500 where looking for its backend fails after another did not answer", async () => {
    const { proxy, http } = await serve([await deadEndpoint(), await pod(echo)]);
    const { pick } = proxy.backends;
    let picks = 0;
    proxy.backends.pick = (...args) => {
      if (++picks === 2) throw new TypeError("a slice that nobody expected");
      return pick.apply(proxy.backends, args);
    };
    expect((await ask(http)).status).toBe(500);
    expect((await ask(http)).status).toBe(200);
  });

  it("logs a request whose client has gone with the address it came from", async () => {
    const lines: string[] = [];
    const metrics = createIngressMetrics(new MetricsRegistry());
    const logger = createLogger("ingress", { write: (line) => lines.push(line) });
    const silent = await pod(() => undefined);
    const deps = { clock: realClock, logger, metrics, endpointsOf: () => [silent], changed: () => undefined };
    const proxy = stack.add(new IngressProxy(deps, { address: "127.0.0.1", drainMs: 100, accessLog: true }));
    const target = { backend: { namespace: "d", service: "web", port: 80 }, policy: { redirectToHttps: false }, source: "d/i" };
    useRoutes(proxy, [{ host: undefined, match: "prefix", path: "/", target }]);
    await expect.poll(() => proxy.port("https", 0)).toBeDefined();
    const arrived = once(silent.server, "request");
    const session = connectHttp2(`https://127.0.0.1:${proxy.port("https", 0)}`, { rejectUnauthorized: false });
    session.on("error", () => undefined);
    session.request({ ":path": "/gone" }).on("error", () => undefined);
    await arrived;
    session.destroy();
    await expect.poll(() => lines.find((line) => line.includes("/gone"))).toMatch(/127\.0\.0\.1/);
  });

  it("carries method, path, headers and body, tells whom it is from, and drops what belongs to one connection", async () => {
    const { http } = await serve([await pod(echo)]);
    const headers = {
      "x-forwarded-for": "6.6.6.6",
      forwarded: "for=6.6.6.6",
      "x-mine": "yes",
      connection: "close, x-hop",
      "x-hop": "1",
      te: "trailers",
      "content-length": "5",
    };
    const answer = await ask(http, {
      method: "PUT",
      path: "/a%20b?c=d",
      headers: { ...headers, host: `WEB.example.com.:${http}` },
      body: "hello",
    });
    const seen = JSON.parse(answer.body);
    expect(seen).toMatchObject({ method: "PUT", url: "/a%20b?c=d", body: "hello" });
    expect(seen.headers).toMatchObject({
      host: `WEB.example.com.:${http}`,
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-host": `WEB.example.com.:${http}`,
      "x-forwarded-port": String(http),
      "x-forwarded-proto": "http",
      "x-mine": "yes",
      "content-length": "5",
    });
    expect(Object.keys(seen.headers)).not.toEqual(expect.arrayContaining(["x-hop"]));
    expect(["te", "forwarded"].filter((name) => name in seen.headers)).toEqual([]);
    expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(answer.headers["x-private"]).toBeUndefined();
  });

  it("frames the body of any method, so that it is not taken for a next request", async () => {
    const { http } = await serve([await pod(echo)]);
    const body = "GET /smuggled HTTP/1.1\r\nHost: web.example.com\r\n\r\n";
    const headers = { "transfer-encoding": "chunked" };
    for (const method of ["GET", "DELETE", "POST"]) {
      const seen = JSON.parse((await ask(http, { method, headers, body })).body);
      expect(seen).toMatchObject({ method, url: "/", body, headers: { "transfer-encoding": "chunked" } });
    }
  });

  it("refuses what two servers could understand differently", async () => {
    let asked = 0;
    const { http } = await serve([
      await pod((_, response) => {
        asked++;
        response.end();
      }),
    ]);
    const heads = [
      "POST / HTTP/1.1\r\nHost: web.example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: web.example.com\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: web.example.com\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: web.example.com\r\nHost: other.example.com\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : web.example.com\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: web.example.com/evil\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET /a/../b HTTP/1.1\r\nHost: web.example.com\r\n\r\n",
      "GET /a/%2E%2e/b HTTP/1.1\r\nHost: web.example.com\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: web.example.com\r\n\r\n",
    ];
    for (const head of heads) expect((await sendRaw(http, head)).slice(0, 12), head).toBe("HTTP/1.1 400");
    expect((await sendRaw(http, `GET / HTTP/1.1\r\nHost: web.example.com\r\nX: ${"x".repeat(40_000)}\r\n\r\n`)).slice(0, 12)).toBe(
      "HTTP/1.1 431",
    );
    expect(asked).toBe(0);
  });

  it("takes the host of an absolute URL, and does not follow an upgrade to HTTP/2", async () => {
    const { http } = await serve([await pod(echo)]);
    const absolute = await sendRaw(http, "GET http://web.example.com/x HTTP/1.1\r\nHost: other.example.com\r\nConnection: close\r\n\r\n");
    expect(absolute).toMatch(/^HTTP\/1.1 200.*"url":"\/x".*"host":"web.example.com"/s);
    const h2c =
      "GET /y HTTP/1.1\r\nHost: web.example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    const answered = await sendRaw(http, h2c);
    expect(answered).toMatch(/^HTTP\/1.1 200.*"url":"\/y"/s);
    expect(answered).not.toMatch(/h2c|http2-settings/);
  });

  it("answers 404 without a route, 503 without an endpoint, and redirects only where that is asked", async () => {
    const { http, https, proxy } = await serve([]);
    expect((await ask(http, { headers: { host: "other.example.com" } })).status).toBe(404);
    expect((await ask(http)).status).toBe(503);
    const target = { backend: undefined, policy: { redirectToHttps: true }, source: "d/i" };
    useRoutes(proxy, [{ host: undefined, match: "prefix", path: "/", target }]);
    const { status, headers } = await ask(http, { path: "/x?y", headers: { host: "any.example.com:80" } });
    expect([status, headers.location]).toEqual([308, `https://any.example.com:${https}/x?y`]);
  });
});

describe("endpoints", () => {
  it("take turns; one that refuses connections is passed over, and its requests go to another with their bodies", async () => {
    const named =
      (name: string): RequestListener =>
      (incoming, response) =>
        void textOf(incoming).then((body) => response.end(name + body));
    const [a, b] = [await pod(named("a")), await pod(named("b"))];
    const { http, metrics } = await serve([a, await deadEndpoint(), b]);
    const answers: string[] = [];
    for (let i = 0; i < 6; i++)
      answers.push((await ask(http, { method: "POST", body: String(i), headers: { "content-length": "1" } })).body);
    expect(answers.map((body) => body[1])).toEqual(["0", "1", "2", "3", "4", "5"]);
    for (const name of ["a", "b"]) expect(answers.filter((body) => body.startsWith(name)).length).toBeGreaterThanOrEqual(2);
    // Known to be dead after the first time.
    expect(metrics.text()).toContain("coracle_ingress_retries_total 1");
  });

  it("that all refuse make it 502", async () => {
    const { http } = await serve([await deadEndpoint(), await deadEndpoint()]);
    expect((await ask(http)).status).toBe(502);
  });

  it("that close a kept connection are asked again for what can be repeated", async () => {
    const a = await pod((_, response) => void response.end("ok"));
    const { http } = await serve([a]);
    expect((await ask(http)).body).toBe("ok");
    // The next request meets a connection that ends without an answer.
    const seen: string[] = [];
    a.server.removeAllListeners("request");
    a.server.on("request", (incoming, response) => {
      seen.push(incoming.url ?? "");
      if (seen.length === 1) incoming.socket.destroy();
      else response.end("again");
    });
    expect((await ask(http, { path: "/second" })).body).toBe("again");
    expect(seen).toEqual(["/second", "/second"]);
    seen.length = 0;
    expect((await ask(http, { method: "POST", body: "x" })).status).toBe(502);
    expect(seen).toEqual(["/"]);
  });

  it("that are silent make it 504, and what breaks off does not look complete", async () => {
    const silent = await serve([await pod(() => undefined)], { backendTimeoutMs: 50 });
    expect((await ask(silent.http)).status).toBe(504);
    const broken = await serve([
      await pod((_, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("half", () => response.destroy());
      }),
    ]);
    await expect(ask(broken.http)).rejects.toThrow(/aborted|hang up/);
  });

  it("that nobody waits for any more are told so", async () => {
    const gone = deferred<void>();
    const reached = deferred<void>();
    const { http } = await serve([
      await pod((_, response) => {
        response.once("close", () => gone.resolve());
        reached.resolve();
      }),
    ]);
    const outgoing = request({ host: "127.0.0.1", port: http, headers: { host: "web.example.com" } });
    outgoing.on("error", () => undefined);
    outgoing.end();
    await reached.promise;
    outgoing.destroy();
    await gone.promise;
  });
});

describe("bodies", () => {
  it("are limited where that is wanted, with a length and without", async () => {
    const { http } = await serve([await pod(echo)], {}, { maxBodyBytes: 10 });
    const chunked = { "transfer-encoding": "chunked" };
    expect((await ask(http, { method: "POST", headers: { "content-length": "11" }, body: "01234567890" })).status).toBe(413);
    expect((await ask(http, { method: "POST", headers: chunked, body: "01234567890" })).status).toBe(413);
    expect((await ask(http, { method: "POST", headers: chunked, body: "0123456789" })).status).toBe(200);
  });

  it("are not read faster than the client reads", async () => {
    let written = 0;
    const megabyte = Buffer.alloc(2 ** 20);
    const total = 64;
    const { http } = await serve([
      await pod((_, response) => {
        const write = (): void => {
          while (written < total) {
            written++;
            if (!response.write(megabyte)) return void response.once("drain", write);
          }
          response.end();
        };
        write();
      }),
    ]);
    const answer = await new Promise<IncomingMessage>((resolve) =>
      request({ host: "127.0.0.1", port: http, headers: { host: "web.example.com" }, agent: false }, resolve).end(),
    );
    // Nobody reads: what can wait in sockets is full soon, and nothing more comes.
    let before = -1;
    await expect.poll(() => before === (before = written), { interval: 200 }).toBe(true);
    expect(written).toBeLessThan(total);
    let bytes = 0;
    for await (const chunk of answer) bytes += chunk.length;
    expect(bytes).toBe(total * 2 ** 20);
  });

  it("arrive piece by piece, in both directions", async () => {
    const { http } = await serve([await pod((incoming, response) => void incoming.pipe(response.writeHead(200)))]);
    const outgoing = request({ host: "127.0.0.1", port: http, method: "POST", headers: { host: "web.example.com" }, agent: false });
    outgoing.write("one");
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    expect((await once(answer, "data")).toString()).toBe("one");
    outgoing.write("two");
    expect((await once(answer, "data")).toString()).toBe("two");
    outgoing.end();
    await once(answer, "end");
  });
});

describe("HTTP/2", () => {
  it("is spoken over TLS, many requests on one connection, with bodies both ways", async () => {
    const { https } = await serve([await pod(echo)]);
    const session = connectHttp2(`https://127.0.0.1:${https}`, { rejectUnauthorized: false, servername: "web.example.com" });
    stack.defer(() => session.destroy());
    const post = async (path: string, body: string | undefined) => {
      const method = body === undefined ? "GET" : "POST";
      const stream = session.request(
        { ":method": method, ":path": path, ":authority": "web.example.com" },
        { endStream: body === undefined },
      );
      if (body !== undefined) stream.end(body);
      const [headers] = await once(stream, "response");
      return { status: headers[":status"], seen: JSON.parse(await textOf(stream)) };
    };
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => post(`/${i}`, i % 2 ? `body ${i}` : undefined)));
    answers.forEach(({ status, seen }, i) => {
      expect(status).toBe(200);
      expect(seen).toMatchObject({ url: `/${i}`, body: i % 2 ? `body ${i}` : "" });
      expect(seen.headers).toMatchObject({ host: "web.example.com", "x-forwarded-proto": "https", "x-forwarded-port": String(https) });
    });
  });

  it("sees what breaks off as an error", async () => {
    const { https } = await serve([
      await pod((_, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("half", () => response.destroy());
      }),
    ]);
    const session = connectHttp2(`https://127.0.0.1:${https}`, { rejectUnauthorized: false });
    stack.defer(() => session.destroy());
    const stream = session.request({ ":path": "/", ":authority": "web.example.com" });
    await expect(textOf(stream)).rejects.toThrow(/INTERNAL_ERROR|closed/);
  });
});

describe("HTTP/2 streams", () => {
  async function open(endpoints: readonly Endpoint[], policy?: Partial<RoutePolicy>) {
    const served = await serve(endpoints, {}, policy);
    const session = connectHttp2(`https://127.0.0.1:${served.https}`, { rejectUnauthorized: false });
    stack.defer(() => session.destroy());
    return { ...served, session };
  }
  const to = (path: string, method = "GET") => ({ ":method": method, ":path": path, ":authority": "web.example.com" });

  it("that a client gives up end at the pod, and count as over", async () => {
    const gone = deferred<void>();
    const reached = deferred<void>();
    const { session, metrics } = await open([
      await pod((_, response) => {
        response.once("close", () => gone.resolve());
        reached.resolve();
      }),
    ]);
    const stream = session.request(to("/"));
    stream.on("error", () => undefined);
    await reached.promise;
    stream.close(constants.NGHTTP2_CANCEL);
    await gone.promise;
    await expect.poll(() => metrics.text()).toContain("coracle_ingress_open_requests 0");
  });

  it("whose body is too large are answered, and the connection stays good for others", async () => {
    const { session } = await open([await pod(echo)], { maxBodyBytes: 100_000 });
    const stream = session.request(to("/", "POST"));
    stream.on("error", () => undefined);
    for (let i = 0; i < 20; i++) stream.write(Buffer.alloc(50_000));
    const [headers] = await once(stream, "response");
    expect(headers[":status"]).toBe(413);
    const other = session.request(to("/other"));
    expect(JSON.parse(await textOf(other)).url).toBe("/other");
  });

  it("that nobody reads hold up neither the others nor grow in memory", async () => {
    let written = 0;
    const chunk = Buffer.alloc(2 ** 20);
    const { session } = await open([
      await pod((incoming, response) => {
        if (incoming.url === "/small") return void response.end("small");
        const write = (): void => {
          while (written < 64) {
            written++;
            if (!response.write(chunk)) return void response.once("drain", write);
          }
          response.end();
        };
        write();
      }),
    ]);
    const large = session.request(to("/large"));
    await once(large, "response");
    let before = -1;
    await expect.poll(() => before === (before = written), { interval: 200 }).toBe(true);
    expect(written).toBeLessThan(64);
    expect(await textOf(session.request(to("/small")))).toBe("small");
    let bytes = 0;
    for await (const part of large) bytes += part.length;
    expect(bytes).toBe(64 * 2 ** 20);
  });
});

describe("WebSockets", () => {
  async function webSocketPod(): Promise<Endpoint> {
    const { server, ...at } = await pod((_, response) => void response.writeHead(403).end("not here"));
    const sockets = new WebSocketServer({ server, path: "/ws" });
    stack.defer(() => {
      for (const client of sockets.clients) client.terminate();
      sockets.close();
    });
    sockets.on("connection", (socket, { headers }) => {
      socket.on("message", (data) => socket.send(`${data} from ${headers["x-forwarded-proto"]}`));
    });
    return at;
  }

  it.each(["ws", "wss"] as const)("over %s go to another endpoint where the first is dead, and end with the pod's", async (scheme) => {
    const { http, https, metrics } = await serve([await deadEndpoint(), await webSocketPod()]);
    const socket = new WebSocket(`${scheme}://127.0.0.1:${scheme === "ws" ? http : https}/ws`, {
      headers: { host: "web.example.com" },
      rejectUnauthorized: false,
    });
    await once(socket, "open");
    socket.send("hello");
    const [data] = await once(socket, "message");
    expect(String(data)).toBe(`hello from ${scheme === "ws" ? "http" : "https"}`);
    socket.close();
    await once(socket, "close");
    await expect.poll(() => metrics.text()).toContain('coracle_ingress_requests_total{code="101"} 1');
    await expect.poll(() => metrics.text()).toContain("coracle_ingress_open_requests 0");
  });

  it("that are refused get the pod's answer", async () => {
    const { http } = await serve([await pod((_, response) => void response.writeHead(403).end("not here"))]);
    const socket = new WebSocket(`ws://127.0.0.1:${http}/ws`, { headers: { host: "web.example.com" } });
    socket.on("error", () => undefined);
    const [, answer] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
    expect([answer.statusCode, await textOf(answer)]).toEqual([403, "not here"]);
  });
});

describe("stopping", () => {
  it("lets requests in progress end, and takes no new ones", async () => {
    const held = deferred<() => void>();
    const { http, proxy } = await serve([await pod((_, response) => held.resolve(() => response.end("at last")))], { drainMs: 20_000 });
    const agent = new Agent({ keepAlive: true });
    stack.defer(() => agent.destroy());
    const answer = ask(http, { agent });
    const release = await held.promise;
    const stopped = proxy.stop();
    await expect(ask(http)).rejects.toThrow("ECONNREFUSED");
    release();
    expect((await answer).body).toBe("at last");
    await stopped;
  });

  it("closes what does not end in time", async () => {
    const reached = deferred<void>();
    const { http, proxy } = await serve([await pod(() => reached.resolve())], { drainMs: 20 });
    const answer = ask(http);
    answer.catch(() => undefined);
    await reached.promise;
    await proxy.stop();
    await expect(answer).rejects.toThrow();
  });

  it("a port that is taken is told, and used once it is free", async () => {
    const other = createTcpServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const metrics = createIngressMetrics(new MetricsRegistry());
    const clock = { ...realClock, sleep: (_ms: number, signal?: AbortSignal) => realClock.sleep(10, signal) };
    let changes = 0;
    const deps = { clock, logger: silentLogger, metrics, endpointsOf: () => [], changed: () => void changes++ };
    const proxy = stack.add(new IngressProxy(deps, { address: "127.0.0.1", drainMs: 0 }));
    const sites = [{ host: undefined, table: compileRoutes([]) }];
    proxy.use([{ scheme: "http", port, sites }]);
    await expect.poll(() => proxy.problem("http", port)).toMatch(/^Cannot listen on port \d+ for http, trying again: .*EADDRINUSE/);
    expect([changes, proxy.port("http", port)]).toEqual([1, undefined]);
    await new Promise((resolve) => other.close(resolve));
    await expect.poll(() => proxy.port("http", port)).toBe(port);
    expect([changes, proxy.problem("http", port)]).toEqual([2, undefined]);
    expect((await ask(port)).status).toBe(404);
    proxy.use([]);
    await expect.poll(() => ask(port).catch((error: Error) => error.message)).toMatch("ECONNREFUSED");
  });
});

describe("TLS", () => {
  it("shows its own certificate to whoever asks for a name that no certificate is for", async () => {
    const { https } = await serve([]);
    const socket: TLSSocket = connectTls({ host: "127.0.0.1", port: https, servername: "nobody.example.com", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    expect(socket.getPeerCertificate().subject.CN).toBe("Coracle Ingress default certificate");
    expect(socket.getProtocol()).toBe("TLSv1.3");
    socket.destroy();
  });
});
