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
      const tolerations = withTolerations(own, extendedResources(pod));
      return tolerations === own ? pod : { ...pod, spec: { ...pod.spec, tolerations } };
    },
  };
}

function extendedResources({ spec }: Pod): readonly string[] {
  const names = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].flatMap((c) => Object.keys(c.resources?.requests ?? {}));
  return [...new Set(names.filter(isExtendedResource))].sort();
}

/** Each in the place of one that differs in its seconds only, or at the end. */
function withTolerations(own: readonly Toleration[], keys: readonly string[]): readonly Toleration[] {
  const places = new Map<string, number>();
  for (const [i, { key = "", operator, effect, value = "" }] of own.entries())
    if (operator === "Exists" && effect === "NoSchedule" && value === "" && !places.has(key)) places.set(key, i);
  let changed: Toleration[] | undefined;
  for (const key of keys) {
    const toleration: Toleration = { key, operator: "Exists", effect: "NoSchedule" };
    const at = places.get(key) ?? own.length;
    if (semanticallyEqual(own[at], toleration)) continue;
    changed ??= [...own];
    if (at < own.length) changed[at] = toleration;
    else changed.push(toleration);
  }
  return changed ?? own;
}
