// WebSockets into pods: which of them a kubelet gets as they are, and who may open them.
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { nodes, pods } from "../../api/resources.generated.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import type { UserInfo } from "../authn/user.ts";
import { ensureVerb } from "../authz/ensure-verb.ts";
import { parseRequestInfo } from "../http/request-info.ts";
import type { RequestContext } from "../request.ts";
import type { ConnectDependencies } from "./node-endpoint.ts";
import { podStreamConnects } from "./pod-streams.ts";

const newest = "v5.channel.k8s.io";
const tunnelled = "SPDY/3.1+portforward.k8s.io";
const feature = "ExtendWebSocketsToKubelet";

interface Asked {
  readonly path?: string;
  readonly protocol?: string;
  readonly declared?: readonly string[];
  readonly webSocketsToKubelets?: boolean;
}

/** A pod, and its node. */
function readerWith(declaredFeatures: readonly string[]): MemoryReader {
  const reader = new MemoryReader();
  reader.put(pods, { metadata: { namespace: "a", name: "p" }, spec: { nodeName: "n", containers: [{ name: "c" }] } });
  const status = { declaredFeatures, addresses: [{ type: "InternalIP", address: "10.0.0.1" }] };
  reader.put(nodes, { metadata: { name: "n" }, spec: {}, status });
  return reader;
}

/** A connection to a server that serves these streams. */
async function clientOf(deps: ConnectDependencies, path: string): Promise<Socket> {
  const front = createServer().on("upgrade", async (message, socket, head) => {
    socket.on("error", () => undefined); // of clients that are gone
    const answer = await podStreamConnects(deps)[`/pods/${(path.split("?")[0] ?? "").trim()}`]?.(contextOf(message));
    if (answer?.kind === "upgrade") answer.serve({ socket, head, rawHeaders: message.rawHeaders });
  });
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void front.close());
  const client = connect((front.address() as AddressInfo).port, "127.0.0.1");
  onTestFinished(() => void client.destroy());
  return client;
}

/** The upgrade that the kubelet is asked for. */
async function upgradeAtKubelet({ path = "exec?command=ls", protocol = newest, declared = [feature], ...more }: Asked): Promise<string> {
  const asked: IncomingMessage[] = [];
  const kubelet = createServer().on("upgrade", (request, socket) => {
    asked.push(request);
    socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
  });
  await new Promise<void>((resolve) => kubelet.listen(0, "127.0.0.1", resolve));
  const { port } = kubelet.address() as AddressInfo;
  const reader = readerWith(declared);
  const deps = {
    ...{ kubeletTls: {}, pods: reader.informer(pods), nodes: reader.informer(nodes), ...more },
    dial: () => connect(port, "127.0.0.1"),
  };
  onTestFinished(() => void kubelet.close());
  const client = await clientOf(deps, path);
  const handshake = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", `Sec-WebSocket-Protocol: ${protocol}`];
  const lines = ["Host: x", "Connection: Upgrade", "Upgrade: websocket", ...handshake];
  client.write([`GET /api/v1/namespaces/a/pods/p/${path} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
  await vi.waitFor(() => expect(asked).toHaveLength(1), { timeout: 60_000 });
  const [request] = asked;
  return `${request?.method} ${request?.url} ${request?.headers.upgrade} ${request?.headers["sec-websocket-protocol"] ?? ""}`.trim();
}

function contextOf(message: IncomingMessage, user: UserInfo = { name: "u", groups: [] }): RequestContext {
  const [path = "", search = ""] = (message.url ?? "").split("?");
  const query = new URLSearchParams(search);
  const { headers } = message;
  const request = { method: "GET", path, query, headers, headerLines: () => [], upgrade: {}, body: { kind: "none" } };
  return { request, info: parseRequestInfo("GET", path, query), user } as unknown as RequestContext; // what these handlers read
}

describe("WebSockets into pods", () => {
  it("go on as they are to kubelets that declare that they take them", async () => {
    expect(await upgradeAtKubelet({})).toBe(`GET /exec/a/p/c?command=ls websocket ${newest}`);
    expect(await upgradeAtKubelet({ path: "portforward?ports=80", protocol: tunnelled })).toBe(
      `GET /portForward/a/p?port=80 websocket ${tunnelled}`,
    );
  });

  it("carry the streams that are asked for: all but false and 0 does, without a value too", async () => {
    const asked = await upgradeAtKubelet({ path: "exec?command=ls&stdin=yes&stdout&stderr=0&tty=FALSE" });
    expect(asked).toBe(`GET /exec/a/p/c?input=1&output=1&command=ls websocket ${newest}`);
  });

  it.each([
    ["an older protocol", { protocol: "v4.channel.k8s.io" }],
    ["a node that does not declare it", { declared: [] }],
    ["the gate being off", { webSocketsToKubelets: false }],
  ])("are translated for %s", async (_why, asked) => {
    expect(await upgradeAtKubelet(asked)).toBe("POST /exec/a/p/c?command=ls SPDY/3.1");
  });
});

describe("a kubelet that cannot be dialled", () => {
  it.each(["SPDY/3.1", "websocket"])("is told of in a Status: %s", async (protocol) => {
    const reader = readerWith([]);
    const dial = (): never => {
      throw new Error("no route to host");
    };
    const client = await clientOf({ kubeletTls: {}, pods: reader.informer(pods), nodes: reader.informer(nodes), dial }, "exec?command=ls");
    const handshake = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", `Sec-WebSocket-Protocol: ${newest}`];
    const lines = ["Host: x", "Connection: Upgrade", `Upgrade: ${protocol}`, ...(protocol === "websocket" ? handshake : [])];
    client.write(["GET /api/v1/namespaces/a/pods/p/exec?command=ls HTTP/1.1", ...lines, "", ""].join("\r\n"));
    const [head, body] = (await text(client)).split("\r\n\r\n");
    expect(head).toMatch(/^HTTP\/1\.1 500 \r\ncontent-type: application\/json\r\n/);
    const message = "error dialing backend: no route to host";
    expect(JSON.parse(body ?? "")).toEqual({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, code: 500 });
  });
});

describe("ensureVerb()", () => {
  const message = { url: "/api/v1/namespaces/a/pods/p/exec", headers: {} } as unknown as IncomingMessage; // what a context is made of
  const answering = (decision: "allow" | "no-opinion") => ({
    authorize: vi.fn(async () => ({ decision, reason: decision === "allow" ? "" : "only readers" })),
  });

  it("asks whether the user may use the other verb as well", async () => {
    const authorizer = answering("allow");
    await ensureVerb(authorizer, contextOf(message), "create");
    expect(authorizer.authorize).toHaveBeenCalledWith(expect.objectContaining({ verb: "create", resource: "pods", subresource: "exec" }));
    await expect(ensureVerb(answering("no-opinion"), contextOf(message), "create")).rejects.toThrow('pods "p" is forbidden: only readers');
  });

  it("asks nobody where it is the request's own", async () => {
    const authorizer = answering("no-opinion");
    await ensureVerb(authorizer, contextOf(message), "get");
    expect(authorizer.authorize).not.toHaveBeenCalled();
  });
});
