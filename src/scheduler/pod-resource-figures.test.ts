import { expect, it } from "vitest";
import { podResourcesText } from "./pod-resource-figures.ts";
import { testPod } from "./test-objects.ts";

it("podResourcesText tells of each pod that has not ended what it asks for and may use, overhead included", () => {
  const base = testPod("p");
  const containers = [
    { name: "c", image: "i", resources: { requests: { cpu: "1500m", memory: "1Gi" }, limits: { memory: "2Gi", "x.io/gpu": "1" } } },
  ];
  const running = { ...base, spec: { ...base.spec, nodeName: "a", priority: 7, overhead: { cpu: "500m", memory: "1Mi" }, containers } };
  const ended = { ...running, metadata: { ...base.metadata, name: "gone" }, status: { phase: "Succeeded" } };
  const text = podResourcesText([running, ended] as (typeof base)[]);
  const of = (resource: string, unit: string): string =>
    `{namespace="${base.metadata.namespace}",pod="p",node="a",scheduler="${base.spec.schedulerName ?? ""}",priority="7",resource="${resource}",unit="${unit}"}`;
  expect(text.split("\n").filter((line) => line.startsWith("kube_"))).toEqual([
    `kube_pod_resource_limit${of("memory", "bytes")} ${2 * 2 ** 30 + 2 ** 20}`,
    `kube_pod_resource_limit${of("x.io/gpu", "")} 1`,
    `kube_pod_resource_request${of("cpu", "cores")} 2`,
    `kube_pod_resource_request${of("memory", "bytes")} ${2 ** 30 + 2 ** 20}`,
  ]);
});
