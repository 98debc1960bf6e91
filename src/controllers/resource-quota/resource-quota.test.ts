import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { configmaps, deployments, pods, resourcequotas } from "../../api/resources.generated.ts";
import type { Deployment } from "../../api/types/apps-v1.ts";
import type { ResourceQuota, ResourceQuotaSpec } from "../../api/types/core-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { resourceQuotaController } from "./resource-quota.ts";

const at = { namespace: "default", name: "q" };

async function started(spec: ResourceQuotaSpec): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(resourceQuotaController);
  await fixture.client.create(resourcequotas, { metadata: at, spec } as New<ResourceQuota>);
  await fixture.settle();
  return fixture;
}

const addPod = (f: ControllerFixture, name: string, cpu?: string) =>
  f.client.create(pods, {
    metadata: { namespace: "default", name },
    spec: { containers: [{ name: "c", ...(cpu ? { resources: { requests: { cpu } } } : {}) }] },
  });

const statusOf = async (f: ControllerFixture) => (await f.client.get(resourcequotas, at)).status;

describe("resourcequota-controller", () => {
  it("takes limits over and counts what there is", async () => {
    const f = createControllerFixture();
    await using _ = f;
    await addPod(f, "p1", "500m");
    await addPod(f, "p2", "1");
    await f.client.create(configmaps, { metadata: { namespace: "default", name: "c" } });
    await f.client.create(configmaps, { metadata: { namespace: "other", name: "c" } });
    await f.client.create(deployments, { metadata: { namespace: "default", name: "d" }, spec: {} } as New<Deployment>);
    f.start(resourceQuotaController);
    const hard = {
      pods: "10",
      "requests.cpu": "4",
      configmaps: "5",
      "count/deployments.apps": "3",
      "limits.memory": "1Gi",
      "count/x.y": "1",
    };
    await f.client.create(resourcequotas, { metadata: at, spec: { hard } } as New<ResourceQuota>);
    await f.settle();
    const used = { pods: "2", "requests.cpu": "1500m", configmaps: "1", "count/deployments.apps": "1", "limits.memory": "0" };
    expect(await statusOf(f)).toEqual({ hard, used });
    expect(f.problems).toEqual([]);
  });

  it("gives back what has gone, or has ended", async () => {
    await using f = await started({ hard: { pods: "10", "count/pods": "10", cpu: "4" } });
    await addPod(f, "p1", "1");
    await addPod(f, "p2", "1");
    await addPod(f, "p3", "1");
    await f.clock.advance(6_000);
    expect((await statusOf(f))?.used).toEqual({ pods: "3", "count/pods": "3", cpu: "3" });
    await f.client.delete(pods, { namespace: "default", name: "p1" });
    const status = { phase: "Succeeded" };
    await f.client.patch(pods, { namespace: "default", name: "p2" }, { status }, { type: "merge", subresource: "status" });
    await f.clock.advance(500);
    expect((await statusOf(f))?.used).toEqual({ pods: "1", "count/pods": "2", cpu: "1" });
  });

  it("counts only what is in its scope", async () => {
    await using f = await started({ hard: { pods: "10" }, scopes: ["BestEffort"] });
    await addPod(f, "best-effort");
    await addPod(f, "burstable", "1");
    await f.clock.advance(6_000);
    expect((await statusOf(f))?.used).toEqual({ pods: "1" });
  });

  it("follows a change of its limits", async () => {
    await using f = await started({ hard: { pods: "1" } });
    await f.client.patch(resourcequotas, at, { spec: { hard: { pods: null, configmaps: "2" } } }, { type: "merge" });
    await f.settle();
    expect(await statusOf(f)).toEqual({ hard: { configmaps: "2" }, used: { configmaps: "0" } });
  });

  it("corrects a wrong count within minutes", async () => {
    await using f = await started({ hard: { pods: "1" } });
    const quota = await f.client.get(resourcequotas, at);
    const byHand = { hard: { pods: "1", configmaps: "4" }, used: { pods: "7" } };
    await f.client.updateStatus(resourcequotas, { ...quota, status: byHand });
    await f.settle();
    expect(await statusOf(f)).toEqual(byHand);
    await f.clock.advance(5 * 60_000);
    await f.settle();
    expect(await statusOf(f)).toEqual({ hard: { pods: "1" }, used: { pods: "0" } });
  });
});
