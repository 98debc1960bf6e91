// Services on real containers, as users meet them: a cluster address from pods and from the node, node ports, session
// affinity, the API server from inside a pod, services that change their type, updates that lose no request.
import { createSocket } from "node:dgram";
import { get } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Service } from "../../src/api/types/core-v1.ts";
import type { EndpointSlice } from "../../src/api/types/discovery-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { programFiles, type TestImage } from "../../src/testing/image-builder.ts";
import { answeringServer } from "../support/answering-server.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { startLoad } from "../support/connection-load.ts";
import { idle, type Manifest, shell, TestBed, type TestNamespace } from "../support/namespace.ts";
import { mustRun, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`services are not tried with real containers: ${reason}`);

/** Has Node and what it needs. */
const nodeImage = async (): Promise<TestImage> => ({
  name: "example.test/node:1",
  files: await programFiles(process.execPath, "/bin/node"),
});

/** A page with the pod's name. */
const answering = ["mkdir /www; hostname > /www/index.html", "httpd -p 8080 -h /www", idle].join("\n");

/** Says by which way it has been reached: two ports of TCP, and UDP on the first one too. */
const threeWays = `
  require("node:http").createServer((_request, response) => response.end("tcp")).listen(8080);
  require("node:http").createServer((_request, response) => response.end("other")).listen(8081);
  const udp = require("node:dgram").createSocket("udp4");
  udp.on("message", (_message, from) => udp.send("udp", from.port, from.address));
  udp.bind(8080);`;

/** What comes back for a packet; "timeout" after a second. */
function udpAnswer(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const finish = (text: string): void => {
      timer.cancel();
      socket.close(() => resolve(text));
    };
    const timer = realClock.after(1_000, () => finish("timeout"));
    socket.on("message", (message) => finish(message.toString()));
    socket.send("?", port, host);
  });
}

const web = (fields: Manifest = {}): Manifest => shell(answering, fields);

/** What the page says, or "refused", "timeout" or another failure. */
function page(host: string, port: number, timeoutMs = 2_000): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host, port, agent: false, timeout: timeoutMs }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve(text.trim()));
      response.on("error", (error) => resolve(error.message));
    });
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED" ? "refused" : error.message));
  });
}

const pages = async (host: string, port: number, times = 16): Promise<readonly string[]> =>
  [...new Set(await Promise.all(Array.from({ length: times }, () => page(host, port))))].sort();

/** A request by hand: the static wget cannot look up names. */
const fromPod = (host: string, port: number): string =>
  `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${host} ${port} | tail -n 1 | grep . || echo no answer`;

describe.runIf(reason === undefined)("services", { timeout: 180_000, concurrent: true }, () => {
  let bed: TestBed;
  let nodeAddress: string;

  beforeAll(async () => {
    bed = await TestBed.start("services");
    await bed.cluster.importImages(await nodeImage());
    const { items } = await bed.cluster.get<{ items: { status: { addresses: { type: string; address: string }[] } }[] }>("nodes");
    nodeAddress = items[0]?.status.addresses.find(({ type }) => type === "InternalIP")?.address ?? "";
  }, 240_000);
  afterAll(() => bed?.remove(), 180_000);

  const getService = (ns: TestNamespace, name: string) => bed.cluster.get<Service>("service", name, "-n", ns.name);

  async function createService(ns: TestNamespace, name: string, spec: Manifest = {}): Promise<Service> {
    const fields = { selector: { app: name }, ports: [{ port: 80, targetPort: 8080 }], ...spec };
    await ns.apply({ apiVersion: "v1", kind: "Service", metadata: { name }, spec: fields });
    return getService(ns, name);
  }

  const createPods = async (ns: TestNamespace, names: readonly string[], app: string): Promise<void> => {
    for (const name of names) await ns.pod(name, web(), { labels: { app } });
    await Promise.all(names.map((name) => ns.untilReady(name)));
  };

  const addressOf = ({ spec }: Service): string => spec.clusterIP ?? "";
  const nodePortOf = ({ spec }: Service): number => spec.ports?.[0]?.nodePort ?? 0;

  it("a pod reaches the API server by its service, with verified certificate and its service account's token", async () => {
    const ns = await bed.namespace("api-server");
    const script = `
      const fs = require("node:fs"), https = require("node:https");
      const dir = "/var/run/secrets/kubernetes.io/serviceaccount/";
      const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
      const headers = { authorization: "Bearer " + fs.readFileSync(dir + "token", "utf8") };
      https.get({ host, port, path: "/api/v1/namespaces/" + fs.readFileSync(dir + "namespace", "utf8") + "/pods", ca: fs.readFileSync(dir + "ca.crt"), headers }, (res) => {
        let text = ""; res.on("data", (c) => (text += c)); res.on("end", () => console.log(res.statusCode, JSON.parse(text).message ?? JSON.parse(text).kind));
      });`;
    const client = { name: "main", image: "example.test/node:1", command: ["/bin/node", "-e", script] };
    await ns.pod("denied", client, { restartPolicy: "Never" });
    expect(await ns.output("denied")).toMatch(/^403 pods is forbidden: User "system:serviceaccount:api-server:default" cannot list/);
    await ns.kubectl("create", "rolebinding", "view", "--clusterrole=view", "--serviceaccount=api-server:default");
    await until("the service account may list pods", async () => {
      const name = `allowed-${Math.random().toString(36).slice(2, 8)}`;
      await ns.pod(name, client, { restartPolicy: "Never" });
      return (await ns.output(name)).trim() === "200 PodList";
    });
  });

  it("serves its pods from the node and from pods, one of its own included, and follows them", async () => {
    const ns = await bed.namespace("basic");
    const service = await createService(ns, "web", { type: "NodePort" });
    const host = addressOf(service);
    await until("refused without endpoints", async () => (await page(host, 80)) === "refused");
    await createPods(ns, ["web-1", "web-2"], "web");
    await until("both answer", async () => (await pages(host, 80)).join() === "web-1,web-2");
    expect(await pages(nodeAddress, nodePortOf(service))).toEqual(["web-1", "web-2"]);
    const ask = Array.from({ length: 12 }, () => fromPod(host, 80)).join("; ");
    expect([...new Set((await ns.exec("web-1", ask)).trim().split("\n"))].sort()).toEqual(["web-1", "web-2"]);
    expect(await ns.exec("web-1", fromPod(nodeAddress, nodePortOf(service)))).toMatch(/^web-[12]$/m);

    await ns.kubectl("delete", "pod", "web-1");
    expect(await pages(host, 80)).toEqual(["web-2"]);
    await ns.kubectl("label", "pod", "web-2", "app-");
    await until("refused again", async () => (await page(host, 80)) === "refused");
    await ns.kubectl("label", "pod", "web-2", "app=web");
    await until("served again", async () => (await page(host, 80)) === "web-2");
    await ns.kubectl("delete", "service", "web");
    await until("not served any more", async () => (await page(host, 80, 300)) === "timeout");
  });

  it("several ports, and TCP and UDP on the same one", async () => {
    const ns = await bed.namespace("ports");
    const ports = [
      { name: "http", port: 80, targetPort: 8080 },
      { name: "other", port: 81, targetPort: 8081 },
      { name: "udp", port: 80, targetPort: 8080, protocol: "UDP" },
    ];
    const host = addressOf(await createService(ns, "web", { ports }));
    await ns.pod(
      "server",
      { name: "main", image: "example.test/node:1", command: ["/bin/node", "-e", threeWays] },
      { labels: { app: "web" } },
    );
    await ns.untilReady("server");
    await until("it answers", async () => (await page(host, 80)) === "tcp");
    expect(await page(host, 81)).toBe("other");
    expect(await udpAnswer(host, 80)).toBe("udp");
    expect(await ns.exec("server", fromPod(host, 81))).toContain("other");
    expect(await page(host, 82)).toBe("refused");
  });

  it("session affinity, for cluster address and node port, switched on and off", async () => {
    const ns = await bed.namespace("affinity");
    const service = await createService(ns, "web", { type: "NodePort", sessionAffinity: "ClientIP" });
    await createPods(ns, ["web-1", "web-2", "web-3"], "web");
    const ways = [
      [addressOf(service), 80],
      [nodeAddress, nodePortOf(service)],
    ] as const;
    const answers = (): Promise<readonly number[]> => Promise.all(ways.map(async ([host, port]) => (await pages(host, port, 24)).length));
    await until("three endpoints", async () => {
      const { items } = await bed.cluster.get<{ items: EndpointSlice[] }>("endpointslices", "-n", ns.name);
      return items.flatMap(({ endpoints }) => (endpoints ?? []).filter((e) => e.conditions?.ready)).length === 3;
    });
    await until("one endpoint for a client", async () => (await answers()).join() === "1,1");
    await ns.kubectl("patch", "service", "web", "-p", '{"spec":{"sessionAffinity":"None"}}');
    await until("any endpoint", async () => (await answers()).join() === "3,3");
    await ns.kubectl("patch", "service", "web", "-p", '{"spec":{"sessionAffinity":"ClientIP"}}');
    await until("one endpoint again", async () => (await answers()).join() === "1,1");
  });

  it("headless services and names are nothing to packet rules; a service may become one of them and come back", async () => {
    const ns = await bed.namespace("types");
    await createPods(ns, ["web-1"], "web");
    await createService(ns, "headless", { clusterIP: "None", selector: { app: "web" } });
    await ns.apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web" },
      spec: { type: "ExternalName", externalName: "example.test" },
    });
    const rules = (): Promise<string> => mustRun("nft", ["list", "ruleset"]);
    expect(await rules()).not.toMatch(/types\/(web|headless)\//);

    const ports = [{ port: 80, targetPort: 8080 }];
    const patch = (spec: object) => ns.kubectl("patch", "service", "web", "--type=merge", "-p", JSON.stringify({ spec }));
    await patch({ type: "NodePort", externalName: null, selector: { app: "web" }, ports });
    const service = await getService(ns, "web");
    await until("the node port answers", async () => (await page(nodeAddress, nodePortOf(service))) === "web-1");
    expect(await page(addressOf(service), 80)).toBe("web-1");
    await patch({ type: "ClusterIP" });
    await until("the node port is closed", async () => (await page(nodeAddress, nodePortOf(service))) === "refused");
    expect(await page(addressOf(service), 80)).toBe("web-1");
    await patch({ type: "ExternalName", externalName: "example.test", clusterIP: null, clusterIPs: null });
    await until("the address is nobody's", async () => (await page(addressOf(service), 80, 300)) === "timeout");
    // Its chains have been emptied, and are deleted a moment later.
    await until("its rules are gone", async () => !/types\/web\//.test(await rules()));
  });

  it("a service of another proxy is left alone", async () => {
    const ns = await bed.namespace("other-proxy");
    await createPods(ns, ["web-1"], "web");
    const host = addressOf(await createService(ns, "web"));
    await until("served", async () => (await page(host, 80)) === "web-1");
    await ns.kubectl("label", "service", "web", "service.kubernetes.io/service-proxy-name=mine");
    await until("left alone", async () => (await page(host, 80, 300)) === "timeout");
    await ns.kubectl("label", "service", "web", "service.kubernetes.io/service-proxy-name-");
    await until("served again", async () => (await page(host, 80)) === "web-1");
  });

  it("load balancers learn at the health-check port whether this node has endpoints", async () => {
    const ns = await bed.namespace("balanced");
    await createService(ns, "web", { type: "LoadBalancer", loadBalancerClass: "example.test/mine", externalTrafficPolicy: "Local" });
    const status = { status: { loadBalancer: { ingress: [{ ip: "198.51.100.77" }] } } };
    await ns.kubectl("patch", "service", "web", "--subresource=status", "--type=merge", "-p", JSON.stringify(status));
    const port = (await getService(ns, "web")).spec.healthCheckNodePort ?? 0;
    const count = async (): Promise<unknown> => {
      const text = await page(nodeAddress, port);
      return text.startsWith("{") ? JSON.parse(text) : text;
    };
    const said = (localEndpoints: number) => ({
      service: { namespace: "balanced", name: "web" },
      localEndpoints,
      serviceProxyHealthy: true,
    });
    await until("none", async () => JSON.stringify(await count()) === JSON.stringify(said(0)));
    await createPods(ns, ["web-1"], "web");
    await until("one", async () => JSON.stringify(await count()) === JSON.stringify(said(1)));
    // The pod counts as ready as soon as its container runs, a little before it listens.
    await until("it answers", async () => (await page("198.51.100.77", 80)) === "web-1");
    await ns.kubectl("delete", "service", "web");
    await until("the port is closed", async () => (await page(nodeAddress, port)) === "refused");
  });

  it("the API server's proxy reaches a service's pods, by number and by name of the port", async () => {
    const ns = await bed.namespace("proxy-api");
    await createService(ns, "web", { ports: [{ name: "http", port: 80, targetPort: 8080 }] });
    await createPods(ns, ["web-1"], "web");
    const raw = (id: string) => ns.kubectl("get", "--raw", `/api/v1/namespaces/proxy-api/services/${id}/proxy/`);
    await until("it answers", async () => (await raw("web:http").catch(() => "")).trim() === "web-1");
    expect((await raw("http:web:80")).trim()).toBe("web-1");
    const moved = ns.kubectl("get", "--raw", "/api/v1/namespaces/proxy-api/services/web:http/proxy");
    expect((await moved).trim()).toBe("web-1"); // by way of the path with the slash
    await expect(raw("web:nothing")).rejects.toThrow("no endpoints available for service");
  });

  it("a rolling update under load loses no request", async () => {
    const ns = await bed.namespace("rolling");
    const host = addressOf(await createService(ns, "web"));
    const container = {
      ...{ name: "main", image: "example.test/node:1", command: ["/bin/node", "-e", answeringServer] },
      lifecycle: { preStop: { sleep: { seconds: 2 } } },
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
    };
    const template = { metadata: { labels: { app: "web" } }, spec: { containers: [container], terminationGracePeriodSeconds: 15 } };
    const strategy = { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
    const spec = { replicas: 2, selector: { matchLabels: { app: "web" } }, strategy, template };
    await ns.apply({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web" }, spec });
    await ns.kubectl("rollout", "status", "deployment", "web", "--timeout=90s");
    await until("it answers", async () => (await page(host, 80)).startsWith("web-"));
    const before = new Set(await pages(host, 80, 32));

    const load = startLoad({ host, port: 80, rate: 200, seconds: 150 });
    await ns.kubectl("rollout", "restart", "deployment", "web");
    await ns.kubectl("rollout", "status", "deployment", "web", "--timeout=120s");
    await until("only new pods answer", async () => (await pages(host, 80)).every((name) => !before.has(name)));
    const { sent, answered, failed, answers } = await load.end();
    expect(failed).toEqual({});
    expect(answered).toBe(sent);
    expect(Object.keys(answers).filter((name) => before.has(name)).length).toBeGreaterThan(0);
    expect(Object.keys(answers).filter((name) => !before.has(name)).length).toBe(2);
  });
});

describe.runIf(reason === undefined)("services over a restart", { timeout: 180_000 }, () => {
  it("are served while the cluster's process is down, and its rules are gone after coracle down", async () => {
    const bed = await TestBed.start("restart");
    const tables = (): Promise<string> => mustRun("nft", ["list", "tables"]);
    let table = "";
    try {
      const ns = await bed.namespace("kept");
      await ns.apply({
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "web" },
        spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
      });
      await ns.pod("web-1", web(), { labels: { app: "web" } });
      await ns.untilReady("web-1");
      const host = addressOfService(await ns.kubectl("get", "service", "web", "-o", "json"));
      await until("it answers", async () => (await page(host, 80)) === "web-1");
      const rules = await mustRun("nft", ["list", "ruleset"]);
      const itsTable = new RegExp(`table ip (kube-proxy-\\S+) \\{(?:(?!\\n\\}).)*${host.replaceAll(".", "\\.")} \\. tcp \\. 80 :`, "s");
      table = itsTable.exec(rules)?.[1] ?? "";
      expect(await tables()).toContain(`table ip ${table}\n`);
      await bed.cluster.stop("SIGKILL");
      expect(await page(host, 80)).toBe("web-1");
      await bed.cluster.start();
      expect(await page(host, 80)).toBe("web-1");
    } finally {
      await bed.remove();
    }
    expect(table).not.toBe("");
    expect(await tables()).not.toContain(table);
  });
});

const addressOfService = (json: string): string => (JSON.parse(json) as Service).spec.clusterIP ?? "";
