// Quotas hold whatever comes between charge, storing, the controller's count and the caches, all of which lag: two servers
// charge the same quotas, requests fail after the charge, objects go, and the controller counts what it sees.
import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { configmaps, resourcequotas } from "../../api/resources.generated.ts";
import type { ConfigMap, ResourceQuota } from "../../api/types/core-v1.ts";
import { createLogger } from "../../base/log.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { resourceQuotaController } from "../../controllers/resource-quota/resource-quota.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { admissionRequest, runPlugin } from "./request-fixture.ts";
import { createResourceQuota } from "./resource-quota.ts";

const namespaces = ["a", "b"];
const limit = 3;

/** A small generator of numbers below 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed * 2_654_435_761 + 1;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

/** An API server's plugin over caches of its own. */
function createServer(f: ControllerFixture): AdmissionPlugin {
  const logger = createLogger("test", { write: () => undefined });
  const informers = createInformerFactory(f.client, { clock: f.clock, logger });
  informers.informer(resourcequotas).start();
  return createResourceQuota({ reader: informers, client: f.client, clock: f.clock });
}

/** Creates as a server does: admission, then some time, then the storage, which may refuse. */
async function create(f: ControllerFixture, server: AdmissionPlugin, name: string, random: () => number): Promise<void> {
  const namespace = namespaces[Math.floor(random() * namespaces.length)] ?? "a";
  const [waitMs, isRefused] = [random() * 400, random() < 0.2];
  const object = { metadata: { namespace, name } } as ConfigMap;
  try {
    await runPlugin(server, admissionRequest(configmaps, object));
    await f.clock.sleep(waitMs);
    if (!isRefused) await f.client.create(configmaps, object as New<ConfigMap>);
  } catch (error) {
    if (!isStatus(error, "Forbidden", "Conflict")) throw error;
  }
}

const countOf = async (f: ControllerFixture, namespace: string) => (await f.client.list(configmaps, { namespace })).items.length;
const usedOf = async (f: ControllerFixture, namespace: string, name: string) =>
  (await f.client.get(resourcequotas, { namespace, name })).status?.used?.configmaps;

async function play(seed: number): Promise<void> {
  const random = randomFrom(seed);
  const f = createControllerFixture();
  await using _ = f;
  f.api.watchDelayMs = () => (random() < 0.5 ? 0 : random() * 900);
  f.start(resourceQuotaController);
  for (const namespace of namespaces)
    for (const name of ["one", "two"]) {
      const spec = { hard: { configmaps: String(limit) } };
      await f.client.create(resourcequotas, { metadata: { namespace, name }, spec } as New<ResourceQuota>);
    }
  const servers = [createServer(f), createServer(f)];
  await f.clock.advance(5_000);
  const running: Promise<void>[] = [];
  for (let step = 0; step < 60; step++) {
    const server = servers[Math.floor(random() * servers.length)];
    if (server && random() < 0.7) running.push(create(f, server, `c${step}`, random));
    else {
      const [first] = (await f.client.list(configmaps, { namespace: namespaces[step % 2] ?? "a" })).items;
      if (first) await f.client.delete(configmaps, { namespace: first.metadata.namespace ?? "", name: first.metadata.name });
    }
    await f.clock.advance(random() * 500);
    for (const namespace of namespaces) expect(await countOf(f, namespace), `seed ${seed}, step ${step}`).toBeLessThanOrEqual(limit);
  }
  await f.clock.advance(30_000);
  await Promise.all(running);
  for (const namespace of namespaces) {
    const count = await countOf(f, namespace);
    for (const name of ["one", "two"]) expect(await usedOf(f, namespace, name), `seed ${seed}`).toBe(String(count));
  }
}

describe("quotas under concurrency", () => {
  it.each(Array.from({ length: 40 }, (_, i) => i + 1))("never let more in than they allow, and give back what is not used (%i)", play);
});
