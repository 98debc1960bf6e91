// Egress selectors: what is refused, and a webhook and an upgrade that go through a real proxy (HTTP CONNECT) on the loopback
// interface or at a Unix socket.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { realClock } from "../../base/clock.ts";
import { httpConnectTunnel, tunnelAgents } from "../../rpc/tunnel.ts";
import { dialUpgrade } from "../../rpc/upgrade.ts";
import { createWebhookClient } from "../webhook/create-webhook-client.ts";
import { openEgressSelector } from "./egress-selector.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-egress-"));
});
afterEach(() => rm(directory, { recursive: true }));

async function configured(...egressSelections: readonly unknown[]): Promise<string> {
  const file = join(directory, "egress.json");
  await writeFile(file, JSON.stringify({ apiVersion: "apiserver.k8s.io/v1beta1", kind: "EgressSelectorConfiguration", egressSelections }));
  return file;
}

const selection = (name: string, proxyProtocol: string, transport?: unknown) => ({
  name,
  connection: { proxyProtocol, ...(transport ? { transport } : {}) },
});
const tcp = (url: string, tlsConfig?: unknown) => ({ tcp: { url, ...(tlsConfig ? { tlsConfig } : {}) } });

describe("openEgressSelector()", () => {
  it.each([
    [
      [selection("cluster", "Direct", tcp("http://a"))],
      'service.connection.transport: Invalid value: "direct": config must be absent for direct connect',
    ],
    [[selection("cluster", "HTTPConnect")], "service.connection.transport: Required value: transport must be set for HTTPConnect"],
    [[selection("cluster", "HTTPConnect", {})], "service.connection.tcp: Required value: One of TCP or UDS must be set"],
    [
      [selection("cluster", "HTTPConnect", tcp("ftp://a"))],
      'service.connection.url: Invalid value: "ftp://a": supported connection protocols are http:// and https://',
    ],
    [
      [selection("cluster", "HTTPConnect", tcp("https://a"))],
      "service.connection.tlsConfig: Required value: TLSConfig must be present when using HTTPS",
    ],
    [
      [selection("cluster", "HTTPConnect", { uds: { udsName: "" } })],
      'service.connection.udsName: Invalid value: "nil": must be present for UDS connections',
    ],
    [
      [selection("cluster", "SOCKS")],
      'service.connection.protocol: Unsupported value: "SOCKS": supported values: "Direct", "HTTPConnect", "GRPC"',
    ],
    [[selection("nodes", "Direct")], 'service.connection: Unsupported value: "nodes": supported values: "cluster", "controlplane", "etcd"'],
    [[selection("cluster", "Direct"), selection("Cluster", "Direct")], 'service.connection[1]: Duplicate value: "cluster"'],
    [[selection("cluster", "GRPC", tcp("http://a"))], "service.connection.uds: Required value: UDS must be set with GRPC"],
    [[selection("etcd", "HTTPConnect", { uds: { udsName: "/s" } })], "egress etcd: etcd is reached directly only"],
  ])("refuses %j", async (selections, message) => {
    await expect(openEgressSelector(await configured(...selections))).rejects.toThrow(message);
  });

  it("has a tunnel for what does not go directly", async () => {
    const file = await configured(selection("cluster", "HTTPConnect", tcp("http://127.0.0.1:1")), selection("controlplane", "Direct"));
    expect(Object.keys(await openEgressSelector(file))).toEqual(["cluster"]);
  });
});

function listen<S extends Server | ReturnType<typeof createTcpServer>>(server: S, at: string | number = 0): Promise<number> {
  onTestFinished(() => void server.close());
  return new Promise((resolve) => server.listen(at as never, () => resolve((server.address() as AddressInfo).port)));
}

/** Remembers where it was asked to connect to. */
function proxyServer(asked: string[]): Server {
  return createServer().on("connect", (request, client, head) => {
    asked.push(request.url ?? "");
    if (request.url?.startsWith("refused")) return client.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const target = connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      target.write(head);
      target.pipe(client).pipe(target);
    });
  });
}

describe("a tunnel", () => {
  it("carries calls of webhooks at a URL through the control plane's proxy, those of services through the cluster's", async () => {
    const asked: string[] = [];
    const proxy = await listen(proxyServer(asked));
    const hook = await listen(createServer((request, response) => request.resume().on("end", () => response.end('{"ok":true}'))));
    const { cluster } = await openEgressSelector(await configured(selection("cluster", "HTTPConnect", tcp(`http://127.0.0.1:${proxy}`))));
    const client = createWebhookClient({ clock: realClock }, { egress: { cluster } });
    onTestFinished(() => client.stop());
    const call = { body: {}, timeoutMs: 10_000 };
    expect(await client.post({ url: `http://127.0.0.1:${hook}/` }, call)).toEqual({ ok: true });
    expect(asked).toEqual([]);
    expect(await client.post({ url: "http://web.default.svc/", connectTo: { host: "127.0.0.1", port: hook } }, call)).toEqual({ ok: true });
    expect(asked).toEqual([`127.0.0.1:${hook}`]);
  });

  it("carries upgrades, through a proxy at a Unix socket", async () => {
    const asked: string[] = [];
    const socketPath = join(directory, "proxy.sock");
    await listen(proxyServer(asked), socketPath);
    const server = createServer().on("upgrade", (_request, socket) =>
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\nhello"),
    );
    const port = await listen(server);
    const agents = tunnelAgents(httpConnectTunnel({ socketPath }));
    const options = { method: "GET", headers: { connection: "Upgrade", upgrade: "echo" }, timeoutMs: 10_000, agents };
    const answer = await dialUpgrade(new URL(`http://127.0.0.1:${port}/`), options);
    expect(answer.upgraded && String(answer.head)).toBe("hello");
    if (answer.upgraded) answer.socket.destroy();
    expect(asked).toEqual([`127.0.0.1:${port}`]);
  });

  it("says what the proxy answers instead of a connection", async () => {
    const proxy = await listen(proxyServer([]));
    const tunnel = httpConnectTunnel({ url: new URL(`http://127.0.0.1:${proxy}`) });
    await expect(tunnel("refused", 443)).rejects.toThrow(
      `dialing refused:443 through the proxy at 127.0.0.1:${proxy}: it answered 403 Forbidden`,
    );
  });
});
