// ExtendedResourceToleration: a pod that asks for "example.com/device" tolerates the taint by which nodes with such devices are
// kept for those who need them.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Pod, Toleration } from "../../api/types/core-v1.ts";
import { isExtendedResource } from "../../api/validation/resource-names.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { isAbout } from "./refusal.ts";

export function createExtendedResourceToleration(): AdmissionPlugin {
  return {
    name: "ExtendedResourceToleration",
    only: [pods],
    handles: (request) => (request.operation === "CREATE" || request.operation === "UPDATE") && isAbout(request, pods),
    admit(request) {
      const pod = request.object as Pod;
      const own = pod.spec?.tolerations ?? [];
      const tolerations = extendedResources(pod).reduce(withToleration, own);
      return tolerations === own ? pod : { ...pod, spec: { ...pod.spec, tolerations } };
    },
  };
}

function extendedResources({ spec }: Pod): readonly string[] {
  const names = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].flatMap((c) => Object.keys(c.resources?.requests ?? {}));
  return [...new Set(names.filter(isExtendedResource))].sort();
}

/** In the place of one that differs in its seconds only, or at the end. */
function withToleration(all: readonly Toleration[], key: string): readonly Toleration[] {
  const toleration: Toleration = { key, operator: "Exists", effect: "NoSchedule" };
  const at = all.findIndex((t) => t.key === key && t.operator === "Exists" && t.effect === "NoSchedule" && (t.value ?? "") === "");
  if (at < 0) return [...all, toleration];
  return semanticallyEqual(all[at], toleration) ? all : all.with(at, toleration);
}
