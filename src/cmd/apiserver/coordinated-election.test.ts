// The gate CoordinatedLeaderElection as a component sees it that puts itself forward for a lease.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { formatMicroTime, realClock } from "../../base/clock.ts";
import { ApiServerFixture, call, type Reply } from "./apiserver-fixture.ts";

let fixture: ApiServerFixture;
beforeEach(async () => {
  fixture = await ApiServerFixture.create();
});
afterEach(() => fixture[Symbol.asyncDispose]());

const gate = "--feature-gates=CoordinatedLeaderElection=true";

async function start(...args: string[]): Promise<(path: string, body?: unknown) => Promise<Reply>> {
  const tokens = await fixture.file("tokens", 'T,admin,admin,"system:masters"\n');
  const server = await fixture.start(`--token-auth-file=${tokens}`, ...args);
  return (path, body) => call(server, path, { token: "T", ...(body === undefined ? {} : { method: "POST", body }) });
}

const candidatesPath = "/apis/coordination.k8s.io/v1beta1/namespaces/default/leasecandidates";

it("a candidate gets its lease, and /readyz knows of the loop", async () => {
  const ask = await start("--runtime-config=coordination.k8s.io/v1beta1=true", gate);
  const created = await ask(candidatesPath, {
    apiVersion: "coordination.k8s.io/v1beta1",
    kind: "LeaseCandidate",
    metadata: { name: "a" },
    spec: {
      leaseName: "work",
      strategy: "OldestEmulationVersion",
      binaryVersion: "1.36.0",
      emulationVersion: "1.36.0",
      renewTime: formatMicroTime(realClock.now()),
    },
  });
  expect(created.status).toBe(201);
  await vi.waitFor(
    async () => {
      const lease = await ask("/apis/coordination.k8s.io/v1/namespaces/default/leases/work");
      expect(lease.status).toBe(200);
      expect(JSON.parse(lease.text).spec).toMatchObject({
        holderIdentity: "a",
        strategy: "OldestEmulationVersion",
        leaseDurationSeconds: 5,
      });
    },
    { timeout: 20_000, interval: 50 },
  );
  expect((await ask("/readyz?verbose")).text).toContain("[+]poststarthook/start-kube-apiserver-coordinated-leader-election-controller ok");
});

it("without the version that candidates have the server starts, and says that nobody is elected", async () => {
  const ask = await start(gate);
  expect((await ask(candidatesPath)).status).toBe(404);
  expect((await ask("/readyz")).text).toBe("ok");
});
