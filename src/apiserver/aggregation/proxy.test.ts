import { createServer as createHttpsServer } from "node:https";
import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import { realClock, VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { fakeContext } from "../authn/request-fixture.ts";
import type { ApiResponse } from "../request.ts";
import { makeServerCertificate } from "../webhook/webhook-server-fixture.ts";
import { Backend } from "./backend.ts";
import { createProxy } from "./proxy.ts";

const backends: Backend[] = [];
afterEach(() => {
  for (const backend of backends.splice(0)) backend.close();
});

function backendAt(port: number | undefined, more: Partial<APIService["spec"]> = {}, clock = realClock): Backend {
  const resolve = () => {
    if (port === undefined) throw new Error("no endpoints available");
    return { host: "127.0.0.1", port };
  };
  const apiService: APIService = {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name: "v1.x", uid: "u", creationTimestamp: "", resourceVersion: "1" },
    spec: {
      ...{ group: "x", version: "v1", groupPriorityMinimum: 1, versionPriority: 1 },
      ...{ service: { name: "s", namespace: "n" }, ...more },
    },
    status: { conditions: [{ type: "Available", status: "True" }] },
  };
  const backend = new Backend({ clock, resolve, clientCertificate: () => undefined }, apiService);
  backends.push(backend);
  return backend;
}

const context = () => fakeContext({ info: { path: "/apis/x/v1/things", apiGroup: "x", resource: "things", verb: "list" } });

function textOf(response: ApiResponse): string {
  if (response.kind !== "bytes") throw new Error(`answered with ${response.kind}`);
  return `${response.status} ${response.contentType}: ${Buffer.from(response.bytes).toString()}`;
}

/** A port on which nobody listens, and one on which nobody answers. */
async function silentServer() {
  const server = createServer((socket) => void socket.on("error", () => undefined).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return { port, close: () => new Promise((resolve) => server.close(resolve)) };
}

describe("createProxy()", () => {
  const { forward: proxy } = createProxy({ clock: realClock, logger: silentLogger });

  it("says in plain text why there is no answer", async () => {
    const unavailable = backendAt(1);
    unavailable.available = false;
    expect(textOf(await proxy(unavailable, context()))).toBe("503 text/plain; charset=utf-8: service unavailable\n");
    expect(textOf(await proxy(backendAt(undefined), context()))).toBe("503 text/plain; charset=utf-8: service unavailable\n");
    const server = await silentServer();
    await server.close();
    expect(textOf(await proxy(backendAt(server.port), context()))).toBe(
      `503 text/plain; charset=utf-8: error trying to reach service: dial tcp 127.0.0.1:${server.port}: connect: connection refused\n`,
    );
    const caBundle = Buffer.from("no certificate").toString("base64");
    expect(textOf(await proxy(backendAt(1, { caBundle }), context()))).toBe(
      "500 text/plain; charset=utf-8: unable to load root certificates: unable to parse bytes as PEM block\n",
    );
  });

  it("tells clients where an extension server redirects them, where that is wanted", async () => {
    const { cert, key, caPem } = makeServerCertificate(["s.n.svc"]);
    const server = createHttpsServer({ cert, key }, (_request, response) => {
      response.writeHead(307, { location: "https://elsewhere.example.com/", "content-type": "text/plain" }).end("over there");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const backend = backendAt((server.address() as { port: number }).port, { caBundle: Buffer.from(caPem).toString("base64") });
    const { forward: telling } = createProxy({ clock: realClock, logger: silentLogger }, { forwardsRedirects: true });
    const told = await telling(backend, context());
    if (told.kind !== "stream") throw new Error(`answered with ${told.kind}`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of told.chunks) chunks.push(chunk as Uint8Array);
    expect([told.status, told.headers?.location, Buffer.concat(chunks).toString()]).toEqual([
      307,
      "https://elsewhere.example.com/",
      "over there",
    ]);
    expect(textOf(await proxy(backend, context()))).toBe(
      "502 text/plain; charset=utf-8: the backend attempted to redirect this request, which is not permitted\n",
    );
    backend.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it("gives up when the time of the request has passed, and sooner for discovery", async () => {
    const server = await silentServer();
    const clock = new VirtualClock();
    const { forward: patient } = createProxy({ clock, logger: silentLogger }, { requestTimeoutMs: 20_000 });
    const backend = backendAt(server.port, {}, clock);
    const expired = "503 text/plain; charset=utf-8: error trying to reach service: context deadline exceeded\n";
    const list = patient(backend, context());
    const discovery = patient(backend, fakeContext({ info: { path: "/apis/x/v1", isResourceRequest: false } }));
    await clock.advance(5000);
    expect(textOf(await discovery)).toBe(expired);
    await clock.advance(15_000);
    expect(textOf(await list)).toBe(expired);
    backend.close();
    await server.close();
  });
});
