import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../meta/object.ts";
import { reshapedDevices } from "./devices.ts";

const metadata = { name: "a", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const object = (kind: string, spec: unknown): KubernetesObject =>
  ({ apiVersion: "resource.k8s.io/v1beta1", kind, metadata, spec }) as KubernetesObject;

const { resourceclaims, resourceclaimtemplates, resourceslices } = reshapedDevices;

describe("devices in v1beta1 and v1", () => {
  const old = {
    devices: {
      requests: [
        { name: "gpu", deviceClassName: "fast", count: 2 },
        { name: "any", deviceClassName: "", firstAvailable: [{ name: "x" }] },
      ],
    },
  };
  const now = {
    devices: {
      requests: [
        { name: "gpu", exactly: { deviceClassName: "fast", count: 2 } },
        { name: "any", firstAvailable: [{ name: "x" }] },
      ],
    },
  };

  it("what a request asks for lies in `exactly`, alternatives stay where they are, and back", () => {
    expect(resourceclaims?.toV1(object("ResourceClaim", old))).toEqual(object("ResourceClaim", now));
    expect(resourceclaims?.fromV1(object("ResourceClaim", now))).toEqual(object("ResourceClaim", old));
  });

  it("the same in templates", () => {
    expect(resourceclaimtemplates?.toV1(object("ResourceClaimTemplate", { spec: old }))).toEqual(
      object("ResourceClaimTemplate", { spec: now }),
    );
    expect(resourceclaimtemplates?.fromV1(object("ResourceClaimTemplate", { spec: now }))).toEqual(
      object("ResourceClaimTemplate", { spec: old }),
    );
  });

  it("the properties of a device are flattened, and back", () => {
    const basic = { attributes: { model: { string: "a" } }, capacity: { memory: { value: "1Gi" } } };
    const [v1beta1, v1] = [
      { driver: "d", devices: [{ name: "a", basic }] },
      { driver: "d", devices: [{ name: "a", ...basic }] },
    ];
    expect(resourceslices?.toV1(object("ResourceSlice", v1beta1))).toEqual(object("ResourceSlice", v1));
    expect(resourceslices?.fromV1(object("ResourceSlice", v1))).toEqual(object("ResourceSlice", v1beta1));
  });

  it("objects without devices are given back as they are", () => {
    const empty = object("ResourceClaim", {});
    expect(resourceclaims?.toV1(empty)).toBe(empty);
  });
});
