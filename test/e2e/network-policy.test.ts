// Network policies with real containers, as users write them: denied by default, allowed by labels of pods and namespaces, by
// blocks of addresses and by named ports; probes and names go on working; pods are isolated from their first moment.
import { hostname } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, type Manifest, shell, TestBed, type TestNamespace } from "../support/namespace.ts";
import { mustRun, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`network policies are not tried with real containers: ${reason}`);

/** A page with the pod's name, on two ports. */
const answering = ["mkdir /www; hostname > /www/index.html", "httpd -p 8080 -h /www", "httpd -p 8081 -h /www", idle].join("\n");

const probe = { httpGet: { path: "/", port: 8080 }, periodSeconds: 1, failureThreshold: 2 };

const web = (fields: Manifest = {}): Manifest =>
  shell(answering, { ports: [{ name: "web", containerPort: 8080 }], readinessProbe: probe, livenessProbe: probe, ...fields });

const request = (host: string, port: number): string =>
  `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 1 ${host} ${port} 2>/dev/null | tail -n 1`;

const here = hostname().toLowerCase();
const there = `${here}-2`;

describe.runIf(reason === undefined)("network policies", { timeout: 120_000 }, () => {
  let bed: TestBed;
  let shop: TestNamespace;
  let clients: TestNamespace;
  let server = "";
  let serviceAddress = "";

  beforeAll(async () => {
    bed = await TestBed.start("policies", ["--nodes", "2"]);
    shop = await bed.namespace("shop");
    clients = await bed.namespace("clients");
    await shop.apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web" },
      spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: "web" }] },
    });
    await shop.pod("server", web(), { labels: { app: "web" }, nodeName: here });
    await shop.pod("neighbour", web(), { labels: { app: "neighbour" }, nodeName: here });
    await clients.pod("client", web(), { labels: { app: "client" }, nodeName: here });
    await shop.pod("far-server", web(), { labels: { app: "far" }, nodeName: there });
    await clients.pod("far-client", web(), { labels: { app: "far-client" }, nodeName: there });
    server = (await shop.untilReady("server")).status?.podIP ?? "";
    await Promise.all([shop.untilReady("neighbour"), clients.untilReady("client")]);
    await Promise.all([shop.untilReady("far-server"), clients.untilReady("far-client")]);
    serviceAddress = (await shop.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")).trim();
  }, 240_000);
  afterAll(() => bed?.remove(), 180_000);

  const policy = (name: string, spec: Manifest): Promise<string> =>
    shop.apply({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name }, spec });

  async function reaches(space: TestNamespace, pod: string, host = server, port = 8080): Promise<boolean> {
    return (await space.exec(pod, request(host, port)).catch(() => "")).trim() !== "";
  }

  const untilReaches = (expected: boolean, ...from: Parameters<typeof reaches>): Promise<unknown> =>
    until(
      `${from[1]} ${expected ? "reaches" : "does not reach"} ${from[2] ?? server}`,
      async () => (await reaches(...from)) === expected,
      15_000,
    );

  const tables = async (): Promise<string> => (await mustRun("nft", ["list", "tables"])).match(/network-policy-\S+/g)?.join() ?? "";

  it("deny what a pod receives, then allow it by the labels of a namespace and by the name of a port", async () => {
    expect(await reaches(clients, "client")).toBe(true);
    await policy("deny", { podSelector: {}, policyTypes: ["Ingress"] });
    await untilReaches(false, clients, "client");
    expect(await reaches(shop, "neighbour")).toBe(false);
    expect(await reaches(clients, "client", serviceAddress, 80)).toBe(false);
    // The pod itself, and whom it asks.
    expect(await reaches(shop, "server")).toBe(true);
    expect(await reaches(shop, "server", (await clients.getPod("client")).status?.podIP)).toBe(true);

    const from = [{ namespaceSelector: { matchLabels: { team: "blue" } }, podSelector: { matchLabels: { app: "client" } } }];
    await policy("blue", { podSelector: { matchLabels: { app: "web" } }, ingress: [{ from, ports: [{ port: "web" }] }] });
    await bed.cluster.kubectl("label", "namespace", "clients", "team=blue");
    await untilReaches(true, clients, "client");
    expect(await reaches(clients, "client", serviceAddress, 80)).toBe(true);
    expect(await reaches(clients, "client", server, 8081)).toBe(false);
    expect(await reaches(shop, "neighbour")).toBe(false);
    await clients.kubectl("label", "pod", "client", "app-");
    await untilReaches(false, clients, "client");
    await clients.kubectl("label", "pod", "client", "app=client");
    await untilReaches(true, clients, "client");
  });

  it("probes of the node arrive at isolated pods, and the API server's proxy does", async () => {
    await shop.pod("probed", web(), { labels: { app: "probed" }, nodeName: here });
    const { status } = await shop.untilReady("probed");
    expect(await reaches(clients, "client", status?.podIP)).toBe(false);
    const page = await shop.kubectl("get", "--raw", "/api/v1/namespaces/shop/pods/probed:8080/proxy/");
    expect(page.trim()).toBe("probed");
    const restarts = async (name: string) => (await shop.getPod(name)).status?.containerStatuses?.[0]?.restartCount;
    expect([await restarts("probed"), await restarts("server")]).toEqual([0, 0]);
    await shop.kubectl("delete", "pod", "probed");
  });

  it("a block of addresses with exceptions", async () => {
    const client = (await clients.getPod("client")).status?.podIP ?? "";
    const block = (except: readonly string[]): Promise<string> =>
      policy("block", {
        podSelector: { matchLabels: { app: "web" } },
        ingress: [{ from: [{ ipBlock: { cidr: bed.cluster.podRange, except } }] }],
      });
    await shop.kubectl("delete", "networkpolicy", "blue");
    await untilReaches(false, clients, "client");
    await block([]);
    await untilReaches(true, clients, "client", server, 8081);
    await block([`${client}/32`]);
    await untilReaches(false, clients, "client");
    expect(await reaches(shop, "neighbour")).toBe(true);
    await shop.kubectl("delete", "networkpolicy", "block");
  });

  it("deny what a pod sends, except names and what is allowed besides; from its first moment", async () => {
    await shop.kubectl("delete", "networkpolicy", "--all");
    const target = (await clients.getPod("client")).status?.podIP ?? "";
    await untilReaches(true, shop, "neighbour", target);
    await policy("dns-only", {
      podSelector: {},
      policyTypes: ["Egress"],
      egress: [{ ports: [{ port: 53, protocol: "UDP" }, { port: 53 }] }],
    });
    await untilReaches(false, shop, "neighbour", target);
    expect(await shop.exec("neighbour", "nslookup web.shop.svc.cluster.local")).toContain(serviceAddress);
    expect(await reaches(clients, "client")).toBe(true);

    const attempts = `for i in 1 2 3 4; do ${request(target, 8080)}; done; echo over`;
    await shop.pod("eager", shell(attempts), { restartPolicy: "Never", nodeName: here });
    expect((await shop.output("eager")).trim()).toBe("over");

    // One that no policy selects has its way as soon as it is known.
    const patient = `until [ "$(${request(target, 8080)})" = client ]; do sleep 0.05; done; cut -d " " -f 1 /proc/uptime`;
    await clients.pod("patient", shell(`cut -d " " -f 1 /proc/uptime; ${patient}`), { restartPolicy: "Never", nodeName: here });
    const [startedAt = 0, reachedAt = 0] = (await clients.output("patient")).trim().split("\n").map(Number);
    console.log(`a new pod had its way after ${(reachedAt - startedAt).toFixed(2)} s`);

    const to = [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "clients" } } }];
    await policy("clients", { podSelector: {}, policyTypes: ["Egress"], egress: [{ to }] });
    await untilReaches(true, shop, "neighbour", target);
    expect(await reaches(shop, "neighbour")).toBe(false);
  });

  it("on every node, for pods of any other", async () => {
    await shop.kubectl("delete", "networkpolicy", "--all");
    const far = (await shop.getPod("far-server")).status?.podIP ?? "";
    await untilReaches(true, clients, "far-client");
    await untilReaches(true, clients, "client", far);
    await policy("deny", { podSelector: {}, policyTypes: ["Ingress", "Egress"] });
    await untilReaches(false, clients, "far-client");
    await untilReaches(false, clients, "client", far);
    await untilReaches(false, clients, "far-client", far);
    // The cluster's DNS is a process of the other node, and asked by those whose policies allow it.
    const asksNames = async (pod: string): Promise<boolean> =>
      (await shop.exec(pod, "timeout 3 nslookup web.shop.svc.cluster.local").catch(() => "")).includes(serviceAddress);
    expect([await asksNames("far-server"), await asksNames("server")]).toEqual([false, false]);
    const names = {
      to: [{ namespaceSelector: {}, podSelector: { matchLabels: { "k8s-app": "kube-dns" } } }],
      ports: [{ port: 53, protocol: "UDP" }],
    };
    await policy("names", { podSelector: {}, policyTypes: ["Egress"], egress: [names] });
    for (const pod of ["far-server", "server"]) await until(`${pod} asks for names`, () => asksNames(pod));
    const from = [{ namespaceSelector: {}, podSelector: { matchLabels: { app: "far-client" } } }];
    await policy("far", { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ from }] });
    await untilReaches(true, clients, "far-client");
    await untilReaches(true, clients, "far-client", far);
    await untilReaches(true, clients, "far-client", serviceAddress, 80);
    expect(await reaches(clients, "client", far)).toBe(false);
    expect(await reaches(shop, "far-server")).toBe(false);
    await shop.kubectl("delete", "networkpolicy", "--all");
  });

  it("are still in force after a restart of the cluster's process, and gone with the last policy", async () => {
    await policy("deny", { podSelector: {}, policyTypes: ["Ingress"] });
    await untilReaches(false, clients, "client");
    expect(await tables()).not.toBe("");
    await bed.cluster.stop("SIGKILL");
    await bed.cluster.start();
    await untilReaches(false, clients, "client");
    await shop.kubectl("delete", "networkpolicy", "--all");
    await until("the table is gone", async () => (await tables()) === "");
    await untilReaches(true, clients, "client");
  });
});
