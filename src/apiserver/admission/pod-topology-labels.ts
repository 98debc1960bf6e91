// PodTopologyLabels: a pod that is bound to a node gets the node's zone and region as labels, so that it can read them
// through the downward API.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { nodes, pods } from "../../api/resources.generated.ts";
import type { Binding, Pod } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { isAbout } from "./refusal.ts";

const copied = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

export function createPodTopologyLabels({ reader }: { readonly reader: AdmissionReader }): AdmissionPlugin {
  return {
    name: "PodTopologyLabels",
    only: [pods],
    waitsFor: [nodes],
    handles: (request) => request.operation === "CREATE" && (isAbout(request, pods) || isAbout(request, pods, "binding")),
    admit(request): KubernetesObject | undefined {
      const { object } = request;
      const own = reader.informer(nodes).get(nodeNameIn(request))?.metadata.labels;
      if (!object || !own) return object;
      const labels: Record<string, string> = { ...object.metadata.labels };
      let found = false;
      for (const key of copied) {
        const value = own[key];
        if (value === undefined) continue;
        labels[key] = value;
        found = true;
      }
      return found ? { ...object, metadata: { ...object.metadata, labels } } : object;
    },
  };
}

function nodeNameIn(request: AdmissionRequest): string {
  if (request.subresource === "") return (request.object as Pod).spec?.nodeName ?? "";
  const { target } = request.object as Binding;
  return target?.kind === "Node" ? (target.name ?? "") : "";
}
