import { describe, expect, it } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { ClaimLocks } from "./claim-locks.ts";
import { claimCheckpointFormat, PreparedClaim } from "./claim-states.ts";
import { claimsOfContainer } from "./container-claims.ts";
import { DeviceHealths } from "./device-health.ts";
import type { DeviceHealth } from "./generated/dra-health-v1alpha1.ts";

describe("claimsOfContainer()", () => {
  const pod = {
    metadata: { name: "p", namespace: "d", uid: "u" },
    spec: {
      resourceClaims: [
        { name: "own", resourceClaimName: "shared" },
        { name: "made", resourceClaimTemplateName: "t" },
        { name: "none", resourceClaimTemplateName: "t" },
      ],
    },
    status: {
      resourceClaimStatuses: [{ name: "made", resourceClaimName: "p-made-1" }, { name: "none" }],
      extendedResourceClaimStatus: {
        resourceClaimName: "p-extended",
        requestMappings: [
          { containerName: "main", resourceName: "example.com/gpu", requestName: "container-0-request-0" },
          { containerName: "side", resourceName: "example.com/gpu", requestName: "container-1-request-0" },
        ],
      },
    },
  } as unknown as Pod; // what is looked at

  it("finds those that the container names, by request, and those behind its extended resources", () => {
    const resources = { claims: [{ name: "own", request: "r" }, { name: "made" }, { name: "none" }], requests: { "example.com/gpu": "1" } };
    expect(claimsOfContainer(pod, { name: "main", resources })).toEqual([
      { claimName: "shared", request: "r" },
      { claimName: "p-made-1", request: undefined },
      { claimName: "p-extended", request: "container-0-request-0" },
    ]);
    expect(claimsOfContainer(pod, { name: "side", resources: {} })).toEqual([]);
  });
});

describe("PreparedClaim", () => {
  it("keeps everything in its checkpoint, and refuses a damaged one", () => {
    const device = { PoolName: "n", DeviceName: "d", ShareID: null, RequestNames: ["r"], CDIDeviceIDs: ["x/y=d"] };
    const state = {
      ClaimUID: "u",
      ClaimName: "c",
      Namespace: "d",
      PodUIDs: { p: {} },
      DriverState: { "x.io": { Devices: [device] }, "y.io": { Devices: null } },
    };
    const text = claimCheckpointFormat.encode([new PreparedClaim(state).state]);
    expect(claimCheckpointFormat.decode(text)).toEqual([state]);
    expect(() => claimCheckpointFormat.decode(text.replace("x.io", "z.io"))).toThrow("corrupted");
    const claim = new PreparedClaim(state);
    expect(claim.devicesFor("r/sub").map(({ driver }) => driver)).toEqual(["x.io"]);
    expect(claim.devicesFor("other")).toEqual([]);
    expect(claim.devicesFor(undefined)).toHaveLength(1);
  });
});

describe("ClaimLocks", () => {
  it("lets one piece of work at a time have a claim, in order, also after a failure", async () => {
    const locks = new ClaimLocks();
    const log: string[] = [];
    let finish: () => void = () => undefined;
    const first = locks.with(["a", "b"], async () => {
      log.push("first");
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      throw new Error("failed");
    });
    const failure = expect(first).rejects.toThrow("failed");
    const second = locks.with(["b"], async () => void log.push("second"));
    await locks.with(["c"], async () => void log.push("other"));
    finish();
    await failure;
    await second;
    expect(log).toEqual(["first", "other", "second"]);
  });
});

describe("DeviceHealths", () => {
  const told = (deviceName: string, health: DeviceHealth["health"], more: Partial<DeviceHealth> = {}): DeviceHealth => ({
    device: { poolName: "n", deviceName },
    ...{ health, message: "", lastUpdatedTime: 0, healthCheckTimeoutSeconds: 0, ...more },
  });

  it("says what changed, and knows nothing that was not told again in time", async () => {
    const clock = new VirtualClock();
    const healths = new DeviceHealths(clock);
    expect(healths.of("x.io", "n", "d1")).toEqual({ health: "Unknown" });
    expect([...healths.told("x.io", [told("d1", "UNHEALTHY", { message: "hot" }), told("d2", "HEALTHY")])]).toEqual(["n/d1", "n/d2"]);
    expect([...healths.told("x.io", [told("d1", "UNHEALTHY", { message: "hot" }), told("d2", "HEALTHY")])]).toEqual([]);
    expect(healths.of("x.io", "n", "d1")).toEqual({ health: "Unhealthy", message: "hot" });
    await clock.advance(31_000);
    expect(healths.of("x.io", "n", "d1")).toEqual({ health: "Unknown" });
    expect([...healths.told("x.io", [told("d2", "HEALTHY", { healthCheckTimeoutSeconds: 60 })])].sort()).toEqual(["n/d1", "n/d2"]);
    await clock.advance(31_000);
    expect(healths.of("x.io", "n", "d2")).toEqual({ health: "Healthy" });
    const restored = new DeviceHealths(clock);
    restored.restore(JSON.parse(JSON.stringify(healths.states)));
    expect(restored.of("x.io", "n", "d2")).toEqual({ health: "Healthy" });
    expect([restored.forget("x.io"), restored.forget("x.io")]).toEqual([true, false]);
  });

  it("shortens what is too long", () => {
    const healths = new DeviceHealths(new VirtualClock());
    healths.told("x.io", [told("d1", "HEALTHY", { message: "x".repeat(2000) })]);
    expect(healths.of("x.io", "n", "d1").message).toBe(`${"x".repeat(1021)}...`);
  });
});
