// Objects that another server has stored in another version than this one does.
import { afterEach, beforeEach, expect, it } from "vitest";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";
import { describedResources } from "./resources/all.ts";

let fixture: Fixture;
beforeEach(() => {
  fixture = createFixture({ definitions: builtInDefinitions(describedResources) });
});
afterEach(() => fixture.stop());

const metadata = { name: "x", namespace: "default", uid: "u", creationTimestamp: "2026-01-01T00:00:00Z" };
const involved = { kind: "Pod", name: "p", namespace: "default" };
const scaleTargetRef = { kind: "Deployment", name: "d", apiVersion: "apps/v1" };

it.each<readonly [key: string, stored: object, views: readonly (readonly [path: string, expected: object])[]]>([
  [
    "/registry/mutatingadmissionpolicybindings/x",
    {
      apiVersion: "admissionregistration.k8s.io/v1beta1",
      kind: "MutatingAdmissionPolicyBinding",
      metadata: { name: "x", uid: "u", creationTimestamp: "2026-01-01T00:00:00Z" },
      spec: { policyName: "p" },
    },
    [
      [
        "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/x",
        { apiVersion: "admissionregistration.k8s.io/v1", spec: { policyName: "p" } },
      ],
    ],
  ],
  [
    "/registry/events/default/x",
    { apiVersion: "events.k8s.io/v1", kind: "Event", metadata, eventTime: null, note: "hello", regarding: involved },
    [
      ["/api/v1/namespaces/default/events/x", { apiVersion: "v1", message: "hello", involvedObject: involved }],
      ["/apis/events.k8s.io/v1/namespaces/default/events/x", { apiVersion: "events.k8s.io/v1", note: "hello", regarding: involved }],
    ],
  ],
  [
    "/registry/horizontalpodautoscalers/default/x",
    {
      apiVersion: "autoscaling/v1",
      kind: "HorizontalPodAutoscaler",
      metadata,
      spec: { scaleTargetRef, maxReplicas: 3, targetCPUUtilizationPercentage: 50 },
    },
    [
      [
        "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/x",
        {
          apiVersion: "autoscaling/v2",
          spec: { maxReplicas: 3, metrics: [{ resource: { name: "cpu", target: { averageUtilization: 50 } } }] },
        },
      ],
      [
        "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/x",
        { apiVersion: "autoscaling/v1", spec: { maxReplicas: 3, targetCPUUtilizationPercentage: 50 } },
      ],
    ],
  ],
])("%s is read in every version, whichever it is stored in", async (key, stored, views) => {
  const value = Buffer.from(JSON.stringify(stored));
  await fixture.stores.store.transact({ conditions: [], operations: [{ type: "put", key, value }] });
  for (const [path, expected] of views) expect((await fixture.send("GET", path)).body).toMatchObject(expected);
});
