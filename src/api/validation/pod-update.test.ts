import { describe, expect, it } from "vitest";
import type { Pod, PodSpec } from "../types/core-v1.ts";
import { podOf, podWith, web } from "./pod-fixture.ts";
import { validatePodResize } from "./pod-resize.ts";
import { validatePodStatusUpdate } from "./pod-status.ts";
import { validateEphemeralContainersUpdate, validatePodUpdate } from "./pod-update.ts";

const messages = (pod: Pod, old: Pod): string[] => validatePodUpdate(pod, old).map((error) => error.message);
const changed = (old: Pod, spec: Partial<PodSpec>): Pod => ({ ...old, spec: { ...old.spec, ...spec } });

describe("validatePodUpdate()", () => {
  const old = podWith({ activeDeadlineSeconds: 10, tolerations: [{ key: "a", operator: "Exists" }] });

  it("allows other images, shorter deadlines and more tolerations", () => {
    const tolerations = [
      { key: "a", operator: "Exists" as const },
      { key: "b", operator: "Exists" as const },
    ];
    const containers = old.spec.containers.map((container) => ({ ...container, image: "other" }));
    expect(messages(changed(old, { containers, tolerations, activeDeadlineSeconds: 5 }), old)).toEqual([]);
  });

  it("refuses longer deadlines and fewer tolerations", () => {
    // Nothing else is looked at then.
    expect(messages(changed(old, { activeDeadlineSeconds: 20, tolerations: [] }), old)).toEqual([
      "spec.activeDeadlineSeconds: Invalid value: 20: must be less than or equal to previous value",
    ]);
    expect(messages(changed(old, { tolerations: [] }), old)).toEqual([
      "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
    ]);
  });

  it("shows what else changed as a difference", () => {
    const [message = "", ...others] = messages(changed(old, { restartPolicy: "Never" }), old);
    expect(others).toEqual([]);
    expect(message).toMatch(/^spec: Forbidden: pod updates may not change fields other than `spec\.containers\[\*\]\.image`,/);
    expect(message.split("\n").slice(1)).toEqual([
      expect.stringMatching(/^@@ -(\d+),7 \+\1,7 @@$/),
      "   }",
      "  ],",
      '  "EphemeralContainers": null,',
      '- "RestartPolicy": "Always",',
      '+ "RestartPolicy": "Never",',
      '  "TerminationGracePeriodSeconds": 30,',
      '  "ActiveDeadlineSeconds": 10,',
      '  "DNSPolicy": "ClusterFirst",',
      "",
    ]);
  });

  it("does not take a default of false for a change", () => {
    expect(messages(changed(old, { hostNetwork: false, hostPID: false }), old)).toEqual([]);
  });

  it("keeps what was stored before it was refused", () => {
    const costly = podWith({}, { "controller.kubernetes.io/pod-deletion-cost": "much" });
    expect(messages(changed(costly, { activeDeadlineSeconds: 3 }), costly)).toEqual([]);
  });

  it("lets the node selector of a gated pod grow only", () => {
    const gated = podWith({ schedulingGates: [{ name: "g" }], nodeSelector: { a: "b" } });
    expect(messages(changed(gated, { nodeSelector: { a: "b", c: "d" } }), gated)).toEqual([]);
    expect(messages(changed(gated, { nodeSelector: { c: "d" } }), gated)).toEqual([
      'spec.nodeSelector: Invalid value: {"c":"d"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
    ]);
  });
});

describe("validateEphemeralContainersUpdate()", () => {
  it("lets ephemeral containers stay as they are", () => {
    const old = podWith({ ephemeralContainers: [{ name: "e", image: "i" }] });
    const [message = ""] = validateEphemeralContainersUpdate(podWith(), old).map((error) => error.message);
    expect(message).toBe('spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be removed\n');
    const other = podWith({ ephemeralContainers: [{ name: "e", image: "other" }] });
    const [difference = ""] = validateEphemeralContainersUpdate(other, old).map((error) => error.message);
    expect(difference.split("\n").slice(1, 6)).toEqual([
      "@@ -1,6 +1,6 @@",
      " {",
      '  "Name": "e",',
      '- "Image": "i",',
      '+ "Image": "other",',
    ]);
  });
});

describe("validatePodResize()", () => {
  const old = podOf({ resources: { requests: { cpu: "1" } } });
  const resized = (requests: Readonly<Record<string, string>>): string[] =>
    validatePodResize(changed(old, { containers: [{ ...web, ...old.spec.containers[0], resources: { requests } }] }), old).map(
      (e) => e.message,
    );

  it("changes cpu and memory", () => {
    expect(resized({ cpu: "2" })).toEqual([]);
  });

  it("gives a pod amounts of its own", () => {
    const resources = { requests: { cpu: "3" }, limits: { cpu: "5" } };
    expect(validatePodResize(changed(old, { resources }), old)).toEqual([]);
    const gpu = { ...resources, limits: { ...resources.limits, "example.com/gpu": "1" } };
    expect(validatePodResize(changed(old, { resources: gpu }), old).map((e) => e.message)).toContain(
      "spec: Forbidden: only cpu and memory resources are mutable at pod-level",
    );
  });

  it("is for no pods of Windows, nor for those that a node made", () => {
    const windows = podOf({ resources: { requests: { cpu: "1" } } });
    const onWindows = { ...windows, spec: { ...windows.spec, os: { name: "windows" as const } } };
    expect(validatePodResize(onWindows, onWindows).map((e) => e.message)).toEqual(["[]: Forbidden: windows pods cannot be resized"]);
    const mirror = { ...windows, metadata: { ...windows.metadata, annotations: { "kubernetes.io/config.mirror": "x" } } };
    expect(validatePodResize(mirror, mirror).map((e) => e.message)).toEqual(["[]: Forbidden: static pods cannot be resized"]);
  });

  it("neither removes requests nor changes the quality-of-service class", () => {
    expect(resized({})).toEqual([
      'spec: Invalid value: "": Pod QOS Class may not change as a result of resizing',
      "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
    ]);
  });

  it("leaves everything else alone", () => {
    const containers = old.spec.containers.map((container) => ({ ...container, image: "other", resources: { requests: { cpu: "2" } } }));
    expect(validatePodResize(changed(old, { containers }), old).map((error) => error.message)).toEqual([
      "spec: Forbidden: only cpu and memory resources are mutable",
    ]);
  });
});

describe("validatePodStatusUpdate()", () => {
  const started = { name: "web", image: "i", imageID: "", ready: true, restartCount: 0 };
  const ended = { ...started, state: { terminated: { exitCode: 1 } } };
  const withStatus = (spec: Partial<PodSpec>, status: Pod["status"]): Pod => ({ ...podWith(spec), ...(status ? { status } : {}) });
  const transition = (spec: Partial<PodSpec>): number =>
    validatePodStatusUpdate(withStatus(spec, { containerStatuses: [started] }), withStatus(spec, { containerStatuses: [ended] })).length;

  it("lets a container run again as its restart policy says", () => {
    expect(transition({ restartPolicy: "Always" })).toBe(0);
    expect(transition({ restartPolicy: "OnFailure" })).toBe(0);
    expect(transition({ restartPolicy: "Never" })).toBe(1);
  });

  it("takes one address of each family", () => {
    const status = { podIPs: [{ ip: "10.0.0.1" }, { ip: "10.0.0.2" }] };
    expect(validatePodStatusUpdate(withStatus({}, status), podWith()).map((error) => error.message)).toEqual([
      'status.podIPs: Invalid value: [{"IP":"10.0.0.1"},{"IP":"10.0.0.2"}]: may specify no more than one IP for each IP family',
    ]);
  });
});
