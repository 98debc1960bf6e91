import { describe, expect, it } from "vitest";
import { leases } from "../api/resources.generated.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { createClient } from "./create-client.ts";
import { LeaderElector } from "./leader-election.ts";

function setUp() {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  const log: string[] = [];
  const candidate = (identity: string, through = client): LeaderElector =>
    new LeaderElector({
      client: through,
      clock,
      logger: silentLogger,
      name: "kube-controller-manager",
      identity,
      lead: async () => {
        log.push(`${identity} leads`);
        return { stop: async () => void log.push(`${identity} stops`) };
      },
      onLost: () => void log.push(`${identity} lost`),
    });
  const lease = () => client.get(leases, { namespace: "kube-system", name: "kube-controller-manager" });
  return { clock, api, client, log, candidate, lease };
}

describe("LeaderElector", () => {
  it("lets one candidate lead and renews its lease", async () => {
    const { clock, log, candidate, lease } = setUp();
    const [a, b] = [candidate("a"), candidate("b")];
    a.start();
    await clock.advance(100);
    b.start();
    await clock.advance(120_000);
    expect(log).toEqual(["a leads"]);
    expect([a.isLeader, b.isLeader, b.leader]).toEqual([true, false, "a"]);
    const { spec } = await lease();
    expect(spec).toMatchObject({
      holderIdentity: "a",
      leaseDurationSeconds: 15,
      leaseTransitions: 0,
      acquireTime: "2026-01-01T00:00:00.000000Z",
    });
    expect(Date.parse(spec.renewTime ?? "")).toBeGreaterThan(clock.now() - 3_000);
    const stopping = Promise.all([a.stop(), b.stop()]);
    await clock.advance(1_000);
    await stopping;
  });

  it("releases a lease that was renewed without its knowing", async () => {
    const { clock, client, candidate, lease } = setUp();
    const a = candidate("a");
    a.start();
    await clock.advance(100);
    // A renewal of a's whose answer got lost.
    const held = await lease();
    await client.update(leases, { ...held, spec: { ...held.spec, renewTime: "2026-01-01T00:00:00.100000Z" } });
    const stopping = a.stop();
    await clock.advance(1_000);
    await stopping;
    expect((await lease()).spec.holderIdentity).toBe("");
  });

  it("releases the lease when it stops, so that the next need not wait", async () => {
    const { clock, log, candidate, lease } = setUp();
    const [a, b] = [candidate("a"), candidate("b")];
    a.start();
    await clock.advance(100);
    b.start();
    await clock.advance(5_000);
    await a.stop();
    await clock.advance(3_000);
    expect(log).toEqual(["a leads", "a stops", "b leads"]);
    expect((await lease()).spec).toMatchObject({ holderIdentity: "b", leaseTransitions: 1 });
    await b.stop();
  });

  it("gives up when it could not renew for ten seconds, and another takes over after fifteen", async () => {
    const { clock, api, log, candidate } = setUp();
    const [a, b] = [candidate("a"), candidate("b")];
    a.start();
    await clock.advance(100);
    b.start();
    await clock.advance(5_000);
    let cutOff = true;
    api.intercept = (request) => {
      const isFromA = (request.body as { spec?: { holderIdentity?: string } } | undefined)?.spec?.holderIdentity === "a";
      if (cutOff && isFromA) throw new Error("unreachable");
    };
    await clock.advance(8_000);
    expect(log).toEqual(["a leads"]);
    await clock.advance(3_000);
    expect(log).toEqual(["a leads", "a stops", "a lost"]);
    await clock.advance(6_000);
    expect(log).toEqual(["a leads", "a stops", "a lost", "b leads"]);
    cutOff = false;
    await Promise.all([a.stop(), b.stop()]);
  });

  it("does not take a lease that is renewed, whatever the other's clock says", async () => {
    const { clock, client, log, candidate } = setUp();
    const spec = { holderIdentity: "far", leaseDurationSeconds: 15, renewTime: "2001-01-01T00:00:00.000000Z" };
    let lease = await client.create(leases, { metadata: { namespace: "kube-system", name: "kube-controller-manager" }, spec });
    const a = candidate("a");
    a.start();
    for (let i = 0; i < 10; i++) {
      await clock.advance(5_000);
      lease = await client.update(leases, { ...lease, spec: { ...spec, renewTime: `2001-01-01T00:00:0${i}.000000Z` } });
    }
    expect(log).toEqual([]);
    await clock.advance(20_000);
    expect(log).toEqual(["a leads"]);
    await a.stop();
  });

  it("refuses durations that cannot work", () => {
    const { client, clock } = setUp();
    const base = { client, clock, logger: silentLogger, name: "x", identity: "a", lead: async () => ({ stop: async () => undefined }) };
    expect(() => new LeaderElector({ ...base, leaseDurationMs: 10_000 })).toThrow("leaseDuration must be greater than renewDeadline");
    expect(() => new LeaderElector({ ...base, retryPeriodMs: 9_000 })).toThrow("renewDeadline must be greater than retryPeriod");
  });
});
