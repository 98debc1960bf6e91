// Services of type LoadBalancer on real containers: at the node's address, and at addresses of a pool, which the node has
// on its interface as long as somebody needs them.
import { get } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Service } from "../../src/api/types/core-v1.ts";
import { hostAddresses } from "../../src/linux/system-info.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, shell, TestBed, type TestNamespace } from "../support/namespace.ts";
import { freePort, mustRun, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`load balancers are not tried with real containers: ${reason}`);

const server = shell(["mkdir /www; hostname > /www/index.html", "httpd -p 8080 -h /www", idle].join("\n"));

function page(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host, port, agent: false, timeout: 2_000 }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve(text.trim()));
      response.on("error", (error) => resolve(error.message));
    });
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", (error) => resolve(error.message));
  });
}

const service = (name: string, port: number, fields: object = {}) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name },
  spec: { type: "LoadBalancer", selector: { app: "web" }, ports: [{ port, targetPort: 8080 }], ...fields },
});

const ingressOf = async (ns: TestNamespace, name: string): Promise<readonly (string | undefined)[]> =>
  (JSON.parse(await ns.kubectl("get", "service", name, "-o", "json")) as Service).status?.loadBalancer?.ingress?.map(({ ip }) => ip) ?? [];

async function startWith(name: string, args: readonly string[]): Promise<{ readonly bed: TestBed; readonly ns: TestNamespace }> {
  const bed = await TestBed.start(name, args);
  const ns = await bed.namespace("balanced");
  await ns.pod("web", server, { labels: { app: "web" } });
  await ns.untilPod("web", "runs", (pod) => pod.status?.phase === "Running");
  return { bed, ns };
}

describe.runIf(reason === undefined)("load balancers at the node's address", { timeout: 180_000 }, () => {
  let bed: TestBed;
  let ns: TestNamespace;
  beforeAll(async () => {
    ({ bed, ns } = await startWith("lb-node", []));
  }, 240_000);
  afterAll(() => bed?.remove(), 180_000);

  it("answer there at once, one service on each port", async () => {
    const port = await freePort();
    const node = (await hostAddresses()).find(({ family }) => family === 4)?.address ?? "";
    await ns.apply(service("first", port, { allocateLoadBalancerNodePorts: false }));
    await until("it has an address", async () => (await ingressOf(ns, "first")).join() === node);
    await until("it answers", async () => (await page(node, port)) === "web");
    await ns.apply(service("second", port));
    await ns.untilEvent("second", new RegExp(`SyncLoadBalancerFailed.*port TCP ${port} .* belongs to service balanced/first`));
    expect(await ns.kubectl("get", "service", "second")).toContain("<pending>");
    await ns.kubectl("delete", "service", "first");
    await until("the other one has it", async () => (await ingressOf(ns, "second")).join() === node);
    await until("it answers", async () => (await page(node, port)) === "web");
  });

  it("leave the machine's own programs alone", async () => {
    await ns.apply(service("taken", bed.cluster.port));
    await ns.untilEvent("taken", /SyncLoadBalancerFailed.*is used by a program on the node/);
    expect(await bed.cluster.kubectl("get", "--raw", "/readyz")).toBe("ok");
  });
});

describe.runIf(reason === undefined)("load balancers from a pool", { timeout: 180_000 }, () => {
  let bed: TestBed;
  let ns: TestNamespace;
  let pool: readonly string[];
  beforeAll(async () => {
    // Of the range for benchmarks, which nobody routes; other tests may run beside this one.
    const part = (await freePort()) % 200;
    pool = [`198.18.${part}.10`, `198.18.${part}.11`];
    ({ bed, ns } = await startWith("lb-pool", ["--load-balancer-pool", pool.join("-")]));
  }, 240_000);
  afterAll(async () => {
    await bed?.remove();
    expect(await placed()).toEqual([]);
  }, 180_000);

  const placed = async (): Promise<readonly string[]> => {
    const addresses = await mustRun("ip", ["-o", "-4", "addr", "show"]);
    return pool.filter((address) => addresses.includes(` ${address}/32`));
  };

  it("have addresses of their own, which the node has on its interface", async () => {
    await ns.apply(service("a", 80), service("b", 80, { loadBalancerIP: pool[0] }), service("c", 80));
    const all = async () => Promise.all(["a", "b", "c"].map(async (name) => (await ingressOf(ns, name)).join()));
    await until("two have addresses", async () => (await all()).filter((address) => address !== "").length === 2);
    await until("both are on the interface", async () => (await placed()).length === 2);
    for (const address of pool) await until(`${address} answers`, async () => (await page(address, 80)) === "web");
    await until("pods reach them", async () =>
      (await ns.exec("web", `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${pool[0]} 80 | tail -n 1`)).includes("web"),
    );
    const before = await all();
    const waiting = ["a", "b", "c"][before.indexOf("")] ?? "";
    await ns.untilEvent(waiting, /SyncLoadBalancerFailed/);
    await bed.cluster.stop();
    await bed.cluster.start();
    await until("the API answers", async () => (await bed.cluster.tryKubectl(["get", "--raw", "/readyz"])).code === 0);
    expect(await all()).toEqual(before);
    await ns.kubectl("delete", "service", "a", "b", "c");
    await until("none is left on the interface", async () => (await placed()).length === 0);
    // One is left for the cluster's end to take away.
    await ns.apply(service("last", 80));
    await until("it is on the interface", async () => (await placed()).length === 1);
  });
});
