// pods/log over a WebSocket: an HTTPS server on the loopback interface stands for the kubelet, and the client is a real one.
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import WebSocket from "ws";
import { endpoints, nodes, pods, services } from "../../api/resources.generated.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import { MemoryReader } from "../admission/memory-reader.ts";
import { parseRequestInfo } from "../http/request-info.ts";
import type { RequestContext, UpgradeHandle } from "../request.ts";
import { podLogConnects } from "./pod-log.ts";
import { createPodLogMetrics } from "./pod-log-metrics.ts";

const path = "/api/v1/namespaces/logs-1/pods/web/log";
let url: string;
let kubeletGone: Promise<void>;

function listening(server: Server): Promise<number> {
  onTestFinished(() => void server.close());
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}

/** Its log: one line, and for a follower another one when the first has been read. */
async function startKubelet(): Promise<number> {
  const { privateKey, publicKey } = generateKey();
  const validity = { notBeforeMs: Date.now() - 1000, notAfterMs: Date.now() + 3_600_000 };
  const request = {
    subject: { commonName: "kubelet", organizations: [] },
    publicKey,
    ...validity,
    keyUsages: ["digitalSignature"] as const,
    extendedKeyUsages: [],
  };
  const cert = certificatePem(issueCertificate({ ...request, isAuthority: false }, { key: privateKey }));
  let closed: () => void = () => undefined;
  kubeletGone = new Promise((resolve) => (closed = resolve));
  const server = createTlsServer({ cert, key: privateKeyPem(privateKey) }, (incoming, response) => {
    response.on("close", () => closed());
    response.write("hello\n");
    if (!incoming.url?.includes("follow=true")) response.end();
  });
  return listening(server as unknown as Server);
}

/** The API server's part: hands upgrades of clients to the handler, and its answer the connection. */
async function startFront(kubeletPort: number): Promise<number> {
  const reader = new MemoryReader();
  reader.put(pods, { metadata: { namespace: "logs-1", name: "web" }, spec: { nodeName: "n", containers: [{ name: "c" }] } });
  const status = { addresses: [{ type: "InternalIP", address: "127.0.0.1" }], daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } } };
  reader.put(nodes, { metadata: { name: "n" }, spec: {}, status });
  const deps = {
    ...{ kubeletTls: {}, pods: reader.informer(pods), nodes: reader.informer(nodes) },
    ...{ services: reader.informer(services), endpoints: reader.informer(endpoints) },
  };
  const handler = podLogConnects(deps)["/pods/log"];
  const server = createServer().on("upgrade", (message, socket, head) => {
    const [plain = "", search = ""] = (message.url ?? "").split("?");
    const query = new URLSearchParams(search);
    const upgrade: UpgradeHandle = { socket, head, rawHeaders: message.rawHeaders };
    const request = {
      method: "GET",
      path: plain,
      query,
      headers: message.headers,
      body: { kind: "none" },
      signal: new AbortController().signal,
      upgrade,
    };
    const context = { request, info: parseRequestInfo("GET", plain, query) } as unknown as RequestContext; // what the handler reads
    const refuse = (error: { readonly code: number }): void => void socket.end(`HTTP/1.1 ${error.code} Refused\r\n\r\n`);
    handler?.(context).then((response) => response.kind === "upgrade" && response.serve(upgrade), refuse);
  });
  return listening(server);
}

beforeEach(async () => {
  url = `ws://127.0.0.1:${await startFront(await startKubelet())}${path}`;
});

interface Heard {
  readonly messages: readonly (string | Buffer)[];
  readonly code: number;
  readonly protocol: string;
}

function hear(protocols: readonly string[]): Promise<Heard> {
  const socket = new WebSocket(url, [...protocols]);
  const messages: (string | Buffer)[] = [];
  socket.on("message", (data, isBinary) => messages.push(isBinary ? (data as Buffer) : String(data)));
  return new Promise((resolve, reject) => {
    socket.on("error", reject).on("close", (code) => resolve({ messages, code, protocol: socket.protocol }));
  });
}

const line = Buffer.from("hello\n");

describe("pods/log over a WebSocket", () => {
  it.each([[[]], [["binary.k8s.io"]], [["unknown", "binary.k8s.io"]]])(
    "comes in binary messages after an empty one for %j",
    async (protocols) => {
      expect(await hear(protocols)).toEqual({ messages: [Buffer.alloc(0), line], code: 1000, protocol: protocols.at(-1) ?? "" });
    },
  );

  it("comes as base64 in messages of text where that is asked for", async () => {
    expect(await hear(["base64.binary.k8s.io"])).toEqual({
      messages: ["", line.toString("base64")],
      code: 1000,
      protocol: "base64.binary.k8s.io",
    });
  });

  it("takes a token among the protocols for none of them", async () => {
    expect((await hear(["base64url.bearer.authorization.k8s.io.c2VjcmV0", "binary.k8s.io"])).protocol).toBe("binary.k8s.io");
  });

  it("refuses clients that offer only what it does not speak", async () => {
    await expect(hear(["v4.channel.k8s.io"])).rejects.toThrow("403");
  });

  it("ends the kubelet's answer when the client goes", async () => {
    const socket = new WebSocket(`${url}?follow=true`);
    await new Promise<void>((resolve) => {
      let count = 0;
      socket.on("message", () => ++count === 2 && resolve());
    });
    socket.close();
    await kubeletGone;
  });
});

describe("logs over HTTP", () => {
  /** A certificate of nobody who is known to the kubelet's. */
  const stranger = (): string => {
    const { privateKey, publicKey } = generateKey();
    const subject = { commonName: "stranger", organizations: [] };
    const validity = { notBeforeMs: Date.now() - 1000, notAfterMs: Date.now() + 3_600_000 };
    const uses = { keyUsages: ["certSign"] as const, extendedKeyUsages: [] };
    return certificatePem(issueCertificate({ subject, publicKey, ...validity, ...uses, isAuthority: true }, { key: privateKey }));
  };

  it("come from a kubelet with an unknown certificate only where the client says so; both are counted", async () => {
    const reader = new MemoryReader();
    reader.put(pods, { metadata: { namespace: "logs-1", name: "web" }, spec: { nodeName: "n", containers: [{ name: "c" }] } });
    const daemonEndpoints = { kubeletEndpoint: { Port: await startKubelet() } };
    const status = { addresses: [{ type: "InternalIP", address: "127.0.0.1" }], daemonEndpoints };
    reader.put(nodes, { metadata: { name: "n" }, spec: {}, status });
    const metrics = new MetricsRegistry();
    const lists = { pods: reader.informer(pods), nodes: reader.informer(nodes) };
    const handler = podLogConnects({ kubeletTls: { ca: stranger() }, ...lists, logMetrics: createPodLogMetrics(metrics) })["/pods/log"];
    const ask = (search: string) => {
      const query = new URLSearchParams(search);
      const request = { method: "GET", path, query, headers: {}, signal: new AbortController().signal };
      return handler?.({ info: parseRequestInfo("GET", path, query), request } as unknown as RequestContext);
    };
    await expect(ask("")).rejects.toMatchObject({ code: 500 });
    const answer = await ask("insecureSkipTLSVerifyBackend=true");
    if (answer?.kind !== "stream") throw new Error("no log");
    let text = "";
    for await (const chunk of answer.chunks) text += Buffer.from(chunk).toString();
    expect(text).toBe("hello\n");
    expect(metrics.text()).toContain('kube_apiserver_pod_logs_insecure_backend_total{usage="enforce_tls"} 1');
    expect(metrics.text()).toContain('kube_apiserver_pod_logs_insecure_backend_total{usage="skip_tls_allowed"} 1');
    expect(metrics.text()).toContain("kube_apiserver_pod_logs_backend_tls_failure_total 1");
  });
});
