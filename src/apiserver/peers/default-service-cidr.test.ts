import { afterEach, beforeEach, expect, it } from "vitest";
import { servicecidrs } from "../../api/resources.generated.ts";
import type { ServiceCIDR } from "../../api/types/networking-v1.ts";
import { silentLogger } from "../../base/log.ts";
import { type ApiFixture, createApiFixture } from "../api-fixture.ts";
import { DefaultServiceCidr } from "./default-service-cidr.ts";

let cluster: ApiFixture;
let told: string[];
beforeEach(() => {
  cluster = createApiFixture();
  told = [];
});
afterEach(() => cluster.stop());

async function started(ranges: string): Promise<DefaultServiceCidr> {
  const { client, clock } = cluster;
  const recorder = {
    record: (_: unknown, { reason, message }: { reason: string; message: string }) => void told.push(`${reason}: ${message}`),
  };
  const controller = new DefaultServiceCidr({ client, clock, recorder, logger: silentLogger }, ranges);
  await controller.start();
  return controller;
}
const at = { name: "kubernetes" };
const found = (): Promise<ServiceCIDR> => cluster.client.get(servicecidrs, at);
const readiness = ({ status }: ServiceCIDR): readonly string[] => (status?.conditions ?? []).map(({ type, status }) => `${type}=${status}`);

it("is made, said to be ready, and made again where somebody has deleted it", async () => {
  const controller = await started("10.96.0.0/16");
  const first = await found();
  expect([first.spec?.cidrs, readiness(first)]).toEqual([["10.96.0.0/16"], ["Ready=True"]]);
  await cluster.client.delete(servicecidrs, at);
  await cluster.clock.advance(10_000);
  const second = await found();
  expect(second.metadata.uid).not.toBe(first.metadata.uid);
  expect(readiness(second)).toEqual(["Ready=True"]);
  await controller.stop();
});

it("gets the second range of a cluster that becomes dual-stack", async () => {
  await (await started("10.96.0.0/16")).stop();
  const controller = await started("10.96.0.0/16,fd96::/112");
  expect((await found()).spec?.cidrs).toEqual(["10.96.0.0/16", "fd96::/112"]);
  await controller.stop();
});

it("stays as it is where the flag is another, which is told once", async () => {
  await (await started("10.96.0.0/16")).stop();
  const controller = await started("10.97.0.0/16");
  await cluster.clock.advance(30_000);
  expect((await found()).spec?.cidrs).toEqual(["10.96.0.0/16"]);
  expect(told).toEqual([
    "KubernetesDefaultServiceCIDRInconsistent: The default ServiceCIDR [10.96.0.0/16] does not match the controller flag configurations [10.97.0.0/16]",
  ]);
  await controller.stop();
});
