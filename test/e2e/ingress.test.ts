// Ingress on real containers, on ports of its own: from the moment there is an Ingress to the pods, with the class that `up` makes.
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Node } from "../../src/api/types/core-v1.ts";
import type { Ingress } from "../../src/api/types/networking-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../src/base/x509/certificate.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, shell, TestBed, type TestNamespace } from "../support/namespace.ts";
import { freePort, startCoracle, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`ingress is not tried with real containers: ${reason}`);

/** Answers with the pod's name. */
const server = shell(["mkdir /www; hostname > /www/index.html", "httpd -p 8080 -h /www", idle].join("\n"));

const backend = (name: string, port: object) => ({ service: { name, port } });
const httpPath = (name: string, path: string, port: object = { number: 80 }) => ({
  path,
  pathType: "Prefix",
  backend: backend(name, port),
});
const ingress = (name: string, spec: object) => ({ apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name }, spec });
const service = (name: string) => ({
  ...{ apiVersion: "v1", kind: "Service", metadata: { name } },
  spec: { selector: { app: name }, ports: [{ name: "web", port: 80, targetPort: 8080 }] },
});

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

function tlsSecret(name: string, host: string) {
  const { privateKey, publicKey } = generateKey();
  const nowMs = realClock.now();
  const names = { subject: { commonName: host, organizations: [] }, names: { dnsNames: [host] } };
  const times = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 3_600_000 };
  const certificate = issueCertificate({ ...names, ...times, publicKey, keyUsages: ["digitalSignature"] }, { key: privateKey });
  const stringData = { "tls.crt": certificatePem(certificate), "tls.key": privateKeyPem(privateKey) };
  return { apiVersion: "v1", kind: "Secret", metadata: { name }, type: "kubernetes.io/tls", stringData };
}

describe.runIf(reason === undefined)("Ingress on real containers", { timeout: 180_000 }, () => {
  let bed: TestBed;
  let ns: TestNamespace;
  let http: number;
  let https: number;
  beforeAll(async () => {
    [http, https] = [await freePort(), await freePort()];
    const ports = ["--ingress-http-port", String(http), "--ingress-https-port", String(https)];
    bed = await TestBed.start("ingress", [...ports, "--gateway-api"]);
    ns = await bed.namespace("entrance");
    await ns.apply(service("a"), service("b"));
    for (const [name, app] of [
      ["a1", "a"],
      ["a2", "a"],
      ["b1", "b"],
    ] as const)
      await ns.pod(name, server, { labels: { app } });
    for (const name of ["a1", "a2", "b1"]) await ns.untilPod(name, "runs", (pod) => pod.status?.phase === "Running");
  }, 300_000);
  afterAll(() => bed?.remove(), 180_000);

  function page(host: string, port = http, path = "/"): Promise<string> {
    return new Promise((resolve) => {
      const options = { host: "127.0.0.1", port, path, headers: { host }, agent: false, timeout: 5_000 };
      const asking = request(options, (answer: IncomingMessage) => {
        let text = "";
        answer.on("data", (chunk) => (text += chunk));
        answer.on("end", () => resolve(answer.statusCode === 200 ? text.trim() : String(answer.statusCode)));
        answer.on("error", (error) => resolve(error.message));
      });
      asking.on("timeout", () => asking.destroy(new Error("timeout")));
      asking.on("error", (error) => resolve(error.message));
      asking.end();
    });
  }

  it("opens no port before there is an Ingress, then leads to all pods of a service, and says where", async () => {
    expect([await accepts(http), await accepts(https)]).toEqual([false, false]);
    expect(await ns.kubectl("get", "ingressclass")).toMatch(/coracle \(default\)\s+coracle.local\/ingress/);
    await ns.apply(
      ingress("front", {
        rules: [
          { host: "a.example.com", http: { paths: [httpPath("a", "/", { name: "web" })] } },
          { host: "*.example.com", http: { paths: [httpPath("b", "/")] } },
        ],
      }),
    );
    const made = async () => JSON.parse(await ns.kubectl("get", "ingress", "front", "-o", "json")) as Ingress;
    // Without a class it has got the default.
    expect((await made()).spec.ingressClassName).toBe("coracle");
    const seen = new Set<string>();
    await until("both pods of a answer", async () => seen.add(await page("a.example.com")).has("a1") && seen.has("a2"));
    expect(await page("other.example.com")).toBe("b1");
    expect(await page("example.com")).toBe("404");
    const node = (JSON.parse(await ns.kubectl("get", "nodes", "-o", "json")) as { readonly items: readonly Node[] }).items[0];
    const address = node?.status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
    await until("the status says where", async () => (await made()).status?.loadBalancer?.ingress?.[0]?.ip === address);
  });

  it("goes past a pod that ends, and answers 503 without any", async () => {
    await ns.kubectl("delete", "pod", "a1", "--grace-period=0", "--force");
    let inRow = 0;
    await until("the other one answers alone, and no request fails meanwhile", async () => {
      const answer = await page("a.example.com");
      expect(["a1", "a2"]).toContain(answer);
      inRow = answer === "a2" ? inRow + 1 : 0;
      return inRow === 10;
    });
    await ns.kubectl("delete", "pod", "a2", "--grace-period=0", "--force");
    await until("no pod is left", async () => (await page("a.example.com")) === "503");
  });

  it("shows the certificate of a secret, and the next one", async () => {
    await ns.apply(
      tlsSecret("pair", "b.example.com"),
      ingress("secure", {
        tls: [{ hosts: ["b.example.com"], secretName: "pair" }],
        rules: [{ host: "b.example.com", http: { paths: [httpPath("b", "/")] } }],
      }),
    );
    const certificate = async () => {
      const socket = connectTls({ host: "127.0.0.1", port: https, servername: "b.example.com", rejectUnauthorized: false });
      await once(socket, "secureConnect");
      const { subject, serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return { name: subject.CN, serialNumber };
    };
    await until("its certificate is shown", async () => (await certificate()).name === "b.example.com");
    const { serialNumber } = await certificate();
    await ns.apply(tlsSecret("pair", "b.example.com"));
    await until("the next one is shown", async () => (await certificate()).serialNumber !== serialNumber);
  });

  it("is served by a process of its own too, which ends when it is told to", async () => {
    const port = await freePort();
    const ports = ["--http-port", String(port), "--https-port", "0", "--status-port", "0"];
    const own = startCoracle(["ingress", "--kubeconfig", bed.cluster.kubeconfig, ...ports]);
    try {
      await until("it serves", async () => (await page("b.example.com", port)) === "b1");
      await until("it leads", async () => (await bed.cluster.kubectl("get", "lease", "-n", "kube-system")).includes("coracle-ingress"));
    } finally {
      expect(await own.stop("SIGTERM")).toBe(0);
    }
  });

  it("serves gateways beside, on the same port and on one of their own, and counts what it has served", async () => {
    const port = await freePort();
    const apiVersion = "gateway.networking.k8s.io/v1";
    const listener = (name: string, at: number) => ({ name, port: at, protocol: "HTTP" });
    const listeners = [{ ...listener("shared", http), hostname: "*.gateway.example.com" }, listener("own", port)];
    const rules = [
      {
        matches: [{ path: { value: "/web" } }],
        filters: [{ type: "URLRewrite", urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/" } } }],
        backendRefs: [{ name: "b", port: 80 }],
      },
    ];
    await ns.apply(
      { apiVersion, kind: "Gateway", metadata: { name: "entrance" }, spec: { gatewayClassName: "coracle", listeners } },
      { apiVersion, kind: "HTTPRoute", metadata: { name: "b" }, spec: { parentRefs: [{ name: "entrance" }], rules } },
    );
    await ns.kubectl("wait", "gateway/entrance", "--for=condition=Programmed", "--timeout=60s");
    await until("its own port leads to the pod", async () => (await page("any.example.org", port, "/web/index.html")) === "b1");
    await until("so does the one of Ingress", async () => (await page("a.gateway.example.com", http, "/web")) === "b1");
    expect(await page("b.example.com")).toBe("b1");
    expect(await ns.kubectl("get", "gatewayclass", "coracle")).toMatch(/coracle.local\/gateway-controller\s+True/);
    await until("figures are among the cluster's", async () =>
      /coracle_ingress_requests_total\{code="200"\} \d/.test(await ns.kubectl("get", "--raw", "/metrics")),
    );
    await ns.kubectl("delete", "gateway", "entrance");
    await until("its port is given back", async () => !(await accepts(port)));
  });

  it("gives its ports back after the last Ingress", async () => {
    await ns.kubectl("delete", "ingress", "--all");
    await until("nobody listens", async () => !(await accepts(http)) && !(await accepts(https)));
  });
});
