import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseOomKills, watchOomKills } from "./oom-kills.ts";

const machine = [
  "stress invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0",
  "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user.slice,task=stress,pid=77,uid=0",
  "Out of memory: Killed process 77 (stress) total-vm:4096kB, anon-rss:4096kB, file-rss:0kB, shmem-rss:0kB, UID:0",
];
const group = [
  "sh invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=1000",
  "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg=/kubepods/podx,task_memcg=/kubepods/podx/c,task=tail,pid=78,uid=0",
  "Memory cgroup out of memory: Killed process 78 (tail) total-vm:4096kB, anon-rss:4096kB",
];

describe("parseOomKills()", () => {
  test("tells a machine out of memory from a control group at its limit", () => {
    expect(parseOomKills([...group, "usb 1-1: new device", ...machine])).toEqual([
      { pid: 78, process: "tail", inControlGroup: true },
      { pid: 77, process: "stress", inControlGroup: false },
    ]);
  });

  test("finds nothing in other lines", () => expect(parseOomKills(["Killed nothing", "oom_reaper: reaped process 77"])).toEqual([]));
});

describe("watchOomKills()", () => {
  test("reads the log when the kernel's count has grown, and only what is new", async () => {
    const directory = await mkdtemp(join(tmpdir(), "oom-"));
    try {
      const files = { vmstat: join(directory, "vmstat"), uptime: join(directory, "uptime"), kmsg: join(directory, "kmsg") };
      const count = (kills: number): Promise<void> => writeFile(files.vmstat, `pgfault 5\noom_kill ${kills}\n`);
      const log = (...records: readonly (readonly [seconds: number, text: string])[]): Promise<void> =>
        writeFile(files.kmsg, records.map(([seconds, text], i) => `4,${i},${seconds * 1e6},-;${text}\n SUBSYSTEM=x\n`).join(""));
      await count(3);
      await writeFile(files.uptime, "100.50 200.00\n");
      const watch = await watchOomKills(files);
      const old = [50, "Out of memory: Killed process 1 (old) x"] as const;
      await log(old, [101, "Out of memory: Killed process 2 (unseen) x"]);
      expect(await watch.next()).toEqual([]);
      await count(4);
      expect((await watch.next()).map((k) => k.process)).toEqual(["unseen"]);
      await log(old, [101, "Out of memory: Killed process 2 (unseen) x"], [102, "Out of memory: Killed process 3 (new) x"]);
      await count(5);
      expect((await watch.next()).map((k) => k.process)).toEqual(["new"]);
      expect(await watch.next()).toEqual([]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
