import { afterEach, beforeEach, expect, it } from "vitest";
import { leases, namespaces } from "../../api/resources.generated.ts";
import { formatMicroTime } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { type ApiFixture, createApiFixture } from "../api-fixture.ts";
import { apiServerIdentity, keepIdentityLease } from "./identity-lease.ts";

let cluster: ApiFixture;
beforeEach(async () => {
  cluster = createApiFixture();
  await cluster.client.create(namespaces, { metadata: { name: "kube-system" }, spec: {} });
});
afterEach(() => cluster.stop());

const start = () =>
  keepIdentityLease(
    { client: cluster.client, clock: cluster.clock, logger: silentLogger },
    { hostname: "host-1", peerAddress: "192.0.2.9:6443" },
  );
const labels = { "apiserver.kubernetes.io/identity": "kube-apiserver" };

it("is named by the host, as upstream names it", () => {
  // sha256 of 0006 "host-1" 000e "kube-apiserver", its first 16 bytes in base32.
  expect(apiServerIdentity("host-1")).toBe("apiserver-fl6obw4ijfryx25ur4ugqryswq");
});

it("is made at start and renewed every ten seconds", async () => {
  const running = start();
  await cluster.clock.settle();
  const at = { namespace: "kube-system", name: apiServerIdentity("host-1") };
  const first = await cluster.client.get(leases, at);
  expect(first.metadata.labels).toEqual({ ...labels, "kubernetes.io/hostname": "host-1" });
  expect(first.spec).toMatchObject({ leaseDurationSeconds: 3600, renewTime: formatMicroTime(cluster.clock.now()) });
  await cluster.clock.advance(10_000);
  const second = await cluster.client.get(leases, at);
  expect(second.spec?.holderIdentity).toBe(first.spec?.holderIdentity);
  expect(second.spec?.renewTime).toBe(formatMicroTime(cluster.clock.now()));
  await running.stop();
});

it("goes when the server is stopped, and is not missed where somebody has deleted it", async () => {
  const running = start();
  await cluster.clock.settle();
  await running.stop();
  expect((await cluster.client.list(leases)).items).toEqual([]);
  await running.stop();
  const another = start();
  await cluster.clock.settle();
  await cluster.client.delete(leases, { namespace: "kube-system", name: apiServerIdentity("host-1") });
  await another.stop();
});

it("of a server that is gone disappears within an hour after it has run out; others' leases stay", async () => {
  const renewTime = formatMicroTime(cluster.clock.now());
  const spec = { holderIdentity: "gone", leaseDurationSeconds: 3600, renewTime };
  await cluster.client.create(leases, { metadata: { namespace: "kube-system", name: "apiserver-gone", labels }, spec });
  await cluster.client.create(leases, { metadata: { namespace: "kube-system", name: "somebody" }, spec });
  const running = start();
  const names = async (): Promise<string[]> => (await cluster.client.list(leases)).items.map(({ metadata }) => metadata.name).sort();
  await cluster.clock.advance(3_600_000);
  expect(await names()).toContain("apiserver-gone");
  await cluster.clock.advance(3_600_000);
  expect(await names()).toEqual([apiServerIdentity("host-1"), "somebody"].sort());
  await running.stop();
});
