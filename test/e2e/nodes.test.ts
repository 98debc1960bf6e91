// A cluster of several nodes on this machine, as users start it: what pods and nodes see of each other, in both forms of the
// network between them, and what becomes of pods when nodes are killed, cut off, switched off, added and removed.
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Node, NodeList, Pod, PodList, Service } from "../../src/api/types/core-v1.ts";
import type { EndpointSliceList } from "../../src/api/types/discovery-v1.ts";
import { nodeBridgeName, podBridgeName, podNetworkName, vxlanDeviceName } from "../../src/cni/network-config.ts";
import { detectCgroups } from "../../src/linux/cgroup-system.ts";
import { findProcesses } from "../../src/linux/processes.ts";
import { Cluster, whyNoContainers } from "../support/cluster.ts";
import { coracle, mustRun, temporaryDirectory, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`several nodes are not tried: ${reason}`);

const first = hostname().toLowerCase();
const second = `${first}-2`;
const third = `${first}-3`;
const port = 18_080;

/** A web server that says who asks. */
const image = {
  name: "example.test/who:1",
  files: { "/www/cgi-bin/who": "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\necho $REMOTE_ADDR\n" },
  entrypoint: ["/bin/httpd", "-f", "-p", String(port), "-h", "/www"],
};

const server = (name: string, nodeName: string, hostNetwork = false): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, labels: { app: "who", on: nodeName, kind: hostNetwork ? "node" : "pod" } },
  spec: { nodeName, hostNetwork, terminationGracePeriodSeconds: 1, containers: [{ name: "main", image: image.name }] },
});

describe.runIf(reason === undefined)("several nodes on one machine", { timeout: 240_000 }, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.prepare("nodes", ["--nodes", "2", "--node-monitor-grace-period", "8s"]);
    await cluster.start(["--pod-network", "host-gw"]);
    await cluster.importImages(image);
    for (const node of [first, second]) await cluster.apply(server(`pod-on-${node}`, node), server(`node-${node}`, node, true));
    await cluster.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=who", "--timeout=60s");
  }, 240_000);
  afterAll(() => cluster.remove(), 180_000);

  const command = (...args: readonly string[]) => coracle(["node", ...args, "--data-dir", cluster.dataDir], { timeoutMs: 120_000 });
  const node = (name: string): Promise<Node> => cluster.get<Node>("node", name);
  const pod = (name: string): Promise<Pod> => cluster.get<Pod>("pod", name);
  const isReady = (n: Node, status: string): boolean =>
    n.status?.conditions?.some((c) => c.type === "Ready" && c.status === status) === true;
  const address = async (name: string): Promise<string> => (await pod(name)).status?.podIP ?? "";

  /** What must not change for pods that go on running. */
  const lives = async (): Promise<readonly unknown[]> =>
    (await cluster.get<PodList>("pods", "-l", "app=who")).items.map(({ metadata, status }) => {
      const [container] = status?.containerStatuses ?? [];
      return { name: metadata.name, uid: metadata.uid, container: container?.containerID, restarts: container?.restartCount };
    });

  /** Who asks, in the eyes of the server that is asked. */
  const seenFrom = async (podName: string, target: string, targetPort = port): Promise<string> => {
    const ask = `printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${target} ${targetPort}`;
    const answer = await cluster.kubectl("exec", podName, "--", "/bin/sh", "-c", ask);
    return (answer.trim().split("\n").at(-1) ?? "").replace(/^\[(::ffff:)?(.*)\]$/, "$2");
  };

  it("`up --nodes 2` gives two nodes, with pod ranges and addresses of their own", async () => {
    const { items } = await cluster.get<NodeList>("nodes");
    expect(items.map((n) => n.metadata.name)).toEqual([first, second]);
    expect(items.every((n) => isReady(n, "True"))).toBe(true);
    const [a, b] = items.map((n) => n.spec?.podCIDR);
    expect(new Set([a, b]).size).toBe(2);
    const prefix = cluster.nodeRange.replace("0/24", "");
    expect((await node(second)).status?.addresses).toContainEqual({ type: "InternalIP", address: `${prefix}2` });
    expect((await node(second)).status?.daemonEndpoints?.kubeletEndpoint?.Port).toBe(10_250);
  });

  it("further nodes have their keys in files of their owner alone", async () => {
    const directory = join(cluster.dataDir, "nodes", second);
    const listing = await mustRun("find", [directory, "-maxdepth", "1", "-type", "f", "-perm", "/077"]);
    expect(listing).toBe("");
    expect(existsSync(join(directory, "node.kubeconfig"))).toBe(true);
  });

  it("pods reach pods and nodes, on the same node and on the other, and nobody translates their addresses", async () => {
    const [podOfFirst, podOfSecond] = [await address(`pod-on-${first}`), await address(`pod-on-${second}`)];
    const nodeOfSecond = await address(`node-${second}`);
    const nodeOfFirst = await address(`node-${first}`);
    for (const target of [podOfFirst, podOfSecond, nodeOfFirst, nodeOfSecond]) {
      expect(await seenFrom(`pod-on-${first}`, target), `pod of the first node to ${target}`).toBe(podOfFirst);
      expect(await seenFrom(`pod-on-${second}`, target), `pod of the second node to ${target}`).toBe(podOfSecond);
    }
    expect(await seenFrom(`node-${second}`, podOfFirst), "a node to a pod of another one").toBe(nodeOfSecond);
    expect(await seenFrom(`node-${first}`, podOfSecond)).toMatch(/^\d+(\.\d+){3}$/);
  });

  it("the host reaches the pods of all nodes", async () => {
    for (const name of [first, second]) {
      const response = await fetch(`http://${await address(`pod-on-${name}`)}:${port}/cgi-bin/who`);
      expect(response.status).toBe(200);
    }
  });

  it("the API server reaches the kubelets of all nodes", async () => {
    for (const name of [first, second]) {
      expect(await cluster.kubectl("exec", `pod-on-${name}`, "--", "/bin/sh", "-c", "hostname")).toBe(`pod-on-${name}\n`);
      expect(await cluster.kubectl("logs", `pod-on-${name}`)).toBe("");
      expect(await cluster.kubectl("get", "--raw", `/api/v1/nodes/${name}/proxy/healthz`)).toBe("ok");
    }
  });

  it("services answer on all nodes, at their addresses and at ports of nodes, whichever node their pods are on", async () => {
    await cluster.apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "who" },
      spec: { type: "NodePort", selector: { app: "who", kind: "pod" }, ports: [{ port }] },
    });
    const { spec } = await cluster.get<Service>("service", "who");
    const doors: readonly (readonly [string, number])[] = [
      [spec?.clusterIP ?? "", port],
      [await address(`node-${first}`), spec?.ports?.[0]?.nodePort ?? 0],
      [await address(`node-${second}`), spec?.ports?.[0]?.nodePort ?? 0],
    ];
    for (const name of [first, second])
      for (const [target, door] of doors)
        await until(`${target}:${door} answers a pod on ${name}`, async () => (await seenFrom(`pod-on-${name}`, target, door)) !== "");
    // One of two pods is chosen for each connection: both answer, the one on the pod's own node too.
    for (const name of [first, second])
      for (const [target, door] of doors)
        for (let i = 0; i < 6; i++)
          expect(await seenFrom(`pod-on-${name}`, target, door), `${target}:${door} to a pod on ${name}`).toMatch(/^\d+(\.\d+){3}$/);
  });

  it("a node's process killed: it is started again and finds the pods as they were", async () => {
    const before = await lives();
    const pid = async () => Number(/(\d+)$/m.exec((await command("list")).stdout)?.[1]);
    const killed = await pid();
    process.kill(killed, "SIGKILL");
    await until("another process", async () => ((await pid()) || killed) !== killed);
    await cluster.apply(server("after-the-kill", second));
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/after-the-kill", "--timeout=60s");
    expect((await lives()).filter((life) => !JSON.stringify(life).includes("after-the-kill"))).toEqual(before);
    await cluster.kubectl("delete", "pod", "after-the-kill", "--now");
  });

  it("a node that is cut off is unreachable and its pods leave the endpoints, until it is joined again", async () => {
    const readyOn = async (name: string): Promise<boolean> => {
      const { items } = await cluster.get<EndpointSliceList>("endpointslices", "-l", "kubernetes.io/service-name=who");
      return items.flatMap((slice) => slice.endpoints).some((e) => e?.nodeName === name && e.conditions?.ready === true);
    };
    await until("both pods are endpoints", async () => (await readyOn(first)) && (await readyOn(second)));
    const before = await lives();
    expect(await command("partition", second)).toMatchObject({ code: 0 });
    const lost = await until("the node is unknown", async () => {
      const found = await node(second);
      return isReady(found, "Unknown") && found.spec?.taints?.some((t) => t.effect === "NoExecute") ? found : undefined;
    });
    expect(lost.spec?.taints?.map(({ key, effect }) => `${key}:${effect}`).sort()).toEqual([
      "node.kubernetes.io/unreachable:NoExecute",
      "node.kubernetes.io/unreachable:NoSchedule",
    ]);
    await until("its pod is no endpoint", async () => !(await readyOn(second)));
    expect(await readyOn(first)).toBe(true);
    expect((await command("list")).stdout).toMatch(new RegExp(`^${second} .* cut off `, "m"));
    expect(await command("partition", "--heal")).toMatchObject({ code: 0, stdout: `joined again: ${second}\n` });
    await until("the node is ready and without taints", async () => {
      const found = await node(second);
      return isReady(found, "True") && (found.spec?.taints ?? []).length === 0;
    });
    await until("its pod is an endpoint again", () => readyOn(second));
    expect(await lives()).toEqual(before);
  });

  it("nodes are added, switched off and on, and removed while the cluster runs", async () => {
    expect(await command("add")).toMatchObject({ code: 0, stdout: `node ${third} starts\nnode ${third} is ready (containerd)\n` });
    await cluster.importImages(image);
    await cluster.apply(server("on-the-third", third));
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/on-the-third", "--timeout=60s");
    expect(await seenFrom(`pod-on-${second}`, await address("on-the-third"))).toBe(await address(`pod-on-${second}`));

    expect(await command("stop", third)).toMatchObject({ code: 0, stdout: `node ${third} is off\n` });
    const directory = join(cluster.dataDir, "nodes", third);
    expect(await findProcesses((args) => args.some((arg) => arg.includes(directory)))).toEqual([]);
    expect(await command("start", third)).toMatchObject({ code: 0 });
    await until("the pod runs again", async () => {
      const [container] = (await pod("on-the-third")).status?.containerStatuses ?? [];
      return container?.ready === true && container.restartCount > 0;
    });

    expect(await command("rm", third)).toMatchObject({ code: 0, stdout: `node ${third} is removed\n` });
    expect((await cluster.get<NodeList>("nodes")).items.map((n) => n.metadata.name)).toEqual([first, second]);
    expect(existsSync(directory)).toBe(false);
    expect(await mustRun("ip", ["netns", "list"])).not.toContain(`${podNetworkName(cluster.dataDir)}-${third}`);
    await cluster.kubectl("delete", "pod", "on-the-third", "--force", "--grace-period=0", "--ignore-not-found");
  });

  it("refuses what makes no sense, in one line", async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [["stop", first], new RegExp(`^coracle node: node ${first} is the cluster's own machine: .*\\n$`)],
      [["start", "nobody"], /^coracle node: there is no node "nobody" on this machine .*\n$/],
      [["add", second], new RegExp(`^coracle node: there is a node ${second} already\\n$`)],
      [["add", "Upper_Case"], /^coracle node: the name of a node "Upper_Case": a lowercase RFC 1123 label .*\n$/],
      [["rm"], /^coracle node: expected NAME .*\n$/],
    ];
    for (const [args, message] of cases) {
      const result = await command(...args);
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(message);
    }
  });

  it("another form of the network, and a killed cluster: started again with VXLAN, the same pods reach each other", async () => {
    const before = await lives();
    await cluster.stop("SIGKILL");
    await cluster.start(["--pod-network", "vxlan"]);
    await cluster.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s");
    expect(await lives()).toEqual(before);
    const [podOfFirst, podOfSecond] = [await address(`pod-on-${first}`), await address(`pod-on-${second}`)];
    await until("the routes of both nodes", async () => {
      const inSecond = ["-n", `${podNetworkName(cluster.dataDir)}-${second}`, "route", "show", "proto", "196"];
      const routes = [await mustRun("ip", ["route", "show", "proto", "196"]), await mustRun("ip", inSecond)];
      return routes.every((text) => /dev corx-/.test(text)) && routes[0]?.includes(vxlanDeviceName(cluster.dataDir));
    });
    expect(await seenFrom(`pod-on-${first}`, podOfSecond)).toBe(podOfFirst);
    expect(await seenFrom(`pod-on-${second}`, podOfFirst)).toBe(podOfSecond);
    // Nodes answer by another way than the tunnel: pods reach them, hidden behind their own.
    expect(await seenFrom(`pod-on-${first}`, await address(`node-${second}`))).toMatch(/^\d+(\.\d+){3}$/);
    expect(await seenFrom(`node-${second}`, podOfFirst)).toMatch(/^\d+(\.\d+){3}$/);
    expect(await cluster.kubectl("exec", `pod-on-${second}`, "--", "/bin/sh", "-c", "hostname")).toBe(`pod-on-${second}\n`);
  });

  it("after a kill `down` removes all nodes and everything they have on the machine", async () => {
    await cluster.stop("SIGKILL");
    const down = await coracle(["down", "--data-dir", cluster.dataDir], { timeoutMs: 120_000 });
    expect(down).toMatchObject({ code: 0, stderr: "" });
    const left = await findProcesses((args) => args.some((a) => a.includes(cluster.dataDir)) && !args.some((a) => a.includes("vitest")));
    expect(left).toEqual([]);
    const directories = [cluster.dataDir, join(cluster.dataDir, "nodes", second)];
    const names = directories.flatMap((d) => [podNetworkName(d), podBridgeName(d), nodeBridgeName(d), vxlanDeviceName(d)]);
    const cables = nodeBridgeName(cluster.dataDir).replaceAll("-", "");
    const interfaces = (await readdir("/sys/class/net")).filter((name) => names.includes(name) || name.startsWith(cables));
    const tables = (await mustRun("nft", ["list", "tables"])).split("\n").filter((line) => names.some((name) => line.includes(name)));
    const namespaces = (await mustRun("ip", ["netns", "list"])).split("\n").filter((line) => names.some((name) => line.startsWith(name)));
    const routes = (await mustRun("ip", ["route", "show", "proto", "196"]))
      .split("\n")
      .filter((line) => names.some((n) => line.includes(n)));
    const mounts = (await readFile("/proc/mounts", "utf8")).split("\n").filter((line) => line.includes(cluster.dataDir));
    const { trees } = await detectCgroups();
    const cgroups = directories.flatMap((d) => trees.map((tree) => join(tree, podNetworkName(d)))).filter(existsSync);
    expect({ interfaces, tables, namespaces, routes, mounts, cgroups }).toEqual({
      ...{ interfaces: [], tables: [], namespaces: [], routes: [], mounts: [], cgroups: [] },
    });
  });
});

describe("what cannot be several nodes is one line", () => {
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      "ranges that overlap",
      ["--node-cidr", "10.244.7.0/24"],
      /^coracle up: --node-cidr 10\.244\.7\.0\/24 overlaps with --cluster-cidr .*\n$/,
    ],
    [
      "a range that is none",
      ["--cluster-cidr", "10.244.0.0"],
      /^coracle up: --cluster-cidr 10\.244\.0\.0: expected an address range .*\n$/,
    ],
    ["an unknown form of the network", ["--pod-network", "ipip"], /^coracle up: .*--pod-network.*expected "auto" or .*\n$/],
  ];
  const real: typeof cases = [
    [
      "an API server on loopback",
      ["--bind-address", "127.0.0.1"],
      /^coracle up: --bind-address 127\.0\.0\.1: nodes beside the first .*\n$/,
    ],
    ["a runtime of others", ["--runtime", "unix:///run/none.sock"], /^coracle up: --runtime unix:.*: nodes beside the first need .*\n$/],
  ];
  it.runIf(reason === undefined).each(real)("%s", async (_name, args, message) => {
    const directory = await temporaryDirectory("refused");
    try {
      const result = await coracle(["up", "--data-dir", directory.path, "--secure-port", "0", "--nodes", "2", ...args]);
      expect(result).toMatchObject({ code: 1, stderr: expect.stringMatching(message) });
    } finally {
      await directory.remove();
    }
  });

  it.each(cases)("%s", async (_name, args, message) => {
    const result = await coracle(["up", "--data-dir", "/nonexistent/x", "--runtime", "simulated", "--nodes", "2", ...args]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(message);
  });

  it("node commands without a cluster", async () => {
    const result = await coracle(["node", "list", "--data-dir", "/nonexistent"]);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringMatching(/^coracle node: --data-dir \/nonexistent: no cluster .*\n$/) });
  });
});
