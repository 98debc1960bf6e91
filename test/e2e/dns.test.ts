// The cluster's DNS as pods meet it: through /etc/resolv.conf, the address of the Service kube-dns and the service proxy.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Service } from "../../src/api/types/core-v1.ts";
import type { EndpointSlice } from "../../src/api/types/discovery-v1.ts";
import { type FakeResolver, startFakeResolver } from "../../src/testing/fake-resolver.ts";
import { programFiles, type TestImage } from "../../src/testing/image-builder.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, type Manifest, shell, TestBed, type TestNamespace } from "../support/namespace.ts";
import { until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`the cluster's DNS is not tried with real containers: ${reason}`);

/** Has Node, which looks names up by the C library. */
const nodeImage = async (): Promise<TestImage> => ({
  name: "example.test/node:1",
  files: await programFiles(process.execPath, "/bin/node"),
});

const outside: FakeResolver["answer"] = (name, type) => {
  if (name === "www.example.com" && type === "A") return { answers: [{ type: "A", name, ttl: 60, data: "192.0.2.80" }] };
  return name === "www.example.com" ? { answers: [] } : { rcode: 3 };
};

describe.runIf(reason === undefined)("the cluster's DNS", { timeout: 180_000 }, () => {
  let bed: TestBed;
  let resolver: FakeResolver;
  let ns: TestNamespace;

  beforeAll(async () => {
    resolver = await startFakeResolver(outside);
    bed = await TestBed.start("dns", ["--dns-upstream", `127.0.0.1:${resolver.port}`]);
    await bed.cluster.importImages(await nodeImage());
    ns = await bed.namespace("names");
    await ns.pod("client", { ...shell(idle), image: "example.test/node:1" });
    await ns.untilPod("client", "runs", (pod) => pod.status?.phase === "Running");
  }, 240_000);

  afterAll(async () => {
    await bed?.remove();
    await resolver?.[Symbol.asyncDispose]();
  }, 180_000);

  /** Addresses of a name as a program in the pod gets them, sorted; the error's code where there are none. */
  const lookup = async (name: string): Promise<string> => {
    const program = `require("dns").lookup(process.argv[1], { all: true }, (error, found) => console.log(error ? error.code : found.map((f) => f.address).sort().join()))`;
    return (await ns.kubectl("exec", "client", "--", "/bin/node", "-e", program, name)).trim();
  };
  const resolved = async (method: string, name: string): Promise<unknown> => {
    const program = `require("dns").promises.${method}(process.argv[1]).then((found) => console.log(JSON.stringify(found)), (error) => console.log(JSON.stringify(error.code)))`;
    return JSON.parse(await ns.kubectl("exec", "client", "--", "/bin/node", "-e", program, name)) as unknown;
  };
  const addressOf = async (name: string, namespace: string): Promise<string> =>
    (await bed.cluster.get<Service>("-n", namespace, "service", name)).spec?.clusterIP ?? "";

  it("is what pods are told to ask", async () => {
    const address = await addressOf("kube-dns", "kube-system");
    expect(address).toMatch(/\.10$/);
    const file = await ns.exec("client", "cat /etc/resolv.conf");
    expect(file).toContain(`nameserver ${address}`);
    expect(file).toMatch(/^search names\.svc\.cluster\.local svc\.cluster\.local cluster\.local/m);
    expect(file).toContain("options ndots:5");
    const slices = await bed.cluster.get<{ items: EndpointSlice[] }>(
      "-n",
      "kube-system",
      "endpointslices",
      "-l",
      "kubernetes.io/service-name=kube-dns",
    );
    expect(slices.items).toHaveLength(1);
  });

  it("knows the API server, by nslookup and by the C library", async () => {
    const address = await addressOf("kubernetes", "default");
    await until("the name is answered", async () => (await lookup("kubernetes.default")) === address);
    expect(await ns.exec("client", "nslookup kubernetes.default.svc.cluster.local")).toContain(`Address: ${address}`);
    expect(await resolved("reverse", address)).toEqual(["kubernetes.default.svc.cluster.local"]);
    expect(await resolved("resolveSrv", "_https._tcp.kubernetes.default.svc.cluster.local")).toMatchObject([
      { name: "kubernetes.default.svc.cluster.local", port: 443, priority: 0, weight: 100 },
    ]);
    expect(await resolved("resolveTxt", "dns-version.cluster.local")).toEqual([["1.1.0"]]);
  });

  it("knows the pods of a headless service, by the names a StatefulSet gives them too", async () => {
    const labels = { app: "db" };
    const template = { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [shell(idle)] } };
    await ns.apply(
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "db" },
        spec: { clusterIP: "None", selector: labels, ports: [{ name: "sql", port: 5432 }] },
      },
      {
        apiVersion: "apps/v1",
        kind: "StatefulSet",
        metadata: { name: "db" },
        spec: { serviceName: "db", replicas: 2, podManagementPolicy: "Parallel", selector: { matchLabels: labels }, template },
      } as Manifest & { metadata: object },
    );
    const pods = await Promise.all(["db-0", "db-1"].map((name) => ns.untilPod(name, "is ready", isReady)));
    const ips = pods.map((pod) => pod.status?.podIP ?? "");
    await until("both are known", async () => (await lookup("db")) === [...ips].sort().join());
    expect(await lookup("db-0.db")).toBe(ips[0]);
    expect(await lookup("db-1.db.names.svc.cluster.local")).toBe(ips[1]);
    expect(await lookup("db-2.db")).toBe("ENOTFOUND");
    expect(await lookup(`${ips[0]?.replaceAll(".", "-")}.names.pod.cluster.local`)).toBe(ips[0]);
    expect(await resolved("reverse", ips[1] ?? "")).toEqual(["db-1.db.names.svc.cluster.local"]);
    await ns.kubectl("delete", "pod", "db-1", "--now");
    await ns.kubectl("scale", "statefulset", "db", "--replicas=1");
    await until("one is left", async () => (await lookup("db")) === ips[0]);
  });

  it("knows services by partial names, and pods by hostname and subdomain", async () => {
    await ns.apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "plain" },
      spec: { selector: { app: "none" }, ports: [{ port: 80 }] },
    });
    const address = await addressOf("plain", "names");
    await until("it is known", async () => (await lookup("plain")) === address);
    expect([await lookup("plain.names"), await lookup("plain.names.svc"), await lookup("plain.names.svc.cluster.local.")]).toEqual([
      ...[address, address, address],
    ]);
    await ns.apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "sub" },
      spec: { clusterIP: "None", selector: { app: "sub" }, ports: [{ port: 80 }] },
    });
    await ns.pod("querier", shell(idle), { labels: { app: "sub" }, hostname: "first", subdomain: "sub" });
    const pod = await ns.untilPod("querier", "is ready", isReady);
    await until("it is known", async () => (await lookup("first.sub")) === pod.status?.podIP);
    expect(await ns.exec("querier", "hostname -f")).toContain("first.sub.names.svc.cluster.local");
  });

  it("asks the resolvers outside for other names, and for what ExternalName services stand for", async () => {
    expect(await lookup("www.example.com")).toBe("192.0.2.80");
    expect(await lookup("nothing.example.com")).toBe("ENOTFOUND");
    await ns.apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "ext" },
      spec: { type: "ExternalName", externalName: "www.example.com" },
    });
    await until("the alias is known", async () => (await lookup("ext")) === "192.0.2.80");
    expect(await resolved("resolveCname", "ext.names.svc.cluster.local")).toEqual(["www.example.com"]);
    const changed = JSON.stringify({ spec: { type: "ClusterIP", externalName: null, ports: [{ name: "http", port: 80 }] } });
    await ns.kubectl("patch", "service", "ext", "-p", changed);
    const address = await addressOf("ext", "names");
    await until("it has an address now", async () => (await lookup("ext")) === address);
    // Names of the cluster never leave it.
    expect(resolver.asked.filter((asked) => asked.endsWith("cluster.local"))).toEqual([]);
  });

  it("answers over TCP what does not fit in a packet", async () => {
    const addresses = Array.from({ length: 200 }, (_, i) => `198.51.100.${i + 1}`);
    await ns.apply(
      { apiVersion: "v1", kind: "Service", metadata: { name: "many" }, spec: { clusterIP: "None" } },
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: "many-1", labels: { "kubernetes.io/service-name": "many" } },
        addressType: "IPv4",
        endpoints: addresses.map((address) => ({ addresses: [address] })),
      },
    );
    await until("all are known", async () => ((await resolved("resolve4", "many.names.svc.cluster.local")) as string[]).length === 200);
  });

  it("makes way for a DNS of one's own, and comes back", async () => {
    const slices = async (): Promise<readonly string[]> =>
      (
        await bed.cluster.get<{ items: EndpointSlice[] }>(
          "-n",
          "kube-system",
          "endpointslices",
          "-l",
          "kubernetes.io/service-name=kube-dns",
        )
      ).items.map(({ metadata }) => metadata.name);
    const select = (selector: object | null) =>
      bed.cluster.kubectl("-n", "kube-system", "patch", "service", "kube-dns", "-p", JSON.stringify({ spec: { selector } }));
    await select({ "k8s-app": "kube-dns" });
    await until("ours is gone", async () => !(await slices()).includes("kube-dns-coracle"));
    await select(null);
    await until("ours is back", async () => (await slices()).includes("kube-dns-coracle"));
    await until("names are answered", async () => /^10\./.test(await lookup("kubernetes.default")));
  });
});

function isReady({
  status,
}: {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") ?? false;
}
