// Processes that the kernel really kills for want of memory, and which of them a kubelet tells of: the machine's own are events
// of the node, those of a control group at its limit are not, be it a container's (which shows in its status) or any other.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { events } from "../../src/api/resources.generated.ts";
import { realClock } from "../../src/base/clock.ts";
import { createCgroups, detectCgroups } from "../../src/linux/cgroups.ts";
import { watchOomKills } from "../../src/linux/oom-kills.ts";
import { temporaryDirectory, until } from "../support/processes.ts";
import { RealKubelet, shell, whyNoRealKubelet } from "../support/real-kubelet.ts";

/** Whether the kernel's log can be read and added to. */
async function whyNoKernelLog(): Promise<string | undefined> {
  return writeFile("/dev/kmsg", "").then(
    () => undefined,
    (error: Error) => `the kernel's log is out of reach: ${error.message}`,
  );
}

const reason = (await whyNoRealKubelet()) ?? (await whyNoKernelLog());
if (reason) console.log(`processes killed for want of memory are not tried: ${reason}`);

const limitBytes = 24 * 2 ** 20;
/** Doubles what it holds until it is killed. */
const hungry = "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done";

describe.runIf(reason === undefined)("processes that the kernel kills for want of memory", { timeout: 120_000 }, () => {
  let bed: RealKubelet;
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    bed = await RealKubelet.start("10.251");
    closing.push(() => bed.remove());
  }, 60_000);
  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  }, 60_000);

  const victim = `coracle-${process.pid}`;
  /** Without what another run of this test has the kernel say. */
  const told = async (): Promise<readonly string[]> =>
    (await bed.client.list(events)).items
      .filter((e) => e.reason === "SystemOOM")
      .map((e) => `${e.type} ${e.involvedObject.name} ${e.message}`)
      .filter((text) => text.includes(victim) || !text.includes("process: coracle-"));

  test("those of the machine are told, those of control groups are not", async () => {
    const kills = await watchOomKills();
    const seen: string[] = [];
    // What this watch sees, the kubelet's sees as well.
    const untilKilled = (what: string, inControlGroup: boolean): Promise<unknown> =>
      until(what, async () => {
        for (const kill of await kills.next()) seen.push(`${kill.process} ${kill.inControlGroup}`);
        return seen.some((line) => line.endsWith(` ${inControlGroup}`));
      });

    // A container beyond its limit.
    await bed.create("hungry", [shell(hungry, { resources: { limits: { memory: "24Mi" } } })], { restartPolicy: "Never" });
    const pod = await bed.untilPhase("hungry", "Failed");
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ reason: "OOMKilled", exitCode: 137 });
    await untilKilled("the kernel tells of the container", true);
    seen.length = 0;

    // A group that is nobody's pod.
    const directory = await temporaryDirectory("oom");
    closing.push(() => directory.remove());
    const group = `/${basename(directory.path)}`;
    const system = await detectCgroups();
    const cgroups = createCgroups(system, { clock: realClock });
    await cgroups.ensure(group, { memoryBytes: limitBytes });
    closing.push(() => cgroups.remove(group));
    const waiting = spawn("/bin/sh", ["-c", `read go; ${hungry}`], { stdio: ["pipe", "ignore", "ignore"] });
    const exit = once(waiting, "exit");
    await writeFile(join(system.controllers.get("memory") ?? "", group, "cgroup.procs"), String(waiting.pid));
    waiting.stdin.end("go\n");
    expect(await exit).toEqual([null, "SIGKILL"]);
    await untilKilled("the kernel tells of the group", true);
    expect(await told()).toEqual([]);

    // The machine itself, in the kernel's words: it is not really brought to its end here. Another kill makes the watch look.
    for (const line of [
      `${victim} invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_ZERO|__GFP_COMP), order=0, oom_score_adj=0`,
      `oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=${victim},pid=999999,uid=0`,
      `Out of memory: Killed process 999999 (${victim}) total-vm:1048576kB, anon-rss:1000000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:2000kB oom_score_adj:0`,
    ])
      await writeFile("/dev/kmsg", `<4>${line}\n`);
    await bed.create("again", [shell(hungry, { resources: { limits: { memory: "24Mi" } } })], { restartPolicy: "Never" });
    await bed.untilPhase("again", "Failed");
    const event = await until("the machine's is told", async () => (await told())[0]);
    expect(event).toBe(`Warning kubelet-test System OOM encountered, victim process: ${victim}, pid: 999999`);
    expect(await told()).toHaveLength(1);
  });
});
