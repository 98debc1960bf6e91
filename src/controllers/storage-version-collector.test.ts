import { describe, expect, it } from "vitest";
import type { New } from "../api/meta/object.ts";
import { forbidden } from "../api/meta/status-error.ts";
import { storageversionsV1alpha1 } from "../api/optional-resources.generated.ts";
import { leases } from "../api/resources.generated.ts";
import type { StorageVersion } from "../api/types/apiserverinternal-v1alpha1.ts";
import type { Lease } from "../api/types/coordination-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { storageVersionCollector } from "./storage-version-collector.ts";

const namespace = "kube-system";

const identity = (name: string, labels = { "apiserver.kubernetes.io/identity": "kube-apiserver" }): New<Lease> => ({
  metadata: { namespace, name, labels },
  spec: {},
});

const said = (apiServerID: string, encodingVersion: string) => ({ apiServerID, encodingVersion, decodableVersions: [encodingVersion] });

/** Storage versions of `apps.deployments`, which servers a and b have told of. */
async function started(): Promise<ControllerFixture> {
  const fixture = createControllerFixture({}, [storageversionsV1alpha1]);
  for (const name of ["a", "b"]) await fixture.client.create(leases, identity(name));
  await fixture.client.create(storageversionsV1alpha1, {
    metadata: { name: "apps.deployments" },
    spec: {},
    status: { storageVersions: [said("a", "apps/v1"), said("b", "apps/v2")] },
  } as New<StorageVersion>);
  fixture.start(storageVersionCollector);
  await fixture.settle();
  return fixture;
}

const version = ({ client }: ControllerFixture) => client.get(storageversionsV1alpha1, { name: "apps.deployments" });

describe("storageversion-garbage-collector-controller", () => {
  it("forgets what servers have said that are gone, and then the object", async () => {
    await using fixture = await started();
    expect((await version(fixture)).status?.storageVersions).toHaveLength(2);
    await fixture.client.delete(leases, { namespace, name: "b" });
    await fixture.settle();
    expect((await version(fixture)).status).toMatchObject({
      commonEncodingVersion: "apps/v1",
      storageVersions: [{ apiServerID: "a" }],
      conditions: [{ type: "AllEncodingVersionsEqual", status: "True", reason: "CommonEncodingVersionSet" }],
    });
    await fixture.client.delete(leases, { namespace, name: "a" });
    await fixture.settle();
    await expect(version(fixture)).rejects.toThrow("not found");
    expect(fixture.problems).toEqual([]);
  });

  it("does not believe in servers whose lease is another's", async () => {
    await using fixture = await started();
    await fixture.client.create(leases, identity("c", { "apiserver.kubernetes.io/identity": "other" }));
    const current = await version(fixture);
    const storageVersions = [...(current.status?.storageVersions ?? []), said("c", "apps/v3")];
    await fixture.client.updateStatus(storageversionsV1alpha1, { ...current, status: { ...current.status, storageVersions } });
    await fixture.settle();
    const { status } = await version(fixture);
    expect(status?.storageVersions?.map((each) => each.apiServerID)).toEqual(["a", "b"]);
    expect(status?.conditions?.[0]).toMatchObject({ status: "False", reason: "CommonEncodingVersionUnset" });
  });

  it("begins later where it may not read them yet", async () => {
    await using fixture = createControllerFixture({}, [storageversionsV1alpha1]);
    let mayRead = false;
    fixture.api.intercept = ({ method, path }) => {
      if (method === "GET" && path.endsWith("/storageversions") && !mayRead) throw forbidden(storageversionsV1alpha1, "", "not yet");
    };
    await fixture.client.create(storageversionsV1alpha1, {
      metadata: { name: "apps.deployments" },
      spec: {},
      status: { storageVersions: [said("gone", "apps/v1")] },
    } as New<StorageVersion>);
    fixture.start(storageVersionCollector);
    await fixture.settle();
    await version(fixture);
    mayRead = true;
    await fixture.clock.advance(10_000);
    await expect(version(fixture)).rejects.toThrow("not found");
  });

  it("has nothing to do where storage versions are not served", async () => {
    await using fixture = createControllerFixture();
    fixture.start(storageVersionCollector);
    await fixture.settle();
    expect(fixture.problems).toEqual([]);
  });
});
