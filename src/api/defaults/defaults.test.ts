import { describe, expect, it } from "vitest";
import type { Deployment } from "../types/apps-v1.ts";
import type { LimitRange, Pod, Service } from "../types/core-v1.ts";
import { defaultLimitRange } from "./cluster.ts";
import { defaultCustomResourceDefinition } from "./extension.ts";
import { change, fill, mapShared } from "./fill.ts";
import { defaultService } from "./network.ts";
import { defaultPod } from "./pod.ts";
import { defaultPullPolicy } from "./pull-policy.ts";
import { defaultDeployment, defaultJobSpec, defaultStatefulSet } from "./workloads.ts";

const metadata = { name: "a", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const pod = (spec: Pod["spec"]): Pod => ({ apiVersion: "v1", kind: "Pod", metadata, spec });

describe("fill(), change() and mapShared()", () => {
  it("give back the very object when there is nothing to do", () => {
    const object = { a: 1, list: [{ b: 1 }] };
    expect(fill(object, { a: 2 })).toBe(object);
    expect(change(object, "a", (a) => a)).toBe(object);
    expect(mapShared(object.list, (x) => x)).toBe(object.list);
  });

  it("share the elements that stay", () => {
    const list = [{ n: 1 }, { n: 2 }, { n: 3 }];
    const mapped = mapShared(list, (x) => (x.n === 2 ? { n: 20 } : x));
    expect(mapped).toEqual([{ n: 1 }, { n: 20 }, { n: 3 }]);
    expect(mapped[0]).toBe(list[0]);
    expect(mapped[2]).toBe(list[2]);
  });
});

describe("defaultStatefulSet()", () => {
  const strategyOf = (updateStrategy: object): unknown => {
    const spec = { selector: {}, serviceName: "s", template: {}, updateStrategy };
    return defaultStatefulSet({ apiVersion: "apps/v1", kind: "StatefulSet", metadata, spec } as never).spec?.updateStrategy;
  };

  it("says how a rolling update goes where no type or some of it is given", () => {
    expect(strategyOf({})).toEqual({ type: "RollingUpdate", rollingUpdate: { partition: 0 } });
    expect(strategyOf({ type: "RollingUpdate" })).toEqual({ type: "RollingUpdate" });
    expect(strategyOf({ type: "RollingUpdate", rollingUpdate: {} })).toEqual({ type: "RollingUpdate", rollingUpdate: { partition: 0 } });
    expect(strategyOf({ type: "OnDelete" })).toEqual({ type: "OnDelete" });
  });
});

describe("defaultCustomResourceDefinition()", () => {
  it("drops a conversion webhook that says nothing", () => {
    const definition = {
      metadata,
      spec: { group: "g", names: { kind: "K", plural: "ks" }, conversion: { strategy: "None", webhook: {} } },
    };
    expect(defaultCustomResourceDefinition(definition as never).spec.conversion).toEqual({ strategy: "None" });
  });
});

describe("defaultPullPolicy()", () => {
  it.each([
    ["nginx", "Always"],
    ["nginx:latest", "Always"],
    ["nginx:1.27", "IfNotPresent"],
    ["registry.local:5000/nginx", "Always"],
    ["nginx@sha256:ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12", "IfNotPresent"],
    ["nginx:latest@sha256:ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12", "Always"],
    ["nginx:1.27@sha256:ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12", "IfNotPresent"],
    // What names no image has no tag.
    ["A_b", "IfNotPresent"],
    ["a b", "IfNotPresent"],
    ["ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12", "IfNotPresent"],
  ])("pulls %s: %s", (image, policy) => {
    expect(defaultPullPolicy(image)).toBe(policy);
  });
});

describe("defaultPod()", () => {
  it("is idempotent, and then gives back the same object", () => {
    const once = defaultPod(pod({ containers: [{ name: "c", image: "i", ports: [{ containerPort: 80 }] }], volumes: [{ name: "v" }] }));
    expect(defaultPod(once)).toBe(once);
  });

  it("copies only the missing request from the limits", () => {
    const resources = { limits: { cpu: "2", memory: "1Gi" }, requests: { cpu: "1" } };
    expect(defaultPod(pod({ containers: [{ name: "c", resources }] })).spec.containers[0]?.resources?.requests).toEqual({
      cpu: "1",
      memory: "1Gi",
    });
  });

  it("limits the huge pages of a pod that says something as a whole to those of its containers", () => {
    const amounts = (size: string) => ({ requests: { "hugepages-2Mi": size }, limits: { "hugepages-2Mi": size } });
    const containers = [
      { name: "c", resources: { ...amounts("2Mi"), requests: { cpu: "1", "hugepages-2Mi": "2Mi" } } },
      { name: "d", resources: amounts("4Mi") },
    ];
    expect(defaultPod(pod({ containers, resources: { requests: { memory: "1Gi" } } })).spec.resources).toEqual({
      requests: { cpu: "1", memory: "1Gi", "hugepages-2Mi": "6Mi" },
      limits: { "hugepages-2Mi": "6Mi" },
    });
    expect(defaultPod(pod({ containers, resources: {} })).spec.resources).toEqual({});
  });

  it("makes host-network ports host ports", () => {
    const ports = [{ containerPort: 80 }];
    expect(defaultPod(pod({ hostNetwork: true, containers: [{ name: "c", ports }] })).spec.containers[0]?.ports?.[0]?.hostPort).toBe(80);
  });

  it("wants the file that a variable comes from", () => {
    const fileKeyRef = { volumeName: "v", path: "p", key: "k" };
    const { containers } = defaultPod(pod({ containers: [{ name: "c", env: [{ name: "A", valueFrom: { fileKeyRef } }] }] })).spec;
    expect(containers[0]?.env?.[0]?.valueFrom?.fileKeyRef).toEqual({ ...fileKeyRef, optional: false });
  });

  it("mirrors the old service account field", () => {
    expect(defaultPod(pod({ containers: [], serviceAccount: "robot" })).spec.serviceAccountName).toBe("robot");
    expect(defaultPod(pod({ containers: [], serviceAccountName: "robot" })).spec.serviceAccount).toBe("robot");
  });
});

describe("defaults of other kinds", () => {
  it("a deployment rolls by a quarter, a recreating one does not roll", () => {
    const spec = { selector: {}, template: {} };
    const deployment = (more: object): Deployment => ({ apiVersion: "apps/v1", kind: "Deployment", metadata, spec: { ...spec, ...more } });
    expect(defaultDeployment(deployment({})).spec.strategy).toEqual({
      type: "RollingUpdate",
      rollingUpdate: { maxUnavailable: "25%", maxSurge: "25%" },
    });
    expect(defaultDeployment(deployment({ strategy: { type: "Recreate" } })).spec.strategy).toEqual({ type: "Recreate" });
  });

  it("a job with a limit per index may fail as a whole without limit", () => {
    expect(defaultJobSpec({ template: {}, backoffLimitPerIndex: 1 }).backoffLimit).toBe(2147483647);
    expect(defaultJobSpec({ template: {} })).toMatchObject({
      completions: 1,
      parallelism: 1,
      backoffLimit: 6,
      podReplacementPolicy: "TerminatingOrFailed",
    });
  });

  it("a service's target port is its port; an external one has a traffic policy", () => {
    const service = (spec: Service["spec"]): Service => ({ apiVersion: "v1", kind: "Service", metadata, spec });
    expect(defaultService(service({ ports: [{ port: 80 }] })).spec).toMatchObject({
      type: "ClusterIP",
      ports: [{ port: 80, targetPort: 80, protocol: "TCP" }],
    });
    expect(defaultService(service({ type: "NodePort" })).spec.externalTrafficPolicy).toBe("Cluster");
    expect(defaultService(service({ type: "ExternalName" })).spec.internalTrafficPolicy).toBeUndefined();
  });

  it("a limit range derives defaults from maxima and minima", () => {
    const range: LimitRange = {
      apiVersion: "v1",
      kind: "LimitRange",
      metadata,
      spec: { limits: [{ type: "Container", max: { cpu: "2" }, min: { memory: "1Gi" } }] },
    };
    expect(defaultLimitRange(range).spec?.limits[0]).toMatchObject({ default: { cpu: "2" }, defaultRequest: { cpu: "2", memory: "1Gi" } });
  });
});
