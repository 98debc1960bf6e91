// TaintNodesByCondition: a new node is not ready until the node controller has seen that it is, so that nothing is
// scheduled to it in between.
import { nodes } from "../../api/resources.generated.ts";
import type { Node } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { isAbout } from "./refusal.ts";

const key = "node.kubernetes.io/not-ready";
const effect = "NoSchedule";

export function createTaintNodesByCondition(): AdmissionPlugin {
  return {
    name: "TaintNodesByCondition",
    only: [nodes],
    handles: (request) => request.operation === "CREATE" && isAbout(request, nodes),
    admit(request) {
      const node = request.object as Node;
      const taints = node.spec?.taints ?? [];
      if (taints.some((t) => t.key === key && t.effect === effect)) return node;
      return { ...node, spec: { ...node.spec, taints: [...taints, { key, effect }] } };
    },
  };
}
