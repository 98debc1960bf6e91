import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { leasecandidatesV1beta1 as leaseCandidates } from "../../api/optional-resources.generated.ts";
import { leases, namespaces } from "../../api/resources.generated.ts";
import { optionalTables } from "../../api/schema/generated/optional.ts";
import { includeOptionalTypes } from "../../api/schema/schema.ts";
import { keepFieldsOf } from "../../api/semantics/gated-fields.ts";
import type { LeaseSpec } from "../../api/types/coordination-v1.ts";
import type { LeaseCandidateSpec } from "../../api/types/coordination-v1beta1.ts";
import { formatMicroTime } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { silentLogger } from "../../base/log.ts";
import { type ApiFixture, createApiFixture } from "../api-fixture.ts";
import { builtInDefinitions } from "../registry/definitions.ts";
import { describedResources } from "../registry/resources/all.ts";
import { optionalDefinitions } from "../registry/resources/optional.ts";
import { startCoordinatedElection } from "./coordinated-election.ts";

includeOptionalTypes(optionalTables);
keepFieldsOf("CoordinatedLeaderElection");

let cluster: ApiFixture;
let running: Running;
const settings = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
const start = (identity: string): Running => {
  const { stores, client, clock } = cluster;
  return startCoordinatedElection({ reader: stores.reader, client, clock, logger: silentLogger, identity }, settings);
};

beforeEach(async () => {
  const workloadGates = { constraints: false, claims: false, preemption: false };
  const optional = optionalDefinitions({ nowMs: () => 0, workloadGates });
  cluster = createApiFixture({ definitions: [...builtInDefinitions(describedResources), ...optional] });
  for (const name of ["kube-system", "default"]) await cluster.client.create(namespaces, { metadata: { name }, spec: {} });
  running = start("server-1");
  await cluster.clock.settle();
});
afterEach(async () => {
  await running.stop();
  await cluster.stop();
});

const at = (name: string) => ({ namespace: "default", name });
const now = (): string => formatMicroTime(cluster.clock.now());

async function nominate(name: string, version: string, changes: Partial<LeaseCandidateSpec> = {}): Promise<void> {
  const versions = { binaryVersion: version, emulationVersion: version };
  const spec = { leaseName: "lease", strategy: "OldestEmulationVersion", ...versions, renewTime: now(), ...changes };
  await cluster.client.create(leaseCandidates, { metadata: at(name), spec });
  await cluster.clock.settle();
}

async function leaseSpec(): Promise<LeaseSpec | undefined> {
  return (await cluster.client.get(leases, at("lease"))).spec;
}

async function renewLease(changes: Partial<LeaseSpec> = {}): Promise<void> {
  const lease = await cluster.client.get(leases, at("lease"));
  await cluster.client.update(leases, { ...lease, spec: { ...lease.spec, renewTime: now(), ...changes } });
  await cluster.clock.settle();
}

/** As a candidate that was asked does. */
async function answer(name: string): Promise<void> {
  const candidate = await cluster.client.get(leaseCandidates, at(name));
  expect(candidate.spec.pingTime).toBeDefined();
  await cluster.client.update(leaseCandidates, { ...candidate, spec: { ...candidate.spec, renewTime: now() } });
  await cluster.clock.settle();
}

describe("a lease is given", () => {
  it("to the candidate with the lowest emulated version", async () => {
    await nominate("a", "1.36.0");
    expect(await leaseSpec()).toEqual({
      holderIdentity: "a",
      leaseDurationSeconds: 5,
      renewTime: now(),
      strategy: "OldestEmulationVersion",
    });
    await nominate("b", "1.35.0");
    expect(await leaseSpec()).toMatchObject({ holderIdentity: "a", preferredHolder: "b" });
  });

  it("to those that answer, when its holder is gone", async () => {
    await nominate("a", "1.35.0");
    await nominate("b", "1.36.0");
    await renewLease();
    // Nobody renews the lease from now on.
    await cluster.clock.advance(10_100);
    await answer("b");
    await cluster.clock.advance(10_000);
    expect(await leaseSpec()).toMatchObject({ holderIdentity: "b" });
  });

  it("to nobody where the strategy is not known here", async () => {
    await nominate("a", "1.36.0", { strategy: "example.com/any" });
    expect(await leaseSpec()).toEqual({ leaseDurationSeconds: 5, renewTime: now(), strategy: "example.com/any" });
  });
});

it("one server at a time does so, and another takes over", async () => {
  const other = start("server-2");
  await cluster.clock.settle();
  await running.stop();
  await cluster.clock.advance(5_000);
  await nominate("a", "1.36.0");
  expect(await leaseSpec()).toMatchObject({ holderIdentity: "a" });
  const own = await cluster.client.get(leases, { namespace: "kube-system", name: "leader-election-controller" });
  expect(own.spec?.holderIdentity).toBe("server-2");
  await other.stop();
});

it("candidates that have not renewed for half an hour are removed, others stay", async () => {
  await running.stop();
  const longAgo = formatMicroTime(cluster.clock.now() - 31 * 60_000);
  await nominate("gone", "1.36.0", { renewTime: longAgo });
  await nominate("there", "1.36.0");
  running = start("server-2");
  await cluster.clock.advance(5_000);
  expect((await cluster.client.list(leaseCandidates)).items.map(({ metadata }) => metadata.name)).toEqual(["there"]);
});
