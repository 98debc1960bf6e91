import { describe, expect, it } from "vitest";
import { controllerRef } from "../../api/meta/object.ts";
import { pods, statefulsets } from "../../api/resources.generated.ts";
import type { StatefulSet } from "../../api/types/apps-v1.ts";
import type { PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import { claimOwners } from "./claims.ts";

const metadata = (name: string, uid = name) => ({
  name,
  namespace: "default",
  uid,
  resourceVersion: "1",
  creationTimestamp: "2026-01-01T00:00:00Z",
});

const set = (whenScaled: string, whenDeleted: string): StatefulSet => ({
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  metadata: metadata("db"),
  spec: {
    replicas: 1,
    selector: {},
    template: {},
    persistentVolumeClaimRetentionPolicy: { whenScaled, whenDeleted },
  },
});

const pod = (ordinal: number): Pod => ({ apiVersion: "v1", kind: "Pod", metadata: metadata(`db-${ordinal}`), spec: { containers: [] } });

const claim = (ownerReferences: readonly OwnerReference[] = []): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { ...metadata("data"), ownerReferences },
  spec: {},
});

const ofSet = controllerRef(set("Retain", "Retain"), statefulsets);
const ofPod = (ordinal: number): OwnerReference => controllerRef(pod(ordinal), pods);

describe("claimOwners()", () => {
  // Ordinal 0 is in use, ordinal 1 is surplus.
  const wanted = (scaled: string, deleted: string, ordinal: number, present: readonly OwnerReference[] = []) =>
    claimOwners(set(scaled, deleted), claim(present), { pod: pod(ordinal), ordinal })?.owners.map((r) => r.kind);

  it("gives a claim to whoever it is to go with", () => {
    expect(wanted("Retain", "Delete", 0)).toEqual(["StatefulSet"]);
    expect(wanted("Retain", "Delete", 1)).toEqual(["StatefulSet"]);
    expect(wanted("Delete", "Retain", 1)).toEqual(["Pod"]);
    expect(wanted("Delete", "Delete", 0)).toEqual(["StatefulSet"]);
    expect(wanted("Delete", "Delete", 1, [ofSet])).toEqual(["Pod"]);
    expect(wanted("Delete", "Delete", 0, [ofPod(0)])).toEqual(["StatefulSet"]);
    expect(wanted("Retain", "Retain", 0, [ofSet])).toEqual([]);
  });

  it("is content with claims that are as they should be", () => {
    expect(wanted("Retain", "Retain", 0)).toBeUndefined();
    expect(wanted("Delete", "Retain", 0)).toBeUndefined();
    expect(wanted("Delete", "Delete", 0, [ofSet])).toBeUndefined();
    expect(wanted("Delete", "Delete", 1, [ofPod(1)])).toBeUndefined();
  });

  it("makes an owner that is there the controller", () => {
    const { controller: _, ...weak } = ofSet;
    expect(wanted("Retain", "Delete", 0, [weak])).toEqual(["StatefulSet"]);
  });

  it("leaves claims of an earlier set or pod to the garbage collector", () => {
    expect(wanted("Delete", "Delete", 0, [{ ...ofSet, uid: "earlier" }])).toBeUndefined();
    expect(wanted("Delete", "Delete", 1, [{ ...ofPod(1), uid: "earlier" }])).toBeUndefined();
  });

  it("steps back behind another controller", () => {
    const foreign = { apiVersion: "example.com/v1", kind: "Backup", name: "b", uid: "b", controller: true };
    expect(wanted("Retain", "Delete", 0, [foreign])).toBeUndefined();
    expect(wanted("Retain", "Delete", 0, [foreign, ofSet])).toEqual(["Backup"]);
  });
});
