import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { InFlight } from "./in-flight.ts";

describe("InFlight", () => {
  it("tells the most requests of the last second, of each kind", async () => {
    const clock = new VirtualClock();
    const registry = new MetricsRegistry();
    const inFlight = new InFlight();
    inFlight.register(registry, clock);
    const shown = (name: string, kind: string): string | undefined =>
      new RegExp(`^apiserver_current_${name}_requests\\{request_kind="${kind}"\\} (\\d+)$`, "m").exec(registry.text())?.[1];
    inFlight.executing("list", 1, clock.monotonic());
    inFlight.executing("get", 1, clock.monotonic());
    inFlight.executing("get", -1, clock.monotonic());
    inFlight.waiting("create", 1, clock.monotonic());
    expect([shown("inflight", "readOnly"), shown("inflight", "mutating")]).toEqual(["2", "0"]);
    expect(shown("inqueue", "mutating")).toBe("1");
    await clock.advance(1000);
    expect(shown("inflight", "readOnly")).toBe("2");
    await clock.advance(1000);
    expect(shown("inflight", "readOnly")).toBe("1");
    await clock.advance(10_000);
    inFlight.executing("list", -1, clock.monotonic());
    await clock.advance(2000);
    expect(shown("inflight", "readOnly")).toBe("0");
  });
});
