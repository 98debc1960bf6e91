// DefaultTolerationSeconds: pods stay five minutes on a node that is not ready or unreachable, unless they say otherwise.
import { change } from "../../api/defaults/fill.ts";
import { oncePerPartShared } from "../../api/meta/shared-parts.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Pod, PodSpec, Toleration } from "../../api/types/core-v1.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { isAbout } from "./refusal.ts";

export interface DefaultTolerationSecondsOptions {
  /** --default-not-ready-toleration-seconds. Default 300. */
  readonly notReadySeconds?: number;
  /** --default-unreachable-toleration-seconds. Default 300. */
  readonly unreachableSeconds?: number;
}

export function createDefaultTolerationSeconds(options: DefaultTolerationSecondsOptions = {}): AdmissionPlugin {
  const defaults = [
    toleration("node.kubernetes.io/not-ready", options.notReadySeconds ?? 300),
    toleration("node.kubernetes.io/unreachable", options.unreachableSeconds ?? 300),
  ];
  const tolerating = oncePerPartShared((spec: PodSpec): PodSpec => {
    const own = spec.tolerations ?? [];
    const missing = defaults.filter(({ key }) => !own.some((t) => (t.key || key) === key && (t.effect || "NoExecute") === "NoExecute"));
    return missing.length === 0 ? spec : { ...spec, tolerations: own.concat(missing) };
  });
  return {
    name: "DefaultTolerationSeconds",
    only: [pods],
    handles: (request) => (request.operation === "CREATE" || request.operation === "UPDATE") && isAbout(request, pods),
    admit: (request) => change(request.object as Pod, "spec", tolerating),
  };
}

const toleration = (key: string, tolerationSeconds: number): Toleration => ({
  key,
  operator: "Exists",
  effect: "NoExecute",
  tolerationSeconds,
});
