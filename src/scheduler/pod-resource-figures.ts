// What the pods of the cluster ask for and may use, as the scheduler tells it at /metrics/resources: a line for each pod that has
// not ended and each of its resources.
import { addQuantities, podQuantities, quantitiesOf } from "../api/semantics/pod-quantities.ts";
import type { Pod } from "../api/types/core-v1.ts";
import { type Sample, sampledText } from "../base/metrics.ts";

const units: Readonly<Record<string, string>> = { cpu: "cores", memory: "bytes", storage: "bytes", "ephemeral-storage": "bytes" };

function unitOf(resource: string): string {
  if (resource.startsWith("hugepages-")) return "bytes";
  return units[resource] ?? (resource.startsWith("attachable-volumes-") ? "integer" : "");
}

function hasEnded({ spec, status }: Pod): boolean {
  return Boolean(spec.nodeName) && (status?.phase === "Succeeded" || status?.phase === "Failed");
}

function samplesOf(pod: Pod, which: "requests" | "limits"): readonly Sample[] {
  const { metadata, spec } = pod;
  const own = podQuantities(pod, which);
  const overhead = Object.entries(quantitiesOf(spec.overhead)).filter(([name]) => which === "requests" || own[name] !== undefined);
  return Object.entries(addQuantities(own, Object.fromEntries(overhead))).flatMap(([resource, quantity]) => {
    const value = quantity.toNumber();
    const labels = {
      ...{ namespace: metadata.namespace, pod: metadata.name, node: spec.nodeName ?? "", scheduler: spec.schedulerName ?? "" },
      ...{ priority: spec.priority === undefined ? "" : String(spec.priority), resource, unit: unitOf(resource) },
    };
    return value === 0 ? [] : [{ labels, value }];
  });
}

const about = "by workloads on the cluster, by pod: what the scheduler and kubelet expect for each resource, and its unit if it has one";

export function podResourcesText(all: Iterable<Pod>): string {
  const pods = [...all].filter((pod) => !hasEnded(pod));
  return sampledText([
    {
      name: "kube_pod_resource_limit",
      help: `[STABLE] Resources limit ${about}.`,
      type: "gauge",
      samples: pods.flatMap((pod) => samplesOf(pod, "limits")),
    },
    {
      name: "kube_pod_resource_request",
      help: `[STABLE] Resources requested ${about}.`,
      type: "gauge",
      samples: pods.flatMap((pod) => samplesOf(pod, "requests")),
    },
  ]);
}
