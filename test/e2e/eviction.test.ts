// Limits of local storage as users meet them, with a cluster's defaults and real containers: a pod that takes more than it may
// is evicted, and kubectl says why. And what a node does not admit.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, shell, statusColumn, TestBed } from "../support/namespace.ts";

const reason = await whyNoContainers();
if (reason) console.log(`eviction is not tried with real containers: ${reason}`);

/** Volumes are measured once a minute, pods are looked at every ten seconds. */
const patienceMs = 110_000;

describe.runIf(reason === undefined)("eviction on real containers", { timeout: 180_000, concurrent: true }, () => {
  let bed: TestBed;
  beforeAll(async () => {
    bed = await TestBed.start("eviction");
  }, 180_000);
  afterAll(() => bed?.remove(), 180_000);

  const fill = (path: string, mebibytes: number): string => `dd if=/dev/zero of=${path} bs=1M count=${mebibytes} && ${idle}`;
  const limited = (limit: string) => ({ resources: { limits: { "ephemeral-storage": limit } } });

  it("an emptyDir beyond its size limit, while a pod within its limits stays", async () => {
    const ns = await bed.namespace("empty-dir");
    const volumeMounts = [{ name: "data", mountPath: "/data" }];
    const fields = { volumes: [{ name: "data", emptyDir: { sizeLimit: "4Mi" } }] };
    await ns.pod("calm", shell(fill("/data/file", 3), { volumeMounts, ...limited("64Mi") }), fields);
    await ns.untilReady("calm");
    await ns.pod("full", shell(fill("/data/file", 8), { volumeMounts }), fields);
    const pod = await ns.untilPod("full", "is evicted", (p) => p.status?.phase === "Failed", patienceMs);
    expect(pod.status).toMatchObject({ reason: "Evicted", message: 'Usage of EmptyDir volume "data" exceeds the limit "4Mi". ' });
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toBeDefined();
    expect(await ns.kubectl("describe", "pod", "full")).toMatch(/Status: +Failed\nReason: +Evicted\n/);
    await ns.untilEvent("full", /Warning Evicted: Usage of EmptyDir volume "data" exceeds the limit "4Mi"\./);
    // Both were measured at the same time.
    expect((await ns.getPod("calm")).status?.phase).toBe("Running");
  });

  it("more ephemeral storage than the pod's containers may use together", async () => {
    const ns = await bed.namespace("pod-storage");
    await ns.pod("writer", shell(fill("/tmp/file", 12), limited("6Mi")));
    const pod = await ns.untilPod("writer", "is evicted", (p) => p.status?.phase === "Failed", patienceMs);
    expect(pod.status).toMatchObject({
      reason: "Evicted",
      message: "Pod ephemeral local storage usage exceeds the total limit of containers 6Mi. ",
    });
  });

  it("more ephemeral storage than one container may use", async () => {
    const ns = await bed.namespace("container-storage");
    await ns.pod("two", [shell(fill("/tmp/file", 12), limited("6Mi")), shell(idle, { name: "side", ...limited("1Gi") })]);
    const pod = await ns.untilPod("two", "is evicted", (p) => p.status?.phase === "Failed", patienceMs);
    expect(pod.status).toMatchObject({
      reason: "Evicted",
      message: 'Container main exceeded its local ephemeral storage limit "6Mi". ',
    });
    await ns.kubectl("delete", "pod", "two", "--wait=true");
  });

  it("a safe sysctl is set, another one forbidden", async () => {
    const ns = await bed.namespace("sysctls");
    const sysctl = (name: string, value: string) => ({ restartPolicy: "Never", securityContext: { sysctls: [{ name, value }] } });
    await ns.pod("safe", shell("cat /proc/sys/kernel/shm_rmid_forced"), sysctl("kernel.shm_rmid_forced", "1"));
    await ns.pod("unsafe", shell(idle), sysctl("kernel.msgmax", "10000"));
    expect(await ns.output("safe")).toBe("1\n");
    const pod = await ns.untilPhase("unsafe", "Failed");
    expect(pod.status).toMatchObject({
      reason: "SysctlForbidden",
      message: 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted',
    });
    expect(await statusColumn(ns, "unsafe")).toBe("SysctlForbidden");
  });
});
