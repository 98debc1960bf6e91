import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { pods, resourceclaims, resourceclaimtemplates } from "../../api/resources.generated.ts";
import type { Pod, PodSpec } from "../../api/types/core-v1.ts";
import type { ResourceClaim, ResourceClaimStatus } from "../../api/types/resource-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { claimNameBase, resourceClaimController } from "./resource-claim.ts";

const devices = { requests: [{ name: "r", exactly: { deviceClassName: "c" } }] };
const fromTemplate = { name: "gpu", resourceClaimTemplateName: "t" };
const protection = ["resource.kubernetes.io/delete-protection"];

const makeTemplate = ({ client }: ControllerFixture) =>
  client.create(resourceclaimtemplates, {
    metadata: { namespace: "d", name: "t" },
    spec: { metadata: { labels: { l: "1" }, annotations: { a: "1" } }, spec: { devices } },
  });

const makePod = ({ client }: ControllerFixture, spec: Partial<PodSpec> = {}): Promise<Pod> =>
  client.create(pods, {
    metadata: { namespace: "d", name: "p" },
    spec: { containers: [{ name: "c" }], resourceClaims: [fromTemplate], ...spec },
  });

async function makeClaim({ client }: ControllerFixture, status: ResourceClaimStatus, more: Partial<New<ResourceClaim>["metadata"]> = {}) {
  const claim = await client.create(resourceclaims, { metadata: { namespace: "d", name: "x", ...more }, spec: { devices } });
  return client.updateStatus(resourceclaims, { ...claim, status });
}

const claimsOf = async ({ client }: ControllerFixture) => (await client.list(resourceclaims)).items;
const podOf = ({ client }: ControllerFixture) => client.get(pods, { namespace: "d", name: "p" });

describe("claimNameBase()", () => {
  it("cuts pod and claim in proportion", () => {
    expect(claimNameBase("web", "gpu")).toBe("web-gpu-");
    const cut = claimNameBase("p".repeat(60), "c".repeat(20));
    expect(cut).toBe(`${"p".repeat(41)}-${"c".repeat(13)}`);
  });
});

describe("resourceClaimController", () => {
  it("makes a claim from its template and notes its name", async () => {
    await using fixture = createControllerFixture();
    await makeTemplate(fixture);
    fixture.start(resourceClaimController);
    const pod = await makePod(fixture);
    await fixture.settle();
    const [claim] = await claimsOf(fixture);
    expect(claim?.metadata).toMatchObject({
      generateName: "p-gpu-",
      labels: { l: "1" },
      annotations: { a: "1", "resource.kubernetes.io/pod-claim-name": "gpu" },
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: pod.metadata.uid, controller: true }],
    });
    expect((await podOf(fixture)).status?.resourceClaimStatuses).toEqual([{ name: "gpu", resourceClaimName: claim?.metadata.name }]);
  });

  it("makes one claim only, though the status cannot be written and the cache lags", async () => {
    await using fixture = createControllerFixture();
    await makeTemplate(fixture);
    fixture.api.watchDelayMs = (path) => (path.endsWith("/resourceclaims") ? 2_000 : 0);
    let failures = 3;
    fixture.api.intercept = ({ method, path }) => {
      if (method === "PATCH" && path.endsWith("/status") && failures-- > 0) throw new StatusError({ code: 500, message: "not now" });
    };
    fixture.start(resourceClaimController);
    await makePod(fixture);
    await fixture.clock.advance(10_000);
    expect(await claimsOf(fixture)).toHaveLength(1);
    expect((await podOf(fixture)).status?.resourceClaimStatuses).toHaveLength(1);
  });

  it("says that there is no template, and goes on when there is one", async () => {
    await using fixture = createControllerFixture();
    fixture.start(resourceClaimController);
    await makePod(fixture);
    await fixture.settle();
    expect((await fixture.eventsOf("p"))[0]).toMatch(
      /^FailedResourceClaimCreation: PodResourceClaim gpu: resource claim template "t": resourceclaimtemplate.resource.k8s.io "t" not found/,
    );
    await makeTemplate(fixture);
    await fixture.clock.advance(1_000);
    expect(await claimsOf(fixture)).toHaveLength(1);
  });

  it("reserves an allocated claim for a pod that was put on a node by hand", async () => {
    await using fixture = createControllerFixture();
    fixture.start(resourceClaimController);
    await makeClaim(fixture, { allocation: { devices: {} } });
    const pod = await makePod(fixture, { nodeName: "n", resourceClaims: [{ name: "gpu", resourceClaimName: "x" }] });
    await fixture.settle();
    const [claim] = await claimsOf(fixture);
    expect(claim?.status?.reservedFor).toEqual([{ resource: "pods", name: "p", uid: pod.metadata.uid }]);
  });

  it("gives a claim back when its last pod is done, and keeps consumers it does not know", async () => {
    await using fixture = createControllerFixture();
    fixture.start(resourceClaimController);
    const pod = await makePod(fixture, { nodeName: "n", resourceClaims: [{ name: "gpu", resourceClaimName: "x" }] });
    const reservedFor = [{ resource: "pods", name: "p", uid: pod.metadata.uid }];
    await makeClaim(fixture, { allocation: { devices: {} }, reservedFor }, { finalizers: protection });
    const other = { apiGroup: "x.io", resource: "things", name: "t", uid: "u" };
    await makeClaim(
      fixture,
      { allocation: { devices: {} }, reservedFor: [...reservedFor, other] },
      { name: "shared", finalizers: protection },
    );
    await fixture.settle();
    await fixture.client.updateStatus(pods, { ...(await podOf(fixture)), status: { phase: "Succeeded" } });
    await fixture.settle();
    const [shared, own] = [...(await claimsOf(fixture))].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    expect(own).toMatchObject({ metadata: { finalizers: [] }, status: { reservedFor: [] } });
    expect(own?.status?.allocation).toBeUndefined();
    // Nothing told of the shared one, so it is looked at when it changes next.
    await fixture.client.patch(
      resourceclaims,
      { namespace: "d", name: "shared" },
      { metadata: { labels: { touched: "1" } } },
      { type: "merge" },
    );
    await fixture.settle();
    expect(shared?.metadata.name).toBe("shared");
    expect((await fixture.client.get(resourceclaims, { namespace: "d", name: "shared" })).status).toMatchObject({
      allocation: {},
      reservedFor: [other],
    });
  });

  it("frees the claim of a pod that is gone, asking the server about pods it has never seen", async () => {
    await using fixture = createControllerFixture();
    fixture.start(resourceClaimController);
    const reservedFor = [{ resource: "pods", name: "gone", uid: "old" }];
    await makeClaim(fixture, { allocation: { devices: {} }, reservedFor }, { finalizers: protection });
    await fixture.settle();
    const [claim] = await claimsOf(fixture);
    expect(claim?.status?.reservedFor).toEqual([]);
    await fixture.client.delete(resourceclaims, { namespace: "d", name: "x" });
    await fixture.settle();
    expect(await claimsOf(fixture)).toEqual([]);
  });

  it("deletes the claim that was made for a pod which is done", async () => {
    await using fixture = createControllerFixture();
    await makeTemplate(fixture);
    fixture.start(resourceClaimController);
    await makePod(fixture);
    await fixture.settle();
    expect(await claimsOf(fixture)).toHaveLength(1);
    const pod = await podOf(fixture);
    await fixture.client.updateStatus(pods, { ...pod, status: { ...pod.status, phase: "Failed" } });
    await fixture.settle();
    expect(await claimsOf(fixture)).toEqual([]);
  });
});
