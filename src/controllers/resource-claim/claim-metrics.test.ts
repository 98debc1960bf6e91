import { expect, test } from "vitest";
import type { ResourceClaim } from "../../api/types/resource-v1.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { ClaimMetrics } from "./claim-metrics.ts";

const claim = (annotations: Record<string, string>, more: Partial<ResourceClaim> = {}): ResourceClaim => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceClaim",
  metadata: { name: "c", namespace: "d", uid: "u", resourceVersion: "1", creationTimestamp: "", annotations },
  spec: {},
  ...more,
});

test("claims are counted by their state, access and source, and no longer when nobody shows them", () => {
  const registry = new MetricsRegistry();
  const metrics = new ClaimMetrics(registry);
  const admin = { devices: { requests: [{ name: "r", exactly: { deviceClassName: "x", adminAccess: true } }] } };
  const hide = metrics.show(() => [
    claim({}, { spec: admin }),
    claim({ "resource.kubernetes.io/pod-claim-name": "gpu" }, { status: { allocation: {} } }),
    claim({ "resource.kubernetes.io/extended-resource-claim": "true" }),
  ]);
  const counted = (): readonly string[] =>
    registry
      .text()
      .split("\n")
      .filter((line) => line.startsWith("resourceclaim_controller_resource_claims{"));
  expect([...counted()].sort()).toEqual([
    'resourceclaim_controller_resource_claims{allocated="false",admin_access="false",source="extended_resource"} 1',
    'resourceclaim_controller_resource_claims{allocated="false",admin_access="true",source=""} 1',
    'resourceclaim_controller_resource_claims{allocated="true",admin_access="false",source="resource_claim_template"} 1',
  ]);
  hide();
  expect(counted().every((line) => line.endsWith(" 0"))).toBe(true);
  metrics.created(claim({}, { spec: admin }), false);
  expect(registry.text()).toContain('resourceclaim_controller_creates_total{status="failure",admin_access="true"} 1');
});
