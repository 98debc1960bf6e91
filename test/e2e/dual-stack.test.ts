// A cluster of two address families, with real traffic: services of both, of one by preference and by demand, without an
// address, at ports of nodes; names; policies. Besides, the parts of pods' and services' traffic that the other files leave out:
// UDP between pods, ports of the host by address and protocol, EndpointSlices that somebody writes by hand.
import { createSocket } from "node:dgram";
import { get } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Node, Pod, Service } from "../../src/api/types/core-v1.ts";
import type { EndpointSlice } from "../../src/api/types/discovery-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { programFiles, type TestImage } from "../../src/testing/image-builder.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { type Manifest, TestBed, type TestNamespace } from "../support/namespace.ts";
import { until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`two address families are not tried with real containers: ${reason}`);

const image = "example.test/node:1";
const nodeImage = async (): Promise<TestImage> => ({ name: image, files: await programFiles(process.execPath, "/bin/node") });

/** Answers over TCP and UDP, in both families, with its name and the port it was asked at. */
const server = `
  const name = require("node:os").hostname();
  for (const port of [8080, 8081]) {
    require("node:http").createServer((_, response) => response.end(name + " " + port)).listen(port, "::");
    const udp = require("node:dgram").createSocket({ type: "udp6", ipv6Only: false });
    udp.on("message", (_message, from) => udp.send(name + " " + port, from.port, from.address));
    udp.bind(port, "::");
  }`;

/** What a pod of these runs to ask another: an answer, or "nothing". */
const asking = (way: "tcp" | "udp", host: string, port: number): string => `
  const [host, port] = ${JSON.stringify([host, port])};
  const over = (text) => { console.log(text); process.exit(0); };
  setTimeout(() => over("nothing"), 2000);
  if (${JSON.stringify(way)} === "tcp") require("node:http").get({ host, port, agent: false }, (answer) => {
    let text = ""; answer.on("data", (chunk) => (text += chunk)); answer.on("end", () => over(text));
  }).on("error", () => over("nothing"));
  else {
    const socket = require("node:dgram").createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.on("message", (message) => over(String(message)));
    socket.on("error", () => over("nothing"));
    socket.send("?", port, host);
  }`;

const container = (fields: Manifest = {}): Manifest => ({
  ...{ name: "main", image, command: ["/bin/node", "-e", server] },
  readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
  ...fields,
});

/** From the machine itself. */
function page(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host, port, agent: false, timeout: 2_000 }, (answer) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("end", () => resolve(text));
      answer.on("error", () => resolve("nothing"));
    });
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", () => resolve("nothing"));
  });
}

function udpAnswer(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    const finish = (text: string): void => {
      timer.cancel();
      socket.close(() => resolve(text));
    };
    const timer = realClock.after(1_000, () => finish("nothing"));
    socket.on("error", () => finish("nothing"));
    socket.on("message", (message) => finish(message.toString()));
    socket.send("?", port, host);
  });
}

describe.runIf(reason === undefined)("two address families", { timeout: 180_000, concurrent: true }, () => {
  let bed: TestBed;
  let nodeAddresses: readonly string[];

  beforeAll(async () => {
    bed = await TestBed.start("dual", (cluster) => {
      const place = cluster.podRange.split(".")[1];
      return ["--cluster-cidr", `fd00:10:${place}::/56`, "--service-cluster-ip-range", `${cluster.serviceRange},fd00:96:${place}::/112`];
    });
    await bed.cluster.importImages(await nodeImage());
    const { items } = await bed.cluster.get<{ items: Node[] }>("nodes");
    nodeAddresses = (items[0]?.status?.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address);
  }, 240_000);
  afterAll(() => bed?.remove(), 180_000);

  const createPods = async (ns: TestNamespace, names: readonly string[], app: string, spec: Manifest = {}): Promise<readonly Pod[]> => {
    for (const name of names) await ns.pod(name, container(), { labels: { app }, ...spec });
    return Promise.all(names.map((name) => ns.untilReady(name)));
  };

  async function createService(ns: TestNamespace, name: string, spec: Manifest): Promise<Service> {
    const fields = { selector: { app: "web" }, ports: [{ name: "web", port: 80, targetPort: 8080 }], ...spec };
    await ns.apply({ apiVersion: "v1", kind: "Service", metadata: { name }, spec: fields });
    return bed.cluster.get<Service>("service", name, "-n", ns.name);
  }

  const ask = (ns: TestNamespace, pod: string, way: "tcp" | "udp", host: string, port: number): Promise<string> =>
    ns.kubectl("exec", pod, "--", "/bin/node", "-e", asking(way, host, port)).then((text) => text.trim());
  const addressesOf = (pod: Pod | undefined): readonly string[] => (pod?.status?.podIPs ?? []).map(({ ip }) => ip ?? "");
  const six = (address: string): boolean => address.includes(":");

  it("pods have an address of each, and reach each other by both, over TCP and UDP", async () => {
    const ns = await bed.namespace("pods");
    const [a, b] = await createPods(ns, ["a", "b"], "web");
    expect(addressesOf(a).map(six)).toEqual([false, true]);
    for (const address of addressesOf(b)) {
      expect(await ask(ns, "a", "tcp", address, 8080)).toBe("b 8080");
      expect(await ask(ns, "a", "udp", address, 8081)).toBe("b 8081");
      expect([await page(address, 8080), await udpAnswer(address, 8080)]).toEqual(["b 8080", "b 8080"]);
    }
  });

  it("services have the families they ask for, and answer in each, from pods, from the node and at its ports", async () => {
    const ns = await bed.namespace("services");
    await createPods(ns, ["web"], "web");
    const ports = [
      { name: "web", port: 80, targetPort: 8080 },
      { name: "udp", port: 80, targetPort: 8081, protocol: "UDP" },
    ];
    const both = await createService(ns, "both", { type: "NodePort", ipFamilyPolicy: "RequireDualStack", ports });
    const preferred = await createService(ns, "preferred", { ipFamilyPolicy: "PreferDualStack", ipFamilies: ["IPv6"] });
    const single = await createService(ns, "single", {});
    const six6 = await createService(ns, "six", { ipFamilies: ["IPv6"] });
    expect(both.spec.clusterIPs?.map(six)).toEqual([false, true]);
    expect(preferred.spec.clusterIPs?.map(six)).toEqual([true, false]);
    expect([single, six6].map(({ spec }) => spec.clusterIPs?.map(six))).toEqual([[false], [true]]);
    for (const { spec } of [both, preferred, single, six6])
      for (const host of spec.clusterIPs ?? []) {
        await until(`${host} answers`, async () => (await page(host, 80)) === "web 8080");
        expect(await ask(ns, "web", "tcp", host, 80)).toBe("web 8080");
      }
    const [tcp, udp] = both.spec.ports ?? [];
    for (const host of both.spec.clusterIPs ?? []) expect(await ask(ns, "web", "udp", host, 80)).toBe("web 8081");
    for (const host of nodeAddresses) {
      expect([host, await page(host, tcp?.nodePort ?? 0)]).toEqual([host, "web 8080"]);
      expect(await udpAnswer(host, udp?.nodePort ?? 0)).toBe("web 8081");
    }

    // From one family to two, and back.
    await ns.kubectl("patch", "service", "single", "-p", '{"spec":{"ipFamilyPolicy":"PreferDualStack"}}');
    const [, second = ""] = (await bed.cluster.get<Service>("service", "single", "-n", ns.name)).spec.clusterIPs ?? [];
    await until("the second address answers", async () => (await page(second, 80)) === "web 8080");
    await ns.kubectl("patch", "service", "single", "-p", '{"spec":{"ipFamilyPolicy":"SingleStack"}}');
    await until("it is nobody's any more", async () => (await page(second, 80)) === "nothing");
    const slices = await bed.cluster.get<{ items: EndpointSlice[] }>(
      "endpointslices",
      "-n",
      ns.name,
      "-l",
      "kubernetes.io/service-name=both",
    );
    expect(slices.items.map(({ addressType }) => addressType).sort()).toEqual(["IPv4", "IPv6"]);
  });

  it("names have addresses of both families, of services with and without one of their own", async () => {
    const ns = await bed.namespace("names");
    const [pod] = await createPods(ns, ["web"], "web");
    const service = await createService(ns, "web", { ipFamilyPolicy: "RequireDualStack" });
    await createService(ns, "headless", { clusterIP: "None", ipFamilyPolicy: "RequireDualStack" });
    const lookUp = async (name: string): Promise<readonly string[]> => {
      const script = `const dns = require("node:dns").promises; const name = process.argv[1];
        Promise.all([dns.resolve4(name), dns.resolve6(name)]).then((found) => console.log(found.flat().join()), (error) => console.log(error.code));`;
      return (await ns.kubectl("exec", "web", "--", "/bin/node", "-e", script, `${name}.names.svc.cluster.local`)).trim().split(",");
    };
    await until("the service's", async () => (await lookUp("web")).join() === service.spec.clusterIPs?.join());
    await until("the pod's", async () => (await lookUp("headless")).join() === addressesOf(pod).join());
  });

  it("policies hold for both", async () => {
    const ns = await bed.namespace("policies");
    const [web] = await createPods(ns, ["web"], "web");
    const [client] = await createPods(ns, ["client"], "client");
    const answers = () => Promise.all(addressesOf(web).map((host) => ask(ns, "client", "tcp", host, 8080)));
    const policy = (name: string, spec: Manifest) =>
      ns.apply({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name }, spec });
    expect(await answers()).toEqual(["web 8080", "web 8080"]);
    await policy("deny", { podSelector: { matchLabels: { app: "web" } }, policyTypes: ["Ingress"] });
    await until("both are closed", async () => (await answers()).join() === "nothing,nothing");
    const [, six = ""] = addressesOf(client);
    await policy("six", {
      podSelector: { matchLabels: { app: "web" } },
      ingress: [{ from: [{ ipBlock: { cidr: `${six}/128` } }], ports: [{ port: 8080 }] }],
    });
    await until("the sixth is open", async () => (await answers()).join() === "nothing,web 8080");
    await policy("six", {
      podSelector: { matchLabels: { app: "web" } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: "client" } } }] }],
    });
    await until("both are open", async () => (await answers()).join() === "web 8080,web 8080");
  });

  it("ports of the host, the same for different addresses and protocols", async () => {
    const ns = await bed.namespace("host-ports");
    const [address = ""] = nodeAddresses;
    const hostPort = 28_321;
    const port = (more: Manifest) => ({ ports: [{ containerPort: 8080, hostPort, ...more }] });
    await ns.pod("one", container(port({ hostIP: "127.0.0.1", protocol: "TCP" })));
    await ns.pod("two", container(port({ hostIP: address, protocol: "TCP" })));
    await ns.pod("three", container(port({ hostIP: address, protocol: "UDP" })));
    for (const name of ["one", "two", "three"]) await ns.untilReady(name);
    expect([await page("127.0.0.1", hostPort), await page(address, hostPort)]).toEqual(["one 8080", "two 8080"]);
    expect(await udpAnswer(address, hostPort)).toBe("three 8080");
  });

  it("EndpointSlices by hand: a service's addresses in several of them, and its ports", async () => {
    const ns = await bed.namespace("slices");
    const pods = await createPods(ns, ["a", "b"], "none");
    const [a = "", b = ""] = pods.map((pod) => addressesOf(pod)[0] ?? "");
    const ports = [
      { name: "one", port: 80 },
      { name: "two", port: 81 },
    ];
    const { spec } = await createService(ns, "by-hand", { selector: undefined, ports });
    const host = spec.clusterIP ?? "";
    const slice = (name: string, addresses: readonly string[], to: Readonly<Record<string, number>>) => ({
      ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
      metadata: { name, labels: { "kubernetes.io/service-name": "by-hand" } },
      endpoints: addresses.map((address) => ({ addresses: [address] })),
      ports: Object.entries(to).map(([port, number]) => ({ name: port, port: number })),
    });
    await ns.apply(slice("by-hand-1", [a], { one: 8080 }), slice("by-hand-2", [b], { one: 8080, two: 8081 }));
    const seen = new Set<string>();
    await until("both addresses answer", async () => seen.add(await page(host, 80)).has("a 8080") && seen.has("b 8080"));
    expect(await page(host, 81)).toBe("b 8081");
    await ns.kubectl("delete", "endpointslice", "by-hand-2");
    await until("the port is refused", async () => (await page(host, 81)) === "nothing");
    expect(await page(host, 80)).toBe("a 8080");
  });

  it("fifty services of one pod have their endpoints soon", async () => {
    const ns = await bed.namespace("latency");
    await createPods(ns, ["web"], "web");
    const names = Array.from({ length: 50 }, (_, i) => `web-${i}`);
    const spec = { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] };
    await ns.apply(...names.map((name) => ({ apiVersion: "v1", kind: "Service", metadata: { name }, spec })));
    const beganMs = realClock.monotonic();
    await until("all have them", async () => {
      const { items } = await bed.cluster.get<{ items: EndpointSlice[] }>("endpointslices", "-n", ns.name);
      return items.filter(({ endpoints }) => (endpoints ?? []).length === 1).length === names.length;
    });
    console.log(`endpoints of 50 services ${Math.round(realClock.monotonic() - beganMs)} ms after their creation`);
    const { items } = await bed.cluster.get<{ items: Service[] }>("services", "-n", ns.name);
    await until("all answer", async () =>
      (await Promise.all(items.map(({ spec: made }) => page(made.clusterIP ?? "", 80)))).every((text) => text === "web 8080"),
    );
  });
});
