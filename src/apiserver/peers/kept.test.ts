import { expect, it } from "vitest";
import { namespaces } from "../../api/resources.generated.ts";
import { silentLogger } from "../../base/log.ts";
import { createApiFixture } from "../api-fixture.ts";
import { ensureSystemNamespaces } from "../bootstrap.ts";
import { Kept } from "./kept.ts";

it("brings a system namespace back that somebody has deleted, and nothing after it was stopped", async () => {
  const { client, clock, stop } = createApiFixture();
  const reconcile = (): Promise<void> => ensureSystemNamespaces(client);
  const kept = new Kept({ clock, logger: silentLogger, what: "A system namespace", periodMs: 60_000, reconcile });
  const names = async (): Promise<readonly string[]> => (await client.list(namespaces)).items.map(({ metadata }) => metadata.name);
  const remove = async (): Promise<void> => {
    await client.delete(namespaces, { name: "kube-node-lease" });
    const found = await client.get(namespaces, { name: "kube-node-lease" });
    await client.raw("PUT", "/api/v1/namespaces/kube-node-lease/finalize", { body: { ...found, spec: { finalizers: [] } } });
  };
  await kept.start();
  await remove();
  expect(await names()).not.toContain("kube-node-lease");
  await clock.advance(60_000);
  expect(await names()).toContain("kube-node-lease");
  await kept.stop();
  await remove();
  await clock.advance(120_000);
  expect(await names()).not.toContain("kube-node-lease");
  await stop();
});
