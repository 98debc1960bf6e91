// A cluster of two nodes in a routed pod network, as users start it: every pod on a cable of its own, routes between the nodes by a
// routing daemon on each, addresses by IPPool objects; with services, names, policies and host ports on top; and nothing of it
// left at the end.
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Event, Pod, Service } from "../../src/api/types/core-v1.ts";
import { findProcesses } from "../../src/linux/processes.ts";
import { whyNoBird } from "../../src/routed-network/bird.ts";
import { allocationsOf } from "../../src/routed-network/block.ts";
import { birdDirectory, podCablePrefix } from "../../src/routed-network/names.ts";
import type { IPAMBlock } from "../../src/routed-network/resources.ts";
import { Cluster, whyNoContainers } from "../support/cluster.ts";
import { coracle, mustRun, until } from "../support/processes.ts";

const reason = (await whyNoContainers()) ?? (await whyNoBird());
if (reason) console.log(`a routed pod network is not tried with containers: ${reason}`);

const first = hostname().toLowerCase();
const second = `${first}-2`;
const port = 18_080;
const hostPort = 18_087;

/** A web server that says who asks. */
const image = {
  name: "example.test/who:1",
  files: { "/www/cgi-bin/who": "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\necho $REMOTE_ADDR\n" },
  entrypoint: ["/bin/httpd", "-f", "-p", String(port), "-h", "/www"],
};

const server = (name: string, nodeName: string, { annotations = {}, ports = [] as readonly object[], labels = {} } = {}): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, annotations, labels: { app: "who", ...labels } },
  spec: { nodeName, terminationGracePeriodSeconds: 1, containers: [{ name: "main", image: image.name, ports }] },
});

interface ListOf<T> {
  readonly items: readonly T[];
}

describe.runIf(reason === undefined)("a routed pod network", { timeout: 240_000 }, () => {
  let cluster: Cluster;
  const [one, two] = [`on-${first}`, `on-${second}`];
  beforeAll(async () => {
    cluster = await Cluster.prepare("routed", ["--nodes", "2", "--pod-network", "routed"]);
    await cluster.start();
    await cluster.importImages(image);
    await cluster.apply(
      server(one, first, { ports: [{ containerPort: port, hostPort }] }),
      server(two, second, { labels: { guarded: "yes" } }),
      server("third", second),
    );
    await cluster.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=who", "--timeout=60s");
  }, 240_000);
  afterAll(() => cluster.remove(), 180_000);

  const address = async (name: string): Promise<string> => (await cluster.get<Pod>("pod", name)).status?.podIP ?? "";
  const allocations = async () =>
    (await cluster.get<ListOf<IPAMBlock>>("ipamblocks")).items.flatMap(({ spec }) =>
      allocationsOf(spec).map((each) => ({ ...each, affinity: spec.affinity })),
    );
  const inPod = (name: string, script: string) => cluster.tryKubectl(["exec", name, "--", "/bin/sh", "-c", script]);

  const ask = (target: string, waitSeconds: number): string =>
    `printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n' | nc -w ${waitSeconds} ${target} ${port}`;

  /** Who asks, in the eyes of the server that is asked; "" where nobody answers. */
  const seenFrom = async (podName: string, target: string, waitSeconds = 10): Promise<string> => {
    const { stdout } = await inPod(podName, ask(target, waitSeconds));
    return (stdout.trim().split("\n").at(-1) ?? "").replace(/^\[(::ffff:)?(.*)\]$/, "$2");
  };

  it("pods of both nodes reach each other under their own addresses, and the host reaches them", async () => {
    const [a, b] = [await address(one), await address(two)];
    await until("the way to the other node", async () => (await seenFrom(one, b)) === a);
    await until("the way back", async () => (await seenFrom(two, a)) === b);
    for (const pod of [a, b]) expect((await fetch(`http://${pod}:${port}/cgi-bin/who`)).status).toBe(200);
    expect(await mustRun("ip", ["route", "get", a])).toContain(podCablePrefix(cluster.dataDir));
    expect(await mustRun("ip", ["route", "show", "match", b])).toMatch(/\/26 via \S+ dev \S+ proto bird/);
  });

  it("addresses are those of blocks that the nodes have claimed in the pool", async () => {
    const { items: pools } = await cluster.get<ListOf<{ readonly spec: object }>>("ippools");
    expect(pools.map(({ spec }) => spec)).toMatchObject([
      { cidr: cluster.podRange, blockSize: 26, vxlanMode: "CrossSubnet", natOutgoing: true },
    ]);
    const known = await allocations();
    for (const [pod, node] of [
      [one, first],
      [two, second],
    ] as const)
      expect(known.find((each) => each.secondary.pod === pod)).toMatchObject({ address: await address(pod), affinity: `host:${node}` });
  });

  it("services and host ports lead to pods, and names are resolved", async () => {
    await cluster.apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "who" },
      spec: { selector: { app: "who" }, ports: [{ port }] },
    });
    const { spec } = await cluster.get<Service>("service", "who");
    for (const pod of [one, two])
      await until(`the service answers ${pod}`, async () => {
        // One of three pods is chosen for each connection, it may be the one that asks.
        const { stdout } = await inPod(pod, `for i in 1 2 3 4 5 6 7 8; do ${ask(spec?.clusterIP ?? "", 10)}; done`);
        return stdout.match(/200 OK/g)?.length === 8;
      });
    expect(await seenFrom(two, "who.default.svc.cluster.local")).toMatch(/^\d+(\.\d+){3}$/);
    expect((await fetch(`http://127.0.0.1:${hostPort}/cgi-bin/who`)).status).toBe(200);
  });

  it("network policies hold, between nodes and within one", async () => {
    const [guarded, third] = await Promise.all([address(two), address("third")]);
    expect(await seenFrom("third", guarded)).toBe(third);
    await cluster.apply({
      ...{ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "guard" } },
      spec: { podSelector: { matchLabels: { guarded: "yes" } }, ingress: [] },
    });
    const isCutOff = async (from: string): Promise<boolean> => (await seenFrom(from, guarded, 1)) === "";
    await Promise.all(["third", one].map((from) => until(`nothing from ${from}`, () => isCutOff(from))));
    expect(await seenFrom(one, third)).not.toBe("");
    await cluster.kubectl("delete", "networkpolicy", "guard");
    await until("all of it again", async () => (await seenFrom(one, guarded)) !== "");
  });

  it("a pod that is deleted gives its address back", async () => {
    const given = await address("third");
    await cluster.kubectl("delete", "pod", "third", "--now");
    await until("the address is free", async () => (await allocations()).every((each) => each.address !== given));
    expect(await mustRun("ip", ["-n", `${await namespaceOfSecond()}`, "route", "show", given])).toBe("");
  });

  it("a pool that is used up says so, in events of the pod and of the pool; one that overlaps is refused", async () => {
    const pool = (name: string, spec: object) => ({ apiVersion: "crd.projectcalico.org/v1", kind: "IPPool", metadata: { name }, spec });
    await cluster.apply(
      pool("tiny", { cidr: "10.254.77.0/32", blockSize: 32, assignmentMode: "Manual" }),
      pool("thief", { cidr: cluster.podRange.replace("/16", "/24") }),
    );
    const annotations = { "cni.projectcalico.org/ipv4pools": '["tiny"]' };
    await until("the pool is known", async () => {
      await cluster.kubectl("delete", "pod", "fits", "--ignore-not-found", "--now");
      await cluster.apply(server("fits", second, { annotations }));
      return (await cluster.tryKubectl(["wait", "--for=condition=Ready", "pod/fits", "--timeout=20s"])).code === 0;
    });
    expect(await address("fits")).toBe("10.254.77.0");
    await until("it is reached from the other node", async () => (await seenFrom(one, "10.254.77.0")) === (await address(one)));
    await cluster.apply(server("waits", first, { annotations }));
    const events = async () => (await cluster.get<ListOf<Event>>("events", "-A")).items;
    const find = (reasonOfEvent: string, name: string, text: RegExp) =>
      until(`event ${reasonOfEvent} of ${name}`, async () =>
        (await events()).some((e) => e.reason === reasonOfEvent && e.involvedObject.name === name && text.test(e.message ?? "")),
      );
    await find(
      "FailedCreatePodSandBox",
      "waits",
      /no IPv4 address is left for pods of node .* in the IP pools tiny \(10\.254\.77\.0\/32\)/,
    );
    await find("IPPoolExhausted", "tiny", /no IPv4 address is left/);
    await find("InvalidIPPool", "thief", /overlaps with .* of the IP pool default-ipv4-ippool/);
    await cluster.kubectl("delete", "pod", "fits", "waits", "--now");
  });

  it("a node's process that is killed comes back, and finds pods, routes and the routing daemon as they were", async () => {
    const list = async () => (await coracle(["node", "list", "--data-dir", cluster.dataDir])).stdout;
    const pidOf = async () => Number(new RegExp(`^${second} .* (\\d+)$`, "m").exec(await list())?.[1]);
    const daemons = await birds();
    expect(daemons).toHaveLength(2);
    const [a, b, before] = [await address(one), await address(two), await pidOf()];
    process.kill(before, "SIGKILL");
    expect(await seenFrom(one, b), "nobody is there, and packets still arrive").toBe(a);
    await until("another process", async () => ((await pidOf()) || before) !== before);
    await cluster.apply(server("after", second));
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/after", "--timeout=60s");
    expect(await seenFrom("after", a)).toBe(await address("after"));
    expect(await address(two)).toBe(b);
    expect(await birds()).toEqual(daemons);
  });

  it("a node that is removed gives back its blocks", async () => {
    const removed = await coracle(["node", "rm", second, "--data-dir", cluster.dataDir], { timeoutMs: 120_000 });
    expect(removed).toMatchObject({ code: 0 });
    expect(await mustRun("ip", ["route", "show", "proto", "bird"]), "of the other node").toContain(
      `blackhole ${cluster.podRange.split(".0")[0]}.`,
    );
    await until(
      "its blocks are nobody's",
      async () => !(await cluster.kubectl("get", "blockaffinities,ipamblocks", "-o", "wide")).includes(second),
    );
    expect(await birds()).toHaveLength(1);
  });

  it("after `down` nothing is left, also where the cluster's process was killed", async () => {
    await cluster.process.stop("SIGKILL");
    expect(await birds(), "as it was").toHaveLength(1);
    expect(await coracle(["down", "--data-dir", cluster.dataDir], { timeoutMs: 120_000 })).toMatchObject({ code: 0 });
    expect(await birds()).toEqual([]);
    expect(await mustRun("ip", ["-o", "link"])).not.toContain(podCablePrefix(cluster.dataDir));
    const range = cluster.podRange.split(".").slice(0, 2).join(".");
    expect(await mustRun("ip", ["route", "show", "table", "all"])).not.toMatch(new RegExp(`(^|\\s)${range.replace(".", "\\.")}\\.`, "m"));
    expect(existsSync(birdDirectory(cluster.dataDir))).toBe(false);
  });

  const namespaceOfSecond = async (): Promise<string> => {
    const names = (await mustRun("ip", ["netns", "list"])).split("\n").map((line) => line.split(" ")[0] ?? "");
    return names.find((name) => name.endsWith(`-${second}`) && name.startsWith("coracle-") && isOurs(name)) ?? "";
  };
  const isOurs = (name: string): boolean => birdDirectory(cluster.dataDir).endsWith(name.split("-")[1] ?? " ");

  /** Process ids of the routing daemons of the cluster's nodes. */
  const birds = async (): Promise<readonly number[]> => {
    const directories = [cluster.dataDir, `${cluster.dataDir}/nodes/${second}`].map(birdDirectory);
    return (
      await findProcesses((args) => args[0]?.endsWith("bird") === true && directories.some((dir) => args.includes(`${dir}/bird.conf`)))
    ).map(({ pid }) => pid);
  };
});
