// A node that really runs short of memory: one of its pods takes more and more of it, until what the machine has left is below
// the threshold. That pod goes, the others stay, new ones that ask for nothing are refused, and the scheduler is told by a
// taint; after a while the node is as before. The threshold follows from what the machine has to spare when the test begins.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { events, nodes } from "../../src/api/resources.generated.ts";
import type { Node } from "../../src/api/types/core-v1.ts";
import { detectCgroups } from "../../src/linux/cgroup-system.ts";
import { machineUsage } from "../../src/linux/machine-usage.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, shell, statusOf, TestBed, type TestNamespace } from "../support/namespace.ts";
import { temporaryDirectory, until } from "../support/processes.ts";

const mebibyte = 2 ** 20;
/** For the cluster itself, and for what other programs take meanwhile. */
const marginBytes = 1280 * mebibyte;
const stepBytes = 64 * mebibyte;
/** At most: the pod takes step after step until it is evicted. */
const steps = 40;

async function availableBytes(): Promise<number> {
  const usage = await machineUsage(await detectCgroups());
  return usage ? usage.memoryTotalBytes - usage.workingSetBytes : 0;
}

async function whyNot(): Promise<string | undefined> {
  const missing = await whyNoContainers();
  if (missing) return missing;
  const [spare, needed] = [await availableBytes(), marginBytes + steps * stepBytes].map((bytes) => Math.round(bytes / mebibyte));
  return (spare ?? 0) < (needed ?? 0) ? `the machine has ${spare} MiB to spare, and ${needed} may be taken` : undefined;
}

const reason = await whyNot();
if (reason) console.log(`a node short of memory is not tried: ${reason}`);

/** Once it is told to, it holds one step more every moment. */
const greedy = `until [ -e /tmp/go ]; do sleep 0.1; done
i=0; while [ $i -lt ${steps} ]; do (head -c ${stepBytes} /dev/zero; exec sleep 3600) | tail -c ${stepBytes} & i=$((i+1)); sleep 0.1; done
wait`;

describe.runIf(reason === undefined)("a node short of memory", { timeout: 180_000 }, () => {
  let bed: TestBed;
  let ns: TestNamespace;
  let threshold = 0;
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    const directory = await temporaryDirectory("memory-pressure");
    closing.push(() => directory.remove());
    const config = join(directory.path, "kubelet.json");
    threshold = Math.round(((await availableBytes()) - marginBytes) / mebibyte);
    const configuration = {
      ...{ apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration" },
      ...{ evictionHard: { "memory.available": `${threshold}Mi` }, evictionPressureTransitionPeriod: "9s" },
    };
    await writeFile(config, JSON.stringify(configuration));
    bed = await TestBed.start("memory-pressure", [`--kubelet-config=${config}`]);
    closing.push(() => bed.remove());
    ns = await bed.namespace("memory");
  }, 180_000);

  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  }, 180_000);

  const theNode = async (): Promise<Node> => {
    const [node] = (await bed.client.list(nodes)).items;
    if (!node) throw new Error("there is no node");
    return node;
  };
  const pressure = async () => (await theNode()).status?.conditions?.find((c) => c.type === "MemoryPressure");
  const taints = async () => ((await theNode()).spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`);

  it("evicts the pod that takes more than it asked for, refuses others until there is enough again", async () => {
    const asking = (memory: string) => ({ resources: { requests: { memory } } });
    await ns.pod("modest", shell(idle, asking("64Mi")));
    await ns.pod("greedy", shell(greedy, asking("16Mi")));
    for (const name of ["modest", "greedy"]) await ns.untilReady(name);
    expect(await pressure()).toMatchObject({ status: "False", reason: "KubeletHasSufficientMemory" });
    await ns.exec("greedy", "touch /tmp/go");

    const short = await until("the node is short of memory", async () => {
      const condition = await pressure();
      return condition?.status === "True" ? condition : undefined;
    });
    expect(short).toMatchObject({ reason: "KubeletHasInsufficientMemory", message: "kubelet has insufficient memory available" });
    const nodeName = (await theNode()).metadata.name;
    await ns.pod("late", shell(idle), { nodeName });
    await ns.pod("asking", shell(idle, asking("16Mi")), { nodeName });
    expect((await ns.untilPhase("late", "Failed")).status).toMatchObject({
      ...{ reason: "Evicted", message: "Pod was rejected: The node had condition: [MemoryPressure]. " },
    });
    expect(await taints()).toContain("node.kubernetes.io/memory-pressure:NoSchedule");

    const gone = await ns.untilPhase("greedy", "Failed");
    expect(gone.status?.reason).toBe("Evicted");
    const text = new RegExp(
      `^The node was low on resource: memory\\. Threshold quantity: ${quantity(threshold)}, available: (\\d+)Ki\\. ` +
        "Container main was using (\\d+)Ki, request is 16Mi, has larger consumption of memory\\. $",
    );
    expect(gone.status?.message).toMatch(text);
    const [available = 0, used = 0] = (text.exec(gone.status?.message ?? "") ?? []).slice(1).map((kibibytes) => Number(kibibytes) / 1024);
    expect(available).toBeLessThan(threshold);
    expect(used).toBeGreaterThan(64);
    expect(statusOf(gone)?.state?.terminated).toMatchObject({ exitCode: 137 });
    expect(gone.status?.conditions?.find((c) => c.type === "DisruptionTarget")).toMatchObject({
      ...{ status: "True", reason: "TerminationByKubelet", message: gone.status?.message },
    });

    await until("the node has enough again", async () => (await pressure())?.status === "False");
    await until("the taint is gone", async () => (await taints()).length === 0);
    // Those that asked for what they take have seen nothing of it, and new ones are welcome.
    for (const name of ["modest", "asking"]) expect(statusOf(await ns.untilReady(name))?.restartCount).toBe(0);
    await ns.pod("later", shell(idle), { nodeName });
    await ns.untilReady("later");
  });

  it("says so in events of the node and of the pod", async () => {
    const { name } = (await theNode()).metadata;
    await ns.untilEvent("greedy", /^Warning Evicted: The node was low on resource: memory\./m);
    await ns.untilEvent("late", /^Warning Evicted: The node had condition: \[MemoryPressure\]\. /m);
    const ofNode = async () => (await bed.client.list(events, { fieldSelector: `involvedObject.kind=Node` })).items;
    const expected = [
      "Warning EvictionThresholdMet: Attempting to reclaim memory",
      `Normal NodeHasInsufficientMemory: Node ${name} status is now: NodeHasInsufficientMemory`,
      `Normal NodeHasSufficientMemory: Node ${name} status is now: NodeHasSufficientMemory`,
    ];
    for (const text of expected)
      await until(text, async () => (await ofNode()).some((e) => `${e.type} ${e.reason}: ${e.message}` === text));
  });
});

/** As quantities are written: 2048Mi is 2Gi. */
const quantity = (mebibytes: number): string => (mebibytes % 1024 === 0 ? `${mebibytes / 1024}Gi` : `${mebibytes}Mi`);
