// NodeDeclaredFeatureValidator: a pod that has its node is changed only in ways for which the node has declared the feature
// (status.declaredFeatures).
import { isDeepStrictEqual } from "node:util";
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { nodes, pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin, AdmissionReader } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

interface DeclaringStatus {
  readonly declaredFeatures?: readonly string[];
}

/** By name: whether a change of a pod needs the feature. Other declared features matter to scheduling only. */
const features: readonly (readonly [name: string, isNeeded: (pod: Pod, old: Pod) => boolean])[] = [
  ["InPlacePodLevelResourcesVerticalScaling", (pod, old) => !semanticallyEqual(pod.spec?.resources, old.spec?.resources)],
  ["InPlacePodVerticalScalingInitContainers", resizesInitContainer],
];

export function createNodeDeclaredFeatureValidator({ reader }: { readonly reader: AdmissionReader }): AdmissionPlugin {
  return {
    name: "NodeDeclaredFeatureValidator",
    only: [pods],
    handles: (request) => request.operation === "UPDATE" && (isAbout(request, pods) || isAbout(request, pods, "resize")),
    validate(request) {
      const [pod, old] = [request.object as Pod, request.oldObject as Pod];
      const nodeName = pod.spec?.nodeName ?? "";
      // The generation counts changes of the spec.
      if (nodeName === "" || pod.metadata.generation === old.metadata.generation) return;
      const needed = features.filter(([, isNeeded]) => isNeeded(pod, old)).map(([name]) => name);
      if (needed.length === 0) return;
      const node = reader.informer(nodes).get(nodeName);
      if (!node) throw refuse(request, `node ${JSON.stringify(nodeName)} not found`);
      const declared = (node.status as DeclaringStatus | undefined)?.declaredFeatures ?? [];
      const missing = needed.filter((name) => !declared.includes(name));
      if (missing.length > 0)
        throw refuse(
          request,
          `pod update requires features ${missing.join(", ")} which are not available on node ${JSON.stringify(nodeName)}`,
        );
    },
  };
}

function resizesInitContainer(pod: Pod, old: Pod): boolean {
  const now = pod.spec?.initContainers ?? [];
  return (old.spec?.initContainers ?? []).some(
    (container, i) => container.restartPolicy !== "Always" && !isDeepStrictEqual(container.resources ?? {}, now[i]?.resources ?? {}),
  );
}
