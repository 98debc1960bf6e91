// Another machine joins a cluster: a network namespace stands for it, linked to this one by a pair of interfaces. Its node has a
// containerd of its own, pods with logs and exec through the API server (which checks the kubelet's certificate), and the
// cluster's services and names.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { certificatesigningrequests, nodes } from "../../src/api/resources.generated.ts";
import { buildImage } from "../../src/testing/image-builder.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { box, idle, shell, TestBed } from "../support/namespace.ts";
import { type BackgroundCoracle, coracle, mustRun, projectRoot, startCoracle, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`joining is not tried with real containers: ${reason}`);

describe.runIf(reason === undefined)("a machine that joins", { timeout: 120_000 }, () => {
  let bed: TestBed;
  let joined: BackgroundCoracle;
  let directory = "";
  const closing: (() => Promise<unknown>)[] = [];
  let inside: readonly string[] = [];

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "coracle-joined-"));
    closing.push(() => rm(directory, { recursive: true, force: true }));
    bed = await TestBed.start("join");
    closing.push(() => bed.remove());
    // Like the port, the namespace and its addresses are this test's own.
    const { port } = bed.cluster;
    const [name, link, range] = [`corj${port}`, `corj${port}`, `172.31.${port % 256}`];
    await mustRun("ip", ["netns", "add", name]);
    closing.push(() => mustRun("ip", ["netns", "del", name]));
    await mustRun("ip", ["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name]);
    await mustRun("ip", ["addr", "add", `${range}.1/24`, "dev", link]);
    await mustRun("ip", ["link", "set", link, "up"]);
    const within = (...args: string[]) => mustRun("ip", ["-n", name, ...args]);
    await within("addr", "add", `${range}.2/24`, "dev", "eth0");
    for (const device of ["lo", "eth0"]) await within("link", "set", device, "up");
    await within("route", "add", "default", "via", `${range}.1`);
    inside = ["nsenter", `--net=/run/netns/${name}`];
    await mustRun("nsenter", [...inside.slice(1), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
  }, 180_000);

  afterAll(async () => {
    await joined?.stop();
    if (inside.length > 0)
      await mustRun("nsenter", [...inside.slice(1), process.execPath, join(projectRoot, "coracle"), "down", `--data-dir=${directory}`]);
    for (const close of closing.reverse()) await close();
  }, 180_000);

  it("has pods like any other node, under certificates that the cluster has signed", async () => {
    const created = await coracle(["token", "create", "--print-join-command", `--kubeconfig=${bed.cluster.kubeconfig}`]);
    const [, ...args] = created.stdout.trim().split(" ");
    joined = startCoracle([...args, `--data-dir=${directory}`, "--node-name=joined", "--discovery-timeout=60s"], inside);
    await until("the node is ready", async () => {
      if (joined.process.exitCode !== null) throw new Error(`it has ended:\n${joined.output()}`);
      const node = await bed.client.get(nodes, { name: "joined" });
      return node.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True");
    });
    await until("its serving certificate is signed", async () => {
      const { items } = await bed.client.list(certificatesigningrequests);
      return items.some((r) => r.spec.signerName === "kubernetes.io/kubelet-serving" && r.status?.certificate !== undefined);
    });
    const image = join(directory, "box.tar");
    await writeFile(image, await buildImage(box));
    await mustRun("nsenter", [
      ...inside.slice(1),
      process.execPath,
      join(projectRoot, "coracle"),
      "image",
      "import",
      `--data-dir=${directory}`,
      image,
    ]);
    const ns = await bed.namespace("joined");
    await ns.pod("far", shell(`echo from the joined node; ${idle}`), { nodeName: "joined" });
    await ns.untilPod("far", "it runs", (pod) => pod.status?.phase === "Running");
    expect(await until("the kubelet's new certificate is served", () => ns.kubectl("logs", "far"))).toBe("from the joined node\n");
    expect(await ns.kubectl("exec", "far", "--", "echo", "exec works")).toBe("exec works\n");
    const found = await until("names are answered on the node", () =>
      ns.kubectl("exec", "far", "--", "nslookup", "kubernetes.default.svc.cluster.local"),
    );
    const service = await bed.cluster.kubectl("get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}");
    expect(found).toContain(`Address: ${service}\n`);
    await ns.kubectl("delete", "pod", "far", "--timeout=30s");
  });
});
