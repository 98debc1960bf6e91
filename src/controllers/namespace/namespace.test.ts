import { describe, expect, it } from "vitest";
import { configmaps, namespaces, pods, secrets } from "../../api/resources.generated.ts";
import type { Namespace } from "../../api/types/core-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { namespaceController } from "./namespace.ts";

async function started(): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(namespaceController);
  await fixture.client.create(namespaces, {
    metadata: { name: "shop" },
    spec: { finalizers: ["kubernetes"] },
    status: { phase: "Active" },
  });
  await fixture.settle();
  return fixture;
}

const names = async (f: ControllerFixture): Promise<readonly string[]> =>
  (await f.client.list(namespaces)).items.map((n) => n.metadata.name);
const get = (f: ControllerFixture): Promise<Namespace> => f.client.get(namespaces, { name: "shop" });
const said = (namespace: Namespace): readonly string[] =>
  (namespace.status?.conditions ?? []).map((c) => `${c.type}=${c.status} ${c.reason}: ${c.message}`);

describe("namespace-controller", () => {
  it("leaves a namespace alone that is not being deleted", async () => {
    await using fixture = await started();
    await fixture.clock.advance(60_000);
    expect(await names(fixture)).toEqual(["shop"]);
  });

  it("deletes everything in the namespace, then the namespace, and nothing else", async () => {
    await using fixture = await started();
    for (const namespace of ["shop", "other"]) {
      await fixture.client.create(configmaps, { metadata: { name: "a", namespace } });
      await fixture.client.create(secrets, { metadata: { name: "b", namespace } });
      await fixture.client.create(pods, { metadata: { name: "c", namespace }, spec: { containers: [] } });
    }
    await fixture.client.delete(namespaces, { name: "shop" });
    await fixture.settle();
    expect(await names(fixture)).toEqual([]);
    for (const type of [configmaps, secrets, pods]) {
      expect(
        (await fixture.client.list<{ apiVersion: string; kind: string; metadata: Namespace["metadata"] }>(type as never)).items.map(
          (o) => o.metadata.namespace,
        ),
      ).toEqual(["other"]);
    }
    expect(fixture.problems).toEqual([]);
  });

  it("says which finalizers it waits for, and goes on when they are gone", async () => {
    await using fixture = await started();
    await fixture.client.create(configmaps, { metadata: { name: "held", namespace: "shop", finalizers: ["example.com/hold"] } });
    await fixture.client.delete(namespaces, { name: "shop" });
    await fixture.settle();
    const waiting = await get(fixture);
    expect(waiting.status?.phase).toBe("Terminating");
    expect(said(waiting)).toEqual([
      "NamespaceDeletionDiscoveryFailure=False ResourcesDiscovered: All resources successfully discovered",
      "NamespaceDeletionGroupVersionParsingFailure=False ParsedGroupVersions: All legacy kube types successfully parsed",
      "NamespaceDeletionContentFailure=False ContentDeleted: All content successfully deleted, may be waiting on finalization",
      "NamespaceContentRemaining=True SomeResourcesRemain: Some resources are remaining: configmaps. has 1 resource instances",
      "NamespaceFinalizersRemaining=True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
    ]);
    await fixture.client.patch(configmaps, { namespace: "shop", name: "held" }, { metadata: { finalizers: [] } }, { type: "merge" });
    await fixture.clock.advance(10_000);
    expect(await names(fixture)).toEqual([]);
  });

  it("touches nothing else while pods end, and goes on at once when the last has", async () => {
    await using fixture = await started();
    await fixture.client.create(configmaps, { metadata: { name: "used", namespace: "shop" } });
    await fixture.client.create(pods, { metadata: { name: "p", namespace: "shop" }, spec: { containers: [], nodeName: "n1" } });
    await fixture.client.delete(namespaces, { name: "shop" });
    await fixture.settle();
    expect((await fixture.client.list(configmaps)).items).toHaveLength(1);
    expect(said(await get(fixture))[3]).toBe("NamespaceContentRemaining=False ContentRemoved: All content successfully removed");
    await fixture.client.delete(pods, { namespace: "shop", name: "p" }, { body: { gracePeriodSeconds: 0 } });
    await fixture.settle();
    expect(await names(fixture)).toEqual([]);
  });

  it("tells of pods that stay although they have ended", async () => {
    await using fixture = await started();
    const at = { namespace: "shop", name: "p" };
    await fixture.client.create(pods, { metadata: at, spec: { nodeName: "n", containers: [{ name: "c", image: "i" }] } });
    await fixture.client.delete(pods, at);
    await fixture.client.patch(pods, at, { status: { phase: "Succeeded" } }, { type: "merge", subresource: "status" });
    await fixture.client.delete(namespaces, { name: "shop" });
    await fixture.settle();
    expect(said(await get(fixture))[2]).toBe(
      "NamespaceDeletionContentFailure=True ContentDeletionFailed: Failed to delete all resource types, 1 remaining: unexpected items still remain in namespace: shop for gvr: /v1, Resource=pods",
    );
  });

  it("names what could not be deleted and keeps trying", async () => {
    await using fixture = await started();
    await fixture.client.create(secrets, { metadata: { name: "s", namespace: "shop" } });
    let isBroken = true;
    fixture.api.intercept = (request) => {
      if (isBroken && request.method === "DELETE" && request.path.includes("secrets")) throw new Error("storage is down");
    };
    await fixture.client.delete(namespaces, { name: "shop" });
    await fixture.settle();
    expect(said(await get(fixture))[2]).toMatch(
      /^NamespaceDeletionContentFailure=True ContentDeletionFailed: Failed to delete all resource types, 1 remaining: secrets: .*storage is down/,
    );
    isBroken = false;
    await fixture.clock.advance(60_000);
    expect(await names(fixture)).toEqual([]);
  });
});
