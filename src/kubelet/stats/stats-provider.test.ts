import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { MachineReader } from "./machine.ts";
import { createStatsProvider, type KubeletStats } from "./stats-provider.ts";

/** A machine without pods that uses two cores all the time; `looks` counts how often it was measured. */
function busyMachine(): { readonly clock: VirtualClock; readonly stats: KubeletStats; looks(): number } {
  const clock = new VirtualClock();
  const startMs = clock.now();
  let looks = 0;
  const nothing = async (): Promise<undefined> => undefined;
  const memory = { memoryTotalBytes: 1, memoryBytes: 1, workingSetBytes: 1, rssBytes: 1, swapTotalBytes: 0, swapFreeBytes: 0 };
  const machine = {
    usage: async () => {
      looks++;
      return { ...memory, cpuNanoseconds: (clock.now() - startMs) * 2e6, pageFaults: 0, majorPageFaults: 0 };
    },
    network: async () => ({ interfaces: [] }),
    ...{ bootTimeMs: nothing, podsUsage: nothing, kubeletUsage: nothing, runtimeUsage: nothing },
  } as unknown as MachineReader; // no pods: nothing else is asked for
  const deps = { cri: {} as CriRuntime, clock, logger: silentLogger, pods: () => [], volumes: () => undefined, machine };
  return { clock, stats: createStatsProvider(deps, { nodeName: "n", rootDirectory: "/", memoryBytes: 1 }), looks: () => looks };
}

describe("rates of CPU", () => {
  test("are there with the first answer, and again when nobody has asked for long", async () => {
    const { clock, stats, looks } = busyMachine();
    const rate = async (): Promise<number | undefined> => {
      const asked = stats.usage({ maxAgeMs: 0 });
      await clock.advance(2_000);
      return (await asked).node.cpu?.nanoCores;
    };
    expect(await rate()).toBe(2e9);
    expect(looks()).toBe(2);
    expect(await rate()).toBe(2e9);
    expect(looks()).toBe(3);
    await clock.advance(600_000);
    expect(await rate()).toBe(2e9);
    expect(looks()).toBe(5);
  });
});
