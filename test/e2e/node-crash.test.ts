// The kubelet and the runtime killed while pods start and end, on a real node: every pod gets there, nothing runs twice,
// nothing is left behind.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pods } from "../../src/api/resources.generated.ts";
import type { Pod } from "../../src/api/types/core-v1.ts";
import { containerdPaths } from "../../src/cri/containerd-paths.ts";
import type { CriConnection } from "../../src/cri/cri.ts";
import { connectCri } from "../../src/cri/grpc-runtime.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { box, idle, isReady, shell, statusOf, TestBed, type TestNamespace } from "../support/namespace.ts";
import { until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`crashes of a node are not tried with real containers: ${reason}`);

const count = 5;

describe.runIf(reason === undefined)("a node whose parts are killed", { timeout: 180_000 }, () => {
  let bed: TestBed;
  let cri: CriConnection;
  beforeAll(async () => {
    bed = await TestBed.start("crash");
    cri = connectCri({ endpoint: containerdPaths(bed.cluster.dataDir).endpoint });
  }, 180_000);
  afterAll(async () => {
    cri?.close();
    await bed?.remove();
  }, 180_000);

  const restart = async (): Promise<void> => {
    await bed.cluster.stop("SIGKILL");
    await bed.cluster.start();
  };

  const podsOf = async (ns: TestNamespace): Promise<readonly Pod[]> => (await bed.client.list(pods, { namespace: ns.name })).items;

  const startMany = async (ns: TestNamespace): Promise<void> => {
    const init = shell("echo once >> /work/starts", { name: "init", volumeMounts: [{ name: "work", mountPath: "/work" }] });
    const main = shell(`echo once >> /work/starts; ${idle}`, { volumeMounts: [{ name: "work", mountPath: "/work" }] });
    const fields = { initContainers: [init], volumes: [{ name: "work", emptyDir: {} }] };
    await Promise.all(Array.from({ length: count }, (_, i) => ns.pod(`p${i}`, main, fields)));
  };

  const untilAllReady = (ns: TestNamespace): Promise<readonly Pod[]> =>
    until(
      `all pods of ${ns.name} are ready`,
      async () => {
        const all = await podsOf(ns);
        return all.length === count && all.every(isReady) ? all : undefined;
      },
      90_000,
    );

  /** By pod: states of its sandboxes and of its containers, sorted. */
  const inRuntime = async (ns: TestNamespace): Promise<ReadonlyMap<string, string>> => {
    const labelSelector = { "io.kubernetes.pod.namespace": ns.name };
    const [{ items }, { containers }] = await Promise.all([
      cri.listPodSandbox({ filter: { labelSelector } }),
      cri.listContainers({ filter: { labelSelector } }),
    ]);
    const found = new Map<string, string[]>();
    for (const { labels, state, metadata } of [...items, ...containers])
      found.set(labels["io.kubernetes.pod.name"] ?? "", [
        ...(found.get(labels["io.kubernetes.pod.name"] ?? "") ?? []),
        `${state.startsWith("SANDBOX") ? "sandbox" : metadata?.name} ${state.replace(/^(SANDBOX|CONTAINER)_/, "").toLowerCase()}`,
      ]);
    return new Map([...found].map(([name, states]) => [name, states.sort().join(", ")]));
  };

  /** Of each pod one sandbox and one container run, and none waits to be started. */
  const untilOneEach = (ns: TestNamespace): Promise<unknown> =>
    until("one sandbox and one container run for each pod", async () => {
      const found = [...(await inRuntime(ns)).values()];
      const states = found.map((s) => s.split(", "));
      const once = (all: readonly string[], state: string): boolean => all.filter((s) => s === state).length === 1;
      const right = (all: readonly string[]): boolean =>
        once(all, "main running") && once(all, "sandbox ready") && !all.some((s) => s.endsWith(" created"));
      if (states.length === count && states.every(right)) return true;
      throw new Error(found.join("; "));
    });

  it("the kubelet, while pods start: one of each container runs in the end", async () => {
    const ns = await bed.namespace("kubelet");
    await startMany(ns);
    await until("one pod runs, and not all of them", async () => (await podsOf(ns)).some((p) => statusOf(p)?.state?.running));
    await restart();
    const all = await untilAllReady(ns);
    await untilOneEach(ns);
    // Of each pod one start may have been under way when the kubelet died: the runtime gives it up, perhaps after the container
    // has run, and it is made again.
    for (const { metadata } of all) expect(await ns.exec(metadata.name, "cat /work/starts")).toMatch(/^(once\n){2,3}$/);
    await ns.kubectl("delete", "pods", "--all");
    await until("nothing is left", async () => (await inRuntime(ns)).size === 0);
  });

  it("the runtime, while pods start: all of them run in the end, in one sandbox each", async () => {
    const ns = await bed.namespace("runtime");
    const { pidFile } = containerdPaths(bed.cluster.dataDir);
    const pidOf = (): number => Number(readFileSync(pidFile, "utf8").match(/\d+/)?.[0]);
    await startMany(ns);
    await until("one pod runs", async () => (await podsOf(ns)).some((p) => statusOf(p)?.state?.running));
    const pid = pidOf();
    process.kill(pid, "SIGKILL");
    await until("another containerd", () => pidOf() !== pid);
    await untilAllReady(ns);
    await untilOneEach(ns);
    await ns.kubectl("delete", "pods", "--all");
    await until("nothing is left", async () => (await inRuntime(ns)).size === 0);
  });

  it("the kubelet, while a pod ends: the next one ends it", async () => {
    const ns = await bed.namespace("ending");
    const script = "trap 'echo ending; sleep 3; exit 0' TERM; echo up; sleep 3600 & wait";
    await ns.pod("slow", shell(script), { terminationGracePeriodSeconds: 20 });
    await ns.untilLog("slow", "up");
    await ns.kubectl("delete", "pod", "slow", "--wait=false");
    await ns.untilLog("slow", "ending");
    await restart();
    await ns.untilGone("slow", 30_000);
    await until("nothing is left", async () => (await inRuntime(ns)).size === 0);
  });

  it("a resize that comes while nobody is there is done by the next kubelet, in place", async () => {
    const ns = await bed.namespace("resized");
    const resources = (cpu: string) => ({ requests: { cpu }, limits: { cpu } });
    await ns.pod("web", shell(idle, { resources: resources("50m") }));
    const before = await ns.untilReady("web");
    await ns.kubectl(
      "patch",
      "pod",
      "web",
      "--subresource",
      "resize",
      "-p",
      JSON.stringify({ spec: { containers: [{ name: "main", resources: resources("80m") }] } }),
    );
    await restart();
    const after = await ns.untilPod("web", "is resized", (p) => statusOf(p)?.resources?.limits?.cpu === "80m" && isReady(p));
    expect(statusOf(after)?.containerID).toBe(statusOf(before)?.containerID);
  });

  it("ephemeral containers: one that runs runs on, one that has ended stays so, one that is new is started", async () => {
    const ns = await bed.namespace("debugged");
    await ns.pod("web", shell("exec sleep 4321"));
    await ns.untilReady("web");
    const debug = (name: string, script: string) =>
      ns.kubectl("debug", "web", `--image=${box.name}`, "-c", name, "--target=main", "--profile=general", "--", "sh", "-c", script);
    await debug("runs", "exec sleep 1234");
    await debug("ended", "exit 3");
    const before = await ns.untilPod("web", "has both", (p) => {
      return statusOf(p, "runs")?.state?.running !== undefined && statusOf(p, "ended")?.state?.terminated !== undefined;
    });
    await debug("late", "ps; exec sleep 1234");
    await restart();
    const after = await ns.untilPod("web", "has all three", (p) => isReady(p) && statusOf(p, "late")?.state?.running !== undefined);
    const idOf = (pod: Pod, name: string) => [name, statusOf(pod, name)?.containerID, statusOf(pod, name)?.restartCount];
    for (const name of ["main", "runs", "ended"]) expect(idOf(after, name)).toEqual(idOf(before, name));
    expect(statusOf(after, "runs")?.state?.running).toEqual(statusOf(before, "runs")?.state?.running);
    expect(statusOf(after, "ended")?.state?.terminated?.exitCode).toBe(3);
    expect(await ns.untilLog("web", "1234", "late")).toMatch(/sleep 4321/);
  });
});
