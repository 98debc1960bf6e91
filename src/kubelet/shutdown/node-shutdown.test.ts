import { describe, expect, it } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { NodeShutdown } from "./node-shutdown.ts";
import type { ShutdownPeriod } from "./shutdown-groups.ts";

const podOf = (name: string, priority: number): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "d", uid: name } as Pod["metadata"],
  spec: { containers: [], priority, terminationGracePeriodSeconds: 30 },
});

/** `endsAfterMs`: how long each pod takes to end; `unmountsAfterMs`: and its volumes after that. */
function setUp(periods: readonly ShutdownPeriod[], pods: readonly Pod[], endsAfterMs = 0, unmountsAfterMs = 0) {
  const clock = new VirtualClock(0);
  const lines: string[] = [];
  const gone = new Set<string>();
  const say = (text: string): void => void lines.push(`${clock.now()} ${text}`);
  const shutdown = new NodeShutdown(
    {
      ...{ clock, logger: silentLogger, nodeName: "n1", pods: () => pods },
      recorder: { record: (_about, { reason, message }) => say(`${reason}: ${message}`) },
      metrics: { shutdownStarted: { set: (v) => say(`started ${v}`) }, shutdownEnded: { set: (v) => say(`ended ${v}`) } },
      end: async (uid, { reason }, graceSeconds) => {
        say(`${uid} ${reason} within ${graceSeconds}`);
        await clock.sleep(endsAfterMs);
        clock.after(unmountsAfterMs, () => gone.add(uid));
      },
      isCleanedUp: (uid) => gone.has(uid),
      onChange: () => say(shutdown.problem() ?? "ready"),
    },
    periods,
  );
  return { clock, lines, shutdown };
}

const periods = [
  { priority: 0, shutdownGracePeriodSeconds: 10 },
  { priority: 1000, shutdownGracePeriodSeconds: 5 },
];

describe("NodeShutdown", () => {
  it("goes on to the next group when the pods of one have ended and their volumes are unmounted", async () => {
    const { clock, lines, shutdown } = setUp(periods, [podOf("high", 1000), podOf("low", 0)], 2_000, 1_000);
    const done = shutdown.begin();
    expect(shutdown.begin()).toBe(done);
    await clock.advance(20_000);
    await done;
    expect(lines).toEqual([
      "0 Shutdown: Shutdown manager detected shutdown event",
      "0 started 0",
      "0 ended 0",
      "0 low Terminated within 10",
      "0 node is shutting down",
      "3000 high Terminated within 5",
      "6000 ended 6",
    ]);
  });

  it("leaves a group behind when its time is over", async () => {
    const { clock, lines, shutdown } = setUp(periods, [podOf("high", 1000), podOf("low", 0)], 60_000);
    const done = shutdown.begin();
    await clock.advance(20_000);
    await done;
    expect(lines.slice(-2)).toEqual(["10000 high Terminated within 5", "15000 ended 15"]);
  });

  it("is over when it is called off, and may begin again", async () => {
    const { clock, lines, shutdown } = setUp(periods, []);
    shutdown.cancel();
    expect(lines).toEqual([]);
    await shutdown.begin();
    shutdown.cancel();
    expect(shutdown.problem()).toBeUndefined();
    expect(lines.slice(-2)).toEqual(["0 Shutdown: Shutdown manager detected shutdown cancellation", "0 ready"]);
    await clock.advance(1_000);
    await shutdown.begin();
    expect(shutdown.problem()).toBe("node is shutting down");
  });

  it("stops waiting when the kubelet stops", async () => {
    const { clock, shutdown } = setUp(periods, [podOf("low", 0)], 60_000);
    const abort = new AbortController();
    const done = shutdown.begin(abort.signal);
    await clock.advance(1_000);
    abort.abort(new Error("stopped"));
    await expect(done).rejects.toThrow("stopped");
  });

  it("does nothing without periods", async () => {
    const { lines, shutdown } = setUp([], [podOf("a", 0)]);
    await shutdown.begin();
    expect([lines, shutdown.enabled, shutdown.problem()]).toEqual([[], false, undefined]);
  });
});
