// PodResizeValidator: a pod on a node is not resized beyond what the node has at all, nor on nodes that cannot do it.
import { parseQuantity } from "../../api/meta/quantity.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { nodes, pods } from "../../api/resources.generated.ts";
import { addQuantities, podQuantities, quantitiesOf } from "../../api/semantics/pod-quantities.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

export function createPodResizeValidator({ reader }: { readonly reader: AdmissionReader }): AdmissionPlugin {
  return {
    name: "PodResizeValidator",
    only: [pods],
    handles: (request) => request.operation === "UPDATE" && isAbout(request, pods, "resize"),
    validate(request) {
      const pod = request.object as Pod;
      const nodeName = pod.spec?.nodeName ?? "";
      if (nodeName === "" || pod.metadata.generation === request.oldObject?.metadata.generation) return;
      const node = reader.informer(nodes).get(nodeName);
      if (!node) throw refuse(request, `node ${JSON.stringify(nodeName)} not found`);
      const os = node.metadata.labels?.["kubernetes.io/os"] ?? "linux";
      if (os !== "linux") {
        const why = `pod resize is only supported on linux nodes, node ${JSON.stringify(nodeName)} is ${JSON.stringify(os)}`;
        throw withCause(refuse(request, why), "UnsupportedPlatform");
      }
      checkAllocatable(request, pod, node);
    },
  };
}

function checkAllocatable(request: AdmissionRequest, pod: Pod, { status }: Node): void {
  const allocatable = quantitiesOf(status?.allocatable);
  const requests = addQuantities(podQuantities(pod, "requests"), quantitiesOf(pod.spec?.overhead));
  const none = parseQuantity("0");
  const problems = (["cpu", "memory"] as const).flatMap((name) => {
    const [wanted, available] = [requests[name] ?? none, allocatable[name] ?? none];
    if (wanted.compare(available) <= 0) return [];
    const [asked, has] = name === "cpu" ? [wanted.milliValue(), available.milliValue()] : [wanted.value(), available.value()];
    return [`${name}, requested: ${asked}, allocatable: ${has}`];
  });
  if (problems.length === 0) return;
  throw withCause(refuse(request, `node didn't have enough allocatable resources: ${problems.join("; ")}`), "NodeCapacity");
}

function withCause({ status }: StatusError, reason: string): StatusError {
  return new StatusError({ ...status, details: { ...status.details, causes: [{ reason }] } });
}
