import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { createServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import { realClock } from "../../base/clock.ts";
import { makeServerCertificate } from "../webhook/webhook-server-fixture.ts";
import { Backend } from "./backend.ts";
import type { BackendAnswer, BackendRequest } from "./backend-request.ts";

const certificate = makeServerCertificate(["s.n.svc"]);
const servers: Server[] = [];
const backends: Backend[] = [];

afterEach(async () => {
  for (const backend of backends.splice(0)) backend.close();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

async function listening<S extends Server>(server: S, port = 0): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const speaksHttp2 = (serve: (request: Http2ServerRequest, response: Http2ServerResponse) => void): Http2SecureServer =>
  createSecureServer({ cert: certificate.cert, key: certificate.key }, serve);

function backendAt(port: number): Backend {
  const apiService = {
    metadata: { name: "v1.g", uid: "u" },
    spec: {
      group: "g",
      version: "v1",
      service: { namespace: "n", name: "s" },
      caBundle: Buffer.from(certificate.caPem).toString("base64"),
    },
  } as unknown as APIService;
  const deps = { clock: realClock, resolve: () => ({ host: "127.0.0.1", port }), clientCertificate: () => undefined };
  const backend = new Backend(deps, apiService);
  backends.push(backend);
  return backend;
}

const get = (more: Partial<BackendRequest> = {}): BackendRequest => ({
  method: "GET",
  path: "/x?y=1",
  headers: { host: "s:443", connection: "close", "X-Remote-User": "u" },
  signal: new AbortController().signal,
  ...more,
});

const ask = (backend: Backend, more?: Partial<BackendRequest>): Promise<BackendAnswer> => backend.send(get(more), backend.resolve());

async function textOf(answer: BackendAnswer): Promise<string> {
  let text = "";
  for await (const chunk of answer) text += Buffer.from(chunk).toString();
  return text;
}

describe("extension servers", () => {
  it("are asked over HTTP/2 where they offer it, many requests on one connection", async () => {
    const sessions = new Set<unknown>();
    const server = speaksHttp2((request, response) => {
      sessions.add(request.stream.session);
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        response.writeHead(201, { "content-type": "text/plain", "x-own": "1" });
        const { method, url, authority, headers } = request;
        response.end(JSON.stringify({ method, url, authority, user: headers["x-remote-user"], connection: headers.connection, body }));
      });
    });
    const backend = backendAt(await listening(server));
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(backend, { method: "POST", body: Buffer.from("hello") })));
    expect(answers[0]).toMatchObject({ statusCode: 201, headers: { "content-type": "text/plain", "x-own": "1" } });
    const texts = await Promise.all(answers.map(textOf));
    expect(JSON.parse(texts[0] ?? "")).toEqual({ method: "POST", url: "/x?y=1", authority: "s:443", user: "u", body: "hello" });
    expect(sessions.size).toBe(1);
  });

  it("are asked over HTTP/1.1 where they offer nothing else", async () => {
    const seen: string[] = [];
    const server = createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
      seen.push(request.httpVersion);
      response.end("old");
    });
    const backend = backendAt(await listening(server));
    expect(await textOf(await ask(backend))).toBe("old");
    expect(await textOf(await ask(backend))).toBe("old");
    expect(seen).toEqual(["1.1", "1.1"]);
  });

  it("get another connection after they have gone away", async () => {
    const serve = (_request: Http2ServerRequest, response: Http2ServerResponse): void => void response.end("here");
    const first = speaksHttp2(serve);
    const sessions: ServerHttp2Session[] = [];
    first.on("session", (session) => sessions.push(session));
    const port = await listening(first);
    const backend = backendAt(port);
    expect(await textOf(await ask(backend))).toBe("here");
    await new Promise((resolve) => {
      first.close(resolve);
      for (const session of sessions) session.destroy();
    });
    servers.splice(servers.indexOf(first), 1);
    await listening(speaksHttp2(serve), port);
    expect(await textOf(await ask(backend))).toBe("here");
  });

  it("are told when a client has gone, and others go on", async () => {
    let ended = (): void => undefined;
    const isOver = new Promise<void>((resolve) => (ended = resolve));
    const server = speaksHttp2((request, response) => {
      response.writeHead(200);
      response.write("begun");
      if (request.url === "/watch") request.stream.once("close", ended);
      else response.end();
    });
    const backend = backendAt(await listening(server));
    const stop = new AbortController();
    const reading = textOf(await ask(backend, { path: "/watch", signal: stop.signal }));
    stop.abort(new Error("gone"));
    await expect(reading).rejects.toThrow("gone");
    await isOver;
    expect(await textOf(await ask(backend))).toBe("begun");
  });

  it("that cannot be believed are refused as over HTTP/1.1", async () => {
    const other = makeServerCertificate(["other"]);
    const port = await listening(createSecureServer({ cert: other.cert, key: other.key }));
    await expect(ask(backendAt(port))).rejects.toMatchObject({ code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
  });
});
