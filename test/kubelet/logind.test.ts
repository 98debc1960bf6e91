// A shutdown of the machine as a real logind announces it, and what a kubelet with real containers makes of it: the lock it
// holds, pods that end by priority, the node that says why it is not ready, and a machine that waits until they have ended.
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { events, nodes } from "../../src/api/resources.generated.ts";
import type { Pod } from "../../src/api/types/core-v1.ts";
import { until } from "../support/processes.ts";
import { RealKubelet, shell, whyNoRealKubelet } from "../support/real-kubelet.ts";
import { startSystemdMachine, whyNoLogind } from "../support/systemd-machine.ts";

const reason = (await whyNoRealKubelet()) ?? (await whyNoLogind());
if (reason) console.log(`shutdowns announced by logind are not tried: ${reason}`);

const login1 = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"];
const shutdownGracePeriodByPodPriority = [
  { priority: 0, shutdownGracePeriodSeconds: 25 },
  { priority: 1000, shutdownGracePeriodSeconds: 15 },
];

describe.runIf(reason === undefined)("a shutdown announced by logind", { timeout: 120_000 }, () => {
  test("waits for the pods, which end by priority; once it is over the node is ready again", async () => {
    await using machine = await startSystemdMachine({ logind: true });
    const logind = async (...call: readonly string[]): Promise<string> => machine.inside("busctl", ...call);
    await until("logind is on the bus", async () => /^t \d+/.test(await logind("get-property", ...login1, "InhibitDelayMaxUSec")));
    const locks = async (): Promise<string> => logind("call", ...login1, "ListInhibitors");
    const path = process.env.PATH;
    process.env.PATH = `${machine.tools}:${path}`;
    const bed = await RealKubelet.start("10.249", {
      shutdownGracePeriodByPodPriority,
      logind: {
        systemDirectory: join(machine.root, "run/systemd/system"),
        configDirectory: join(machine.root, "etc/systemd/logind.conf.d"),
      },
    });
    try {
      await until("the lock is held", async () => (await locks()).includes('"kubelet"'));
      expect(await locks()).toContain('"shutdown" "kubelet" "Kubelet needs time to handle node shutdown" "delay" 0');
      expect(await logind("get-property", ...login1, "InhibitDelayMaxUSec")).toBe("t 40000000\n");
      const override = await readFile(join(machine.root, "etc/systemd/logind.conf.d/99-kubelet.conf"), "utf8");
      expect(override).toBe("# Kubelet logind override\n[Login]\nInhibitDelayMaxSec=40\n");

      // Each takes a while to end; the critical one may end only when the other has.
      const slow = "trap 'sleep 2; exit 0' TERM; echo up; sleep 3600 & wait";
      await bed.create("ordinary", [shell(slow)], { terminationGracePeriodSeconds: 20 });
      await bed.create("critical", [shell(slow)], { terminationGracePeriodSeconds: 20, priority: 1000 });
      for (const name of ["ordinary", "critical"]) await until(`${name} runs`, async () => (await bed.log(name)).includes("up"));

      await logind("call", ...login1, "PowerOff", "b", "false");
      await until("the node is not ready", async () => (await bed.condition("Ready")) === "False");
      const [node] = (await bed.client.list(nodes)).items;
      expect(node?.status?.conditions?.find((c) => c.type === "Ready")).toMatchObject({
        ...{ reason: "KubeletNotReady", message: "node is shutting down" },
      });
      // The machine waits, and nothing new is taken on.
      expect(await logind("get-property", ...login1, "PreparingForShutdown")).toBe("b true\n");
      await bed.create("late", [shell(slow)]);
      expect((await bed.untilPhase("late", "Failed")).status).toMatchObject({
        ...{ reason: "NodeShutdown", message: "Pod was rejected: Pod was rejected as the node is shutting down." },
      });

      const [ordinary, critical] = [await bed.untilPhase("ordinary", "Failed"), await bed.untilPhase("critical", "Failed")];
      for (const pod of [ordinary, critical]) {
        expect(pod.status).toMatchObject({
          ...{ reason: "Terminated", message: "Pod was terminated in response to imminent node shutdown." },
        });
        expect(pod.status?.conditions?.find((c) => c.type === "DisruptionTarget")).toMatchObject({ reason: "TerminationByKubelet" });
      }
      const [first, second] = [endOf(ordinary), endOf(critical)];
      expect(second - first).toBeGreaterThanOrEqual(2_000);

      // Once the lock is free the machine goes down, here in word only: logind then takes back its announcement.
      const off = await until("the machine goes down", () => stat(join(machine.root, "run/coracle-off")).catch(() => undefined));
      expect(off.mtimeMs).toBeGreaterThanOrEqual(second);
      await until("the node is ready again", async () => (await bed.condition("Ready")) === "True");
      await until("the lock is held again", async () => (await locks()).includes('"kubelet"'));
      const told = (await bed.client.list(events)).items.filter((e) => e.reason === "Shutdown").map((e) => e.message);
      expect(told).toEqual(["Shutdown manager detected shutdown event", "Shutdown manager detected shutdown cancellation"]);
    } finally {
      process.env.PATH = path;
      await bed.remove();
    }
    // With the kubelet its lock is gone.
    await until("the lock is free", async () => !(await locks()).includes('"kubelet"'));
  });
});

/** Milliseconds since 1970, to the second. */
const endOf = ({ status }: Pod): number => Date.parse(status?.containerStatuses?.[0]?.state?.terminated?.finishedAt ?? "");
