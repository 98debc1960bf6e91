import { type ClientHttp2Session, connect } from "node:http2";
import https from "node:https";
import { connect as tcpConnect } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { gunzipSync } from "node:zlib";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import WebSocket from "ws";
import { readEnvelope } from "../../api/encode/protobuf/envelope.ts";
import { type Clock, realClock, VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { certificatePem, generateKey, issueCertificate, type KeyedCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import { AuthorityBundle } from "../authn/client-authorities.ts";
import { anonymousUser } from "../authn/user.ts";
import type { ApiRequest, ApiResponse, WatchStreamEvent } from "../request.ts";
import type { ApiServer } from "../server.ts";
import { type HttpsServer, type HttpsServerOptions, startHttpsServer } from "./https-server.ts";
import { parseRequestInfo } from "./request-info.ts";

const day = 86_400_000;

function certificate(name: string, issuer?: KeyedCertificate): KeyedCertificate {
  const { privateKey, publicKey } = generateKey();
  const request = {
    subject: { commonName: name, organizations: [] },
    names: { ipAddresses: ["127.0.0.1"] },
    publicKey,
    notBeforeMs: Date.now() - day,
    notAfterMs: Date.now() + day,
    keyUsages: issuer ? (["digitalSignature"] as const) : (["certSign"] as const),
    extendedKeyUsages: issuer ? (["serverAuth", "clientAuth"] as const) : [],
    isAuthority: issuer === undefined,
  };
  return { certificate: issueCertificate(request, issuer ?? { key: privateKey }), key: privateKey };
}
const authority = certificate("ca");
const serverCertificate = certificate("server", authority);
const pem = (c: KeyedCertificate) => ({ cert: certificatePem(c.certificate), key: privateKeyPem(c.key) });
const ca = certificatePem(authority.certificate);

type Answerer = (request: ApiRequest) => Promise<ApiResponse> | ApiResponse;
const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const r of running.splice(0)) await r.stop();
});

async function serve(
  answer: Answerer,
  { clock = realClock, ...options }: Partial<HttpsServerOptions> & { readonly clock?: Clock } = {},
  warnings: string[] = [],
): Promise<HttpsServer> {
  const api: ApiServer = {
    async handle(request) {
      const info = parseRequestInfo(request.method, request.path, request.query);
      const context = { request, info, user: anonymousUser, warnings, receivedAtMs: 0, auditId: "id-1" };
      return { response: await answer(request), context };
    },
  };
  const { cert, key } = pem(serverCertificate);
  const server = await startHttpsServer(
    { api, clock, logger: silentLogger },
    {
      tls: { certificate: { certPem: cert, keyPem: key }, authorities: { client: new AuthorityBundle(ca) } },
      host: "127.0.0.1",
      port: 0,
      drainMs: 500,
      ...options,
    },
  );
  running.push(server);
  return server;
}

interface Reply {
  status: number;
  headers: Record<string, unknown>;
  body: Buffer;
}

function request1(server: HttpsServer, options: https.RequestOptions = {}, body?: string | Buffer): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = https.request({ host: "127.0.0.1", port: server.port, ca, agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (c: Buffer) => chunks.push(c));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function session(server: HttpsServer, options = {}): Promise<ClientHttp2Session> {
  const client = connect(`https://127.0.0.1:${server.port}`, { ca, ...options });
  client.on("error", () => undefined);
  running.push({
    stop: async () => {
      client.destroy();
    },
  });
  return client;
}

function request2(client: ClientHttp2Session, headers: Record<string, string>, body?: string | Buffer): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const stream = client.request(headers, { endStream: body === undefined });
    let head: Record<string, unknown> = {};
    const chunks: Buffer[] = [];
    stream.on("response", (h) => {
      head = h as Record<string, unknown>;
    });
    stream.on("data", (c: Buffer) => chunks.push(c));
    stream.on("end", () => resolve({ status: Number(head[":status"]), headers: head, body: Buffer.concat(chunks) }));
    stream.on("error", reject);
    if (body !== undefined) stream.end(body);
  });
}

const echo: Answerer = async (request) => ({
  kind: "object",
  status: 201,
  object: {
    method: request.method,
    path: request.path,
    a: request.query.getAll("a"),
    groups: request.headerLines("impersonate-group"),
    body: request.body.kind === "bytes" ? Buffer.from(await request.body.read(1024)).toString() : request.body.kind,
    certificate: request.clientCertificate ? Buffer.from(request.clientCertificate).equals(authorityClient.certificate.der) : false,
    remote: request.remoteAddress,
  },
});
const authorityClient = certificate("alice", authority);

describe("HTTPS server", () => {
  it("serves HTTP/1.1 and HTTP/2 alike on one port", async () => {
    const server = await serve(echo, {}, ['be "careful"']);
    const expected = {
      method: "POST",
      path: "/api/v1/x%20y",
      a: ["1", "2"],
      groups: ["g1", "gö"],
      body: "hello",
      certificate: false,
      remote: "127.0.0.1",
    };
    // As bytes, which is what headers are.
    const utf8 = Buffer.from("gö").toString("latin1");
    const one = await request1(
      server,
      { method: "POST", path: "/api/v1/x%20y?a=1&a=2", headers: { "impersonate-group": ["g1", utf8], "content-type": "application/json" } },
      Buffer.from("hello"), // with a text Node would write the headers in UTF-8 once more
    );
    const client = await session(server);
    const headers = { ":path": "/api/v1/x%20y?a=1&a=2", ":method": "POST", "impersonate-group": ["g1", utf8] as unknown as string };
    const two = await request2(client, headers, "hello");
    for (const reply of [one, two]) {
      expect(reply.status).toBe(201);
      expect(JSON.parse(reply.body.toString())).toEqual(expected);
      expect(reply.headers).toMatchObject({
        "content-type": "application/json",
        "cache-control": "no-cache, private",
        "audit-id": "id-1",
        "content-length": String(one.body.length),
        warning: '299 - "be \\"careful\\""',
      });
    }
  });

  it("leaves out a header that an answer empties", async () => {
    const server = await serve(() => ({
      kind: "bytes",
      status: 500,
      contentType: "text/plain",
      bytes: Buffer.from("x"),
      headers: { "Cache-Control": "" },
    }));
    expect((await request1(server, {})).headers).not.toHaveProperty("cache-control");
  });

  it("answers HEAD with the head alone, on both protocols", async () => {
    const answers: Readonly<Record<string, () => ApiResponse>> = {
      "/version": () => ({ kind: "object", status: 200, object: { major: "1" } }),
      "/healthz": () => ({ kind: "bytes", status: 200, contentType: "text/plain", bytes: Buffer.from("ok") }),
      "/stream": () => {
        const chunks = (async function* () {
          yield Buffer.from("log");
        })();
        return { kind: "stream", status: 200, contentType: "text/plain", chunks };
      },
    };
    const server = await serve((request) => answers[request.path]?.() ?? Promise.reject(new Error(request.path)));
    const session = connect(`https://127.0.0.1:${server.port}`, { ca });
    for (const path of Object.keys(answers)) {
      const stream = session.request({ ":method": "HEAD", ":path": path });
      const status = await new Promise((resolve) => stream.once("response", (headers) => resolve(headers[":status"])));
      const ended = new Promise((resolve) => stream.once("close", resolve));
      stream.resume();
      await ended;
      const plain = await new Promise<number | undefined>((resolve, reject) =>
        https
          .request({ host: "127.0.0.1", port: server.port, path, method: "HEAD", ca }, (answer) => {
            answer.resume().once("end", () => resolve(answer.statusCode));
          })
          .on("error", reject)
          .end(),
      );
      expect([path, status, stream.rstCode, plain]).toEqual([path, 200, 0, 200]);
    }
    session.close();
  });

  it("hands over a client certificate only when the client CA has signed it", async () => {
    const server = await serve(echo);
    const known = await request1(server, pem(authorityClient));
    expect(JSON.parse(known.body.toString())).toMatchObject({ certificate: true });
    const client = await session(server, pem(authorityClient));
    expect(JSON.parse((await request2(client, { ":path": "/" })).body.toString())).toMatchObject({ certificate: true });
    const stranger = await request1(server, pem(certificate("alice", certificate("other-ca"))));
    expect(JSON.parse(stranger.body.toString())).toMatchObject({ certificate: false });
  });

  it("refuses a body beyond the limit with 413, declared or not", async () => {
    const server = await serve(async (request) => {
      if (request.body.kind !== "bytes") throw new Error("no body");
      return request.body.read(1000).then(
        (): ApiResponse => ({ kind: "object", status: 200, object: {} }),
        (error: { status: { code: number } }): ApiResponse => ({ kind: "object", status: error.status.code, object: error.status }),
      );
    });
    const big = Buffer.alloc(5000);
    expect((await request1(server, { method: "POST", headers: { "content-length": 5000 } }, big)).status).toBe(413);
    expect((await request1(server, { method: "POST", headers: { "transfer-encoding": "chunked" } }, big)).status).toBe(413);
    const client = await session(server);
    const reply = await request2(client, { ":path": "/", ":method": "POST" }, big);
    expect(reply.status).toBe(413);
    expect(JSON.parse(reply.body.toString())).toMatchObject({ message: "Request entity too large: limit is 1000" });
    expect((await request2(client, { ":path": "/", ":method": "POST" }, Buffer.alloc(10))).status).toBe(200);
  });

  it("compresses large JSON for those who accept it", async () => {
    const object = { text: "x".repeat(200_000) };
    const server = await serve((request) => ({ kind: "object", status: 200, object: request.path === "/small" ? { a: 1 } : object }));
    const reply = await request1(server, { headers: { "accept-encoding": "gzip" } });
    expect(reply.headers).toMatchObject({ "content-encoding": "gzip", vary: "Accept-Encoding" });
    expect(JSON.parse(gunzipSync(reply.body).toString())).toEqual(object);
    expect(
      (await request1(server, { path: "/small", headers: { "accept-encoding": "gzip" } })).headers["content-encoding"],
    ).toBeUndefined();
    expect((await request1(server)).headers["content-encoding"]).toBeUndefined();
    expect((await request1(server, { headers: { "accept-encoding": "gzip;q=0" } })).headers["content-encoding"]).toBeUndefined();
  });

  it("sends what is encoded already byte for byte, short and long, on both protocols", async () => {
    for (const text of ["é 漢 🚢", "ü".repeat(60_000)]) {
      const object = { kind: "ConfigMap", data: { text } };
      const encoded = { head: '{"kind":"ConfigMap",', tail: Buffer.from(JSON.stringify({ data: object.data }).slice(1)) };
      const server = await serve(() => ({ kind: "object", status: 200, object, encoded: () => encoded }));
      const bytes = Buffer.from(`${JSON.stringify(object)}\n`);
      const replies = [await request1(server), await request2(await session(server), { ":path": "/" })];
      for (const reply of replies) {
        expect(reply.body.equals(bytes)).toBe(true);
        expect(reply.headers["content-length"]).toBe(String(bytes.length));
      }
      const head = await request1(server, { method: "HEAD" });
      expect(head.body).toHaveLength(0);
      const pretty = await request1(server, { path: "/?pretty=true" });
      expect(pretty.body.toString()).toBe(JSON.stringify(object, undefined, 2));
    }
  });

  it("answers YAML with sorted keys and plain JSON for types it does not have", async () => {
    const server = await serve(() => ({ kind: "object", status: 200, object: { b: [{ y: 1, x: "no" }], a: undefined, "0": "1" } }));
    const yaml = await request1(server, { headers: { accept: "application/yaml" } });
    expect(yaml.body.toString()).toBe('"0": "1"\nb:\n- x: "no"\n  "y": 1\n');
    expect((await request1(server, { headers: { accept: "text/html" } })).headers["content-type"]).toBe("application/json");
    expect((await request1(server, { method: "HEAD" })).body).toHaveLength(0);
  });

  it("answers protobuf where asked, and JSON for kinds that have none", async () => {
    const objects: Record<string, unknown> = {
      "/pod": { apiVersion: "v1", kind: "Pod", metadata: { name: "a" } },
      "/widget": { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "a" } },
    };
    const server = await serve(({ path }) => ({ kind: "object", status: 200, object: objects[path] }));
    const headers = { accept: "application/vnd.kubernetes.protobuf,application/json" };
    const pod = await request1(server, { path: "/pod", headers });
    expect(pod.headers["content-type"]).toBe("application/vnd.kubernetes.protobuf");
    expect(readEnvelope(pod.body)).toMatchObject({ apiVersion: "v1", kind: "Pod" });
    const widget = await request1(server, { path: "/widget", headers });
    expect(widget.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(widget.body.toString())).toEqual(objects["/widget"]);
  });

  it("streams chunks and tells the producer when the client goes", async () => {
    let returned: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      returned = resolve;
    });
    const server = await serve((request) => ({
      kind: "stream",
      status: 200,
      contentType: request.path === "/list" ? "application/json" : "text/plain",
      chunks: (async function* () {
        try {
          for (let i = 0; request.path === "/forever" || i < 3; i++) yield Buffer.from(`line ${i}\n`);
        } finally {
          returned();
        }
      })(),
    }));
    expect((await request1(server)).body.toString()).toBe("line 0\nline 1\nline 2\n");
    const zipped = await request1(server, { path: "/list", headers: { "accept-encoding": "gzip" } });
    expect(gunzipSync(zipped.body).toString()).toBe("line 0\nline 1\nline 2\n");
    await new Promise<void>((resolve) => {
      https.get({ host: "127.0.0.1", port: server.port, ca, agent: false, path: "/forever" }, (response) => {
        response.once("data", () => response.destroy());
        response.once("close", () => resolve());
      });
    });
    await ended;
  });

  describe("watches", () => {
    const event = (n: number): WatchStreamEvent => ({ type: "ADDED", object: { n }, bytes: () => Buffer.from(`{"n":${n}}`) });
    const line = (n: number): string => `{"type":"ADDED","object":{"n":${n}}}`;

    function watched() {
      let push: (batch: readonly WatchStreamEvent[] | undefined) => void = () => undefined;
      let closed: () => void = () => undefined;
      const whenClosed = new Promise<void>((resolve) => {
        closed = resolve;
      });
      const queue: (readonly WatchStreamEvent[] | undefined)[] = [];
      const state = { wake: () => {} };
      push = (batch) => {
        queue.push(batch);
        state.wake();
      };
      const stream = {
        batches: (async function* () {
          for (;;) {
            while (queue.length === 0)
              await new Promise<void>((resolve) => {
                state.wake = resolve;
              });
            const batch = queue.shift();
            if (batch === undefined) return;
            yield batch;
          }
        })(),
        close: () => {
          closed();
          push(undefined);
        },
      };
      return { push, whenClosed, response: { kind: "watch", stream } as ApiResponse };
    }

    it("sends the head at once and each batch as it comes, on both protocols", async () => {
      for (const protocol of [1, 2]) {
        const { push, response, whenClosed } = watched();
        const server = await serve(() => response);
        const lines: string[] = [];
        let more: () => void = () => undefined;
        const take = (chunk: Buffer): void => {
          lines.push(...chunk.toString().trimEnd().split("\n"));
          more();
        };
        const until = async (count: number): Promise<void> => {
          while (lines.length < count)
            await new Promise<void>((resolve) => {
              more = resolve;
            });
        };
        let leave: () => void = () => undefined;
        await new Promise<void>((resolve) => {
          if (protocol === 1) {
            const request = https.get({ host: "127.0.0.1", port: server.port, ca, agent: false }, (reply) => {
              expect(reply.headers["transfer-encoding"]).toBe("chunked");
              reply.on("data", take).on("error", () => undefined);
              resolve();
            });
            request.on("error", () => undefined);
            leave = () => request.destroy();
          } else
            void session(server).then((client) => {
              const stream = client.request({ ":path": "/" });
              stream.on("response", () => resolve()).on("data", take);
              leave = () => stream.close();
            });
        });
        push([event(1), event(2)]);
        await until(2);
        push([event(3)]);
        await until(3);
        expect(lines).toEqual([line(1), line(2), line(3)]);
        leave();
        await whenClosed;
      }
    });

    it("choose no subprotocol of a WebSocket that is the client's token", async () => {
      const { response } = watched();
      const server = await serve(() => response);
      const token = `base64url.bearer.authorization.k8s.io.${Buffer.from("secret").toString("base64url")}`;
      const socket = new WebSocket(`wss://127.0.0.1:${server.port}/api/v1/pods?watch=1`, [token, "mine"], { ca });
      await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
      expect(socket.protocol).toBe("mine");
      socket.terminate();
    });

    it("go over WebSockets, a frame for each event", async () => {
      const { push, response, whenClosed } = watched();
      const server = await serve(() => response);
      const socket = new WebSocket(`wss://127.0.0.1:${server.port}/api/v1/pods?watch=1`, { ca });
      const frames: string[] = [];
      const got = new Promise<void>((resolve) => {
        socket.on("message", (data) => {
          frames.push(String(data));
          if (frames.length === 2) resolve();
        });
      });
      await new Promise((resolve) => socket.once("open", resolve));
      push([event(1), event(2)]);
      await got;
      expect(frames).toEqual([line(1), line(2)]);
      socket.close();
      await whenClosed;
    });

    it("are framed in protobuf where the handler has agreed to it", async () => {
      const object = { apiVersion: "v1", kind: "Pod", metadata: { name: "a" } };
      const batches = (async function* () {
        yield [{ type: "ADDED", object, bytes: () => new Uint8Array() } as const];
      })();
      const server = await serve(() => ({ kind: "watch", encoding: "protobuf", stream: { batches, close: () => undefined } }));
      const { headers, body } = await request1(server);
      expect(headers["content-type"]).toBe("application/vnd.kubernetes.protobuf;stream=watch");
      expect(body.readUInt32BE(0)).toBe(body.length - 4);
      expect(readEnvelope(body.subarray(body.indexOf("k8s\0")))).toMatchObject({ apiVersion: "v1", kind: "Pod" });
    });

    it("end politely when the server stops", async () => {
      let opened: () => void = () => undefined;
      const bothOpened = new Promise<void>((resolve) => {
        opened = resolve;
      });
      let requests = 0;
      const server = await serve(() => {
        const { push, response } = watched();
        push([event(1)]);
        if (++requests === 2) opened();
        return response;
      });
      const replies = [request1(server), request2(await session(server), { ":path": "/" })];
      await bothOpened;
      await server.stop();
      for (const reply of await Promise.all(replies)) expect(reply.body.toString()).toBe(`${line(1)}\n`);
    });
  });

  it("hands upgrades their socket, and answers refused ones plainly", async () => {
    const server = await serve((request) =>
      request.path === "/exec"
        ? {
            kind: "upgrade",
            serve: ({ socket }) => {
              socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
              socket.on("data", (chunk) => socket.end(`echo ${String(chunk)}`));
            },
          }
        : { kind: "object", status: 403, object: { reason: "Forbidden" } },
    );
    const converse = (path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = tlsConnect({ host: "127.0.0.1", port: server.port, ca });
        let text = "";
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`);
        socket.on("data", (chunk) => {
          text += String(chunk);
          if (text.startsWith("HTTP/1.1 101") && !text.includes("echo")) socket.write("hi");
        });
        socket.on("end", () => resolve(text)).on("error", reject);
      });
    expect(await converse("/exec")).toMatch(/^HTTP\/1\.1 101 [\s\S]*echo hi$/);
    expect(await converse("/other")).toMatch(/^HTTP\/1\.1 403 [\s\S]*\{"reason":"Forbidden"\}\n$/);
  });

  it("ends connections whose upgrade is refused, also where clients keep their half", async () => {
    const server = await serve(() => ({ kind: "object", status: 403, object: {} }));
    const options = { host: "127.0.0.1", port: server.port, ca, allowHalfOpen: true }; // of the socket, which Node's types do not say
    const socket = tlsConnect(options);
    socket.write("GET /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    socket.on("error", () => undefined).resume();
    await new Promise((resolve) => socket.on("end", resolve));
    // What nobody reads any more is answered by a reset.
    const writing = setInterval(() => socket.write("x"), 20);
    onTestFinished(() => clearInterval(writing));
    await new Promise((resolve) => socket.on("close", resolve));
  }, 60_000);

  it("cuts off clients that are slow to send their head", async () => {
    const server = await serve(echo, { headersTimeoutMs: 100 });
    const socket = tlsConnect({ host: "127.0.0.1", port: server.port, ca });
    socket.on("error", () => undefined);
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n");
    let text = "";
    socket.on("data", (chunk) => {
      text += String(chunk);
    });
    await new Promise((resolve) => socket.on("close", resolve));
    expect(text).toMatch(/^HTTP\/1\.1 408/);
  }, 15_000);

  it("cuts off clients that do not finish the TLS handshake", async () => {
    const server = await serve(echo, { headersTimeoutMs: 100 });
    const socket = tcpConnect({ host: "127.0.0.1", port: server.port });
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.on("close", resolve));
  });

  it("serves new connections with a new certificate", async () => {
    const server = await serve(echo);
    const other = certificate("second", authority);
    server.setTls({ certificate: { certPem: pem(other).cert, keyPem: pem(other).key } });
    const subject = await new Promise((resolve, reject) => {
      const socket = tlsConnect({ host: "127.0.0.1", port: server.port, ca }, () => {
        resolve(socket.getPeerCertificate().subject.CN);
        socket.destroy();
      });
      socket.on("error", reject);
    });
    expect(subject).toBe("second");
  });
});

/** Sends bytes, more when something has come, and resolves with all that was answered. */
function converse(server: HttpsServer, first: string, then?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: "127.0.0.1", port: server.port, ca });
    let got = "";
    socket.on("data", (chunk: Buffer) => {
      if (got === "" && then !== undefined) socket.write(then);
      got += chunk.toString();
    });
    socket.on("close", () => resolve(got));
    socket.on("error", reject);
    socket.write(first);
  });
}

describe("what is no ordinary request", () => {
  const posted = "POST /api/v1/namespaces HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
  const text = (words: string, status = 200): ApiResponse => ({
    kind: "bytes",
    status,
    contentType: "text/plain",
    bytes: Buffer.from(words),
  });

  it("asks for a body that waits to be asked for when it is read", async () => {
    const server = await serve(async ({ body }) => text(body.kind === "bytes" ? Buffer.from(await body.read(10)).toString() : "none"));
    const got = await converse(server, posted, "hello");
    expect(got).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    expect(got).toMatch(/\r\n\r\nhello$/);
  });

  it.each([
    ["who asks is not known", (): ApiResponse => text("who?", 401)],
    [
      "it is too large",
      async ({ body }: ApiRequest): Promise<ApiResponse> => text(body.kind === "bytes" ? await refused(body.read(4)) : "none", 413),
    ],
  ])("does not ask for it where %s, and closes the connection", async (_why, answer) => {
    const server = await serve(answer);
    const got = await converse(server, posted.replace("Connection: close\r\n", ""));
    expect(got).toMatch(/^HTTP\/1\.1 4\d\d .*\r\n/);
    expect(got).toContain("\r\nConnection: close\r\n");
  });

  const refused = (read: Promise<unknown>): Promise<string> =>
    read.then(
      () => "read",
      (error: unknown) => String(error),
    );

  it.each([
    ["GET /version HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", "400 Bad Request"],
    [`GET /version HTTP/1.1\r\nHost: h\r\nX: ${"a".repeat(2_000)}\r\n\r\n`, "431 Request Header Fields Too Large"],
  ])("says in Go's words that %.40j is none", async (sent, expected) => {
    const server = await serve(() => text("served"), { maxHeaderBytes: 1_000 });
    const head = "Content-Type: text/plain; charset=utf-8\r\nConnection: close";
    expect(await converse(server, sent)).toBe(`HTTP/1.1 ${expected}\r\n${head}\r\n\r\n${expected}`);
  });

  it("takes request heads of up to a mebibyte", async () => {
    const server = await serve(({ headers }) => text(String(headers["x-large"]?.length)));
    const { body } = await request1(server, { headers: { "x-large": "a".repeat(1024 * 1024) } });
    expect(body.toString()).toBe("1048576");
  });
});

describe("stopping", () => {
  /** Nothing ever comes by it; it ends when it is closed. */
  function quietWatch(onClose: () => unknown) {
    let close: () => void = () => undefined;
    const closed = new Promise<void>((resolve) => {
      close = () => {
        onClose();
        resolve();
      };
    });
    return {
      // biome-ignore lint/correctness/useYield: it ends without an event.
      batches: (async function* (): AsyncGenerator<readonly WatchStreamEvent[]> {
        await closed;
      })(),
      close,
    };
  }

  it("ends watches over the time there is for them, many at a time", async () => {
    const clock = new VirtualClock();
    let open = 0;
    const ended = new Set<number>();
    const answer = (): ApiResponse => {
      const watch = open++;
      return { kind: "watch", stream: quietWatch(() => ended.add(watch)), encoding: "json" };
    };
    const http2 = { enabled: true, goawayChance: 0, maxStreamsPerConnection: 250 };
    const server = await serve(answer, { clock, watchGraceMs: 2000, drainMs: 10_000, http2 });
    const client = await session(server);
    const replies = Array.from({ length: 230 }, () => request2(client, { ":path": "/api/v1/pods?watch=1" }));
    await expect.poll(() => open).toBe(230);
    const stopped = server.stop();
    await Promise.all(replies.slice(0, 200));
    expect(ended.size).toBe(200);
    await clock.advance(1000);
    await Promise.all(replies);
    await stopped;
  });

  it("waits for requests as long as it may, for what is long-running five seconds", async () => {
    const clock = new VirtualClock();
    const isOpen = new Set<string>();
    const answer = async ({ path, signal }: ApiRequest): Promise<ApiResponse> => {
      isOpen.add(path);
      if (path.endsWith("/slow")) await clock.sleep(20_000);
      const chunks = (async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.from("x");
        if (path.endsWith("/log")) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      })();
      return { kind: "stream", status: 200, contentType: "text/plain", chunks };
    };
    const server = await serve(answer, { clock, drainMs: 60_000 });
    const slow = request1(server, { path: "/api/v1/slow" });
    const log = request1(server, { path: "/api/v1/namespaces/n/pods/p/log" });
    log.catch(() => undefined);
    await expect.poll(() => isOpen.size).toBe(2);
    let hasStopped = false;
    const stopped = server.stop().then(() => {
      hasStopped = true;
    });
    await clock.advance(19_999);
    expect(hasStopped).toBe(false);
    await clock.advance(1);
    expect((await slow).body.toString()).toBe("x");
    await expect.poll(() => clock.advance(5000).then(() => hasStopped)).toBe(true);
    await expect(log).rejects.toThrow();
    await stopped;
  });
});

describe("cipher suites", () => {
  const handshake = (server: HttpsServer, ciphers: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = tlsConnect({ host: "127.0.0.1", port: server.port, ca, maxVersion: "TLSv1.2", ciphers: `${ciphers}:@SECLEVEL=0` });
      socket.once("secureConnect", () => {
        resolve(socket.getCipher().name);
        socket.destroy();
      });
      socket.once("error", () => resolve("refused"));
    });

  it.each([
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305"],
    ["ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES256-SHA"],
    ["ECDHE-ECDSA-AES128-SHA256", "refused"],
    ["ECDHE-ECDSA-AES256-CCM", "refused"],
  ])("are by default those of Go: %s is %s", async (offered, expected) => {
    const server = await serve(() => ({ kind: "object", status: 200, object: {} }));
    expect(await handshake(server, offered)).toBe(expected);
  });
});
