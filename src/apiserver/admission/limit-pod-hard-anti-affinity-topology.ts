// LimitPodHardAntiAffinityTopology: required anti-affinity may keep pods from each other's nodes, but not from whole zones.
import { forbidden } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { isAbout } from "./refusal.ts";

const allowedKey = "kubernetes.io/hostname";

export function createLimitPodHardAntiAffinityTopology(): AdmissionPlugin {
  return {
    name: "LimitPodHardAntiAffinityTopology",
    only: [pods],
    handles: (request) => (request.operation === "CREATE" || request.operation === "UPDATE") && isAbout(request, pods),
    validate(request) {
      const { spec, metadata } = request.object as Pod;
      const terms = spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
      const other = terms.find((term) => term.topologyKey !== allowedKey);
      if (!other) return;
      const why = `affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ${other.topologyKey} but only key ${allowedKey} is allowed`;
      throw forbidden(pods, metadata.name ?? "", why);
    },
  };
}
