import { describe, expect, it } from "vitest";
import type { Lease, LeaseSpec } from "../../api/types/coordination-v1.ts";
import type { LeaseCandidate, LeaseCandidateSpec } from "../../api/types/coordination-v1beta1.ts";
import { formatMicroTime, formatTime } from "../../base/clock.ts";
import { decideElection, electedSpec, isCandidateExpired } from "./election.ts";

const nowMs = Date.UTC(2026, 0, 1);
const ago = (seconds: number): string => formatMicroTime(nowMs - seconds * 1000);
const minutes = (count: number): number => count * 60;

function candidate(name: string, spec: Partial<LeaseCandidateSpec> = {}, createdSecondsAgo = 60): LeaseCandidate {
  return {
    apiVersion: "coordination.k8s.io/v1beta1",
    kind: "LeaseCandidate",
    metadata: {
      name,
      namespace: "default",
      uid: name,
      resourceVersion: "1",
      creationTimestamp: formatTime(nowMs - createdSecondsAgo * 1000),
    },
    spec: {
      leaseName: "lease",
      strategy: "OldestEmulationVersion",
      binaryVersion: "1.36.0",
      emulationVersion: "1.36.0",
      renewTime: ago(1),
      ...spec,
    },
  };
}

function leaseOf(spec: LeaseSpec): Lease {
  const metadata = { name: "lease", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: formatTime(nowMs) };
  return { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec };
}

const heldBy = (holderIdentity: string, renewedSecondsAgo = 1): Lease =>
  leaseOf({ holderIdentity, leaseDurationSeconds: 5, renewTime: ago(renewedSecondsAgo), strategy: "OldestEmulationVersion" });
const decide = (candidates: readonly LeaseCandidate[], lease?: Lease) => decideElection({ lease, candidates, nowMs });
const holderOf = (...candidates: readonly LeaseCandidate[]): unknown => {
  const step = decide(candidates);
  return step.kind === "elect" ? step.holder : step;
};

describe("decideElection() chooses", () => {
  it("the lowest emulated version, compared as a version", () => {
    const [a, b] = [candidate("a", { emulationVersion: "1.10.0" }), candidate("b", { emulationVersion: "1.9.0" })];
    expect(holderOf(a, b)).toBe("b");
  });

  it("of equal ones the lowest binary version, then the oldest candidate", () => {
    const same = { emulationVersion: "1.35.0" };
    const [a, b] = [candidate("a", { ...same, binaryVersion: "1.36.0" }), candidate("b", { ...same, binaryVersion: "1.35.0" })];
    expect(holderOf(a, b)).toBe("b");
    expect(holderOf(candidate("young", {}, 10), candidate("old", {}, 20))).toBe("old");
  });

  it("nobody that did not answer within five seconds", () => {
    const silent = candidate("a", { emulationVersion: "1.30.0", renewTime: ago(20), pingTime: ago(6) });
    expect(holderOf(silent, candidate("b"))).toBe("b");
    expect(decide([silent])).toEqual({ kind: "undecided", reason: "no available candidates" });
  });

  it("nobody where the strategy is not its own, which that of the highest binary version decides", () => {
    const third = candidate("a", { strategy: "example.com/any", binaryVersion: "1.37.0" });
    expect(decide([candidate("b"), third])).toEqual({ kind: "elect", strategy: "example.com/any", holder: undefined });
  });

  it("no strategy where two of one version differ", () => {
    const differing = decide([candidate("a"), candidate("b", { strategy: "example.com/any" })]);
    expect(differing).toMatchObject({ kind: "undecided", reason: expect.stringContaining('candidates "a", "b" at same binary version') });
  });
});

describe("decideElection() asks", () => {
  it("those that have not renewed in the last five seconds, once", () => {
    const quiet = candidate("a", { renewTime: ago(20) });
    expect(decide([quiet, candidate("b")])).toEqual({ kind: "ask", candidates: [quiet] });
    const asked = candidate("a", { renewTime: ago(20), pingTime: ago(2) });
    expect(decide([asked, candidate("b")])).toEqual({ kind: "wait" });
  });

  it("all, while a leader holds the lease, when one has been quiet for a quarter of an hour", () => {
    const quiet = candidate("b", { renewTime: ago(minutes(15) + 1) });
    expect(decide([candidate("a"), quiet], heldBy("a"))).toEqual({ kind: "ask", candidates: [quiet] });
  });
});

describe("decideElection() is settled", () => {
  it("while the best candidate holds the lease, or there is none", () => {
    expect(decide([candidate("a"), candidate("b", {}, 10)], heldBy("a"))).toEqual({ kind: "settled" });
    expect(decide([])).toEqual({ kind: "settled" });
  });

  it("while somebody else's strategy decides about a lease that has a holder", () => {
    expect(decide([candidate("a", { strategy: "example.com/any" })], heldBy("x"))).toEqual({ kind: "settled" });
  });

  it("not when the lease has run out, has no holder, or a better one is there", () => {
    const elected = { kind: "elect", strategy: "OldestEmulationVersion", holder: "a" };
    expect(decide([candidate("a")], heldBy("a", 6))).toEqual(elected);
    expect(decide([candidate("a")], leaseOf({ leaseDurationSeconds: 5, renewTime: ago(1) }))).toEqual(elected);
    expect(decide([candidate("a"), candidate("b", { emulationVersion: "1.37.0" })], heldBy("b"))).toEqual(elected);
  });
});

describe("electedSpec()", () => {
  const elected = { strategy: "OldestEmulationVersion", holder: "a" };

  it("is new where there is no lease", () => {
    const spec = { strategy: "OldestEmulationVersion", leaseDurationSeconds: 5, renewTime: ago(0) };
    expect(electedSpec(undefined, elected, nowMs)).toEqual({ ...spec, holderIdentity: "a" });
    expect(electedSpec(undefined, { ...elected, holder: undefined }, nowMs)).toEqual(spec);
  });

  it("asks a holder that is there to let go, once", () => {
    const lease = heldBy("b");
    expect(electedSpec(lease, elected, nowMs)).toEqual({ ...lease.spec, preferredHolder: "a" });
    expect(electedSpec({ ...lease, spec: { ...lease.spec, preferredHolder: "a" } }, elected, nowMs)).toBeUndefined();
  });

  it("takes an expired lease from its holder, with all that was said of the former one", () => {
    const gone = leaseOf({ ...heldBy("b", 6).spec, preferredHolder: "c", acquireTime: ago(60), leaseTransitions: 2 });
    expect(electedSpec(gone, elected, nowMs)).toEqual({ ...heldBy("a", 0).spec, leaseTransitions: 2 });
  });

  it("gives a lease of somebody who knows no strategies its strategy, and leaves its holder", () => {
    const legacy = leaseOf({ holderIdentity: "a", leaseDurationSeconds: 5, renewTime: ago(1) });
    expect(electedSpec(legacy, elected, nowMs)).toEqual({ ...legacy.spec, strategy: "OldestEmulationVersion" });
    expect(electedSpec(heldBy("a"), elected, nowMs)).toBeUndefined();
  });
});

it("candidates expire half an hour after they have renewed, or where they never did", () => {
  expect(isCandidateExpired(candidate("a", { renewTime: ago(minutes(30) - 1) }), nowMs)).toBe(false);
  expect(isCandidateExpired(candidate("a", { renewTime: ago(minutes(30) + 1) }), nowMs)).toBe(true);
  const { renewTime: _, ...never } = candidate("a").spec;
  expect(isCandidateExpired({ ...candidate("a"), spec: never }, nowMs)).toBe(true);
});
