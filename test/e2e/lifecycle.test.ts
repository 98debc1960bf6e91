// Starting, stopping, crashing and starting again: what a user's cluster survives, on real containers.
import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pod, PodList } from "../../src/api/types/core-v1.ts";
import { podBridgeName, podNetworkName } from "../../src/cni/network-config.ts";
import { containerdPaths } from "../../src/cri/containerd-paths.ts";
import { detectCgroups } from "../../src/linux/cgroup-system.ts";
import { findProcesses } from "../../src/linux/processes.ts";
import { Cluster, whyNoContainers } from "../support/cluster.ts";
import { coracle, mustRun, temporaryDirectory, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`starting again is not tried with real containers: ${reason}`);

const image = { name: "example.test/sleep:1", entrypoint: ["/bin/sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.2; done"] };

/** What must not change for a pod that went on running. */
interface Life {
  readonly uid: string;
  readonly containerId: string | undefined;
  readonly restarts: number | undefined;
}

function lifeOf({ metadata, status }: Pod): Life {
  const container = status?.containerStatuses?.[0];
  return { uid: metadata.uid, containerId: container?.containerID, restarts: container?.restartCount };
}

describe.runIf(reason === undefined)("a cluster with real containers, started again", { timeout: 180_000 }, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.prepare("life");
    await cluster.start();
    await cluster.importImages(image);
    await cluster.kubectl("create", "deployment", "sleep", `--image=${image.name}`, "--replicas=2");
    await cluster.kubectl("rollout", "status", "deployment/sleep", "--timeout=60s");
  }, 180_000);
  afterAll(() => cluster.remove(), 180_000);

  const lives = async (): Promise<readonly Life[]> => {
    const { items } = await cluster.get<PodList>("pods", "-l", "app=sleep");
    return items.map(lifeOf).sort((a, b) => a.uid.localeCompare(b.uid));
  };

  /** The pods as they are once the node is ready and has reported. */
  const settled = async (): Promise<readonly Life[]> => {
    await cluster.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s");
    await cluster.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=sleep", "--timeout=60s");
    return lives();
  };

  /** What a cluster has outside of its directory, as far as it is there. */
  const tracesOnMachine = async (): Promise<readonly string[]> => {
    const name = podNetworkName(cluster.dataDir);
    const mounts = (await readFile("/proc/mounts", "utf8")).split("\n").filter((line) => line.includes(cluster.dataDir));
    const interfaces = (await readdir("/sys/class/net")).filter((i) => i === podBridgeName(cluster.dataDir));
    const cgroups = (await detectCgroups()).trees.map((tree) => join(tree, name)).filter(existsSync);
    const results = (await readdir("/var/lib/cni/results").catch(() => [])).filter((file) => file.startsWith(name));
    const tables = (await mustRun("nft", ["list", "tables"])).split("\n").filter((table) => table.endsWith(name));
    return [...mounts, ...interfaces, ...cgroups, ...results, ...tables];
  };

  it("refuses a second cluster in the same directory, in one line", async () => {
    const second = await coracle(["up", "--data-dir", cluster.dataDir, "--secure-port", "0"]);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/^coracle up: --data-dir .*: a cluster already runs here \(process \d+\).*\n$/);
  });

  it("refuses a second cluster with the same pod addresses, in one line", async () => {
    const other = await temporaryDirectory("clash");
    try {
      const second = await coracle(["up", "--data-dir", other.path, "--secure-port", "0", "--cluster-cidr", cluster.podRange]);
      expect(second.code).toBe(1);
      expect(second.stderr).toMatch(/^coracle up: --cluster-cidr 10\..* is in use on this machine: interface cor-\w+ has 10\..*\n$/);
    } finally {
      await other.remove();
    }
  });

  it("after Ctrl-C and a new start the same pods run, none restarted", async () => {
    const before = await lives();
    expect(await cluster.stop("SIGINT")).toBe(0);
    await cluster.start();
    expect(await settled()).toEqual(before);
  });

  it("after kill -9 and a new start the same pods run, none restarted", async () => {
    const before = await lives();
    await cluster.stop("SIGKILL");
    await cluster.start();
    expect(await settled()).toEqual(before);
  });

  it("a pod deleted while the cluster was down is gone after the start", async () => {
    const before = await lives();
    const name = (await cluster.get<PodList>("pods", "-l", "app=sleep")).items[0]?.metadata.name ?? "";
    await cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0", "--wait=false");
    await cluster.stop("SIGKILL");
    await cluster.start();
    await until("two pods again, one of them new", async () => {
      const now = await settled();
      return now.length === 2 && now.filter((l) => before.some((b) => b.uid === l.uid)).length === 1;
    });
  });

  it("containerd killed: it comes back and no pod restarts", async () => {
    const before = await settled();
    const pid = Number(readFileSync(containerdPaths(cluster.dataDir).pidFile, "utf8").match(/\d+/)?.[0]);
    process.kill(pid, "SIGKILL");
    await until(
      "another containerd",
      () => Number(readFileSync(containerdPaths(cluster.dataDir).pidFile, "utf8").match(/\d+/)?.[0]) !== pid,
    );
    await cluster.kubectl("run", "after", `--image=${image.name}`);
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/after", "--timeout=60s");
    expect(await settled()).toEqual(before);
  });

  it("down ends the process, the pods and the runtime", async () => {
    const down = await coracle(["down", "--data-dir", cluster.dataDir], { timeoutMs: 120_000 });
    expect(down).toMatchObject({ code: 0, stderr: "" });
    const left = await findProcesses((args) => args.some((a) => a.includes(cluster.dataDir)) && !args.some((a) => a.includes("vitest")));
    expect(left).toEqual([]);
    expect(await tracesOnMachine()).toEqual([]);
  });

  it("after down and a new start the pods run again", async () => {
    await cluster.start();
    await until("both pods ready", async () => (await settled()).length === 2);
  });
});

describe("what is wrong with a command line is one line", () => {
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["an unknown command", ["upp"], /^coracle: unknown command "upp"; .*\n$/],
    ["an unknown flag", ["up", "--nodez=1"], /^coracle up: unknown flag: --nodez .*\n$/],
    ["a bad number", ["up", "--nodes=many"], /^coracle up: .*--nodes.*expected a whole number.*\n$/],
    [
      "a bad port",
      ["apiserver", "--secure-port=70000"],
      /^coracle apiserver: .*--secure-port.*expected a whole number from 0 to 65535.*\n$/,
    ],
    ["a kubeconfig that is not there", ["scheduler", "--kubeconfig=/nonexistent"], /^coracle scheduler: .*\/nonexistent.*\n$/],
    ["no file to import", ["image", "import", "/nonexistent.tar"], /^coracle image: \/nonexistent\.tar: no such file\n$/],
    ["a data directory without a cluster", ["down", "--data-dir=/nonexistent"], /^coracle down: --data-dir \/nonexistent: .*\n$/],
  ];
  it.each(cases)("%s", async (_name, args, message) => {
    const result = await coracle(args);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(message);
  });
});
