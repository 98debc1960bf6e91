// DefaultTolerationSeconds: pods stay five minutes on a node that is not ready or unreachable, unless they say otherwise.
import { pods } from "../../api/resources.generated.ts";
import type { Pod, Toleration } from "../../api/types/core-v1.ts";
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
  return {
    name: "DefaultTolerationSeconds",
    only: [pods],
    handles: (request) => (request.operation === "CREATE" || request.operation === "UPDATE") && isAbout(request, pods),
    admit(request) {
      const pod = request.object as Pod;
      const own = pod.spec?.tolerations ?? [];
      const missing = defaults.filter(({ key }) => !own.some((t) => (t.key || key) === key && (t.effect || "NoExecute") === "NoExecute"));
      if (missing.length === 0 || !pod.spec) return pod;
      return { ...pod, spec: { ...pod.spec, tolerations: own.concat(missing) } };
    },
  };
}

const toleration = (key: string, tolerationSeconds: number): Toleration => ({
  key,
  operator: "Exists",
  effect: "NoExecute",
  tolerationSeconds,
});
