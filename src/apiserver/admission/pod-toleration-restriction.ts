// PodTolerationRestriction: pods get the tolerations that their namespace (or the cluster) gives by default, and may have only
// those that it lets them have. Pods with requests tolerate nodes that are short of memory.

import { ConfigError, type ConfigFields } from "../../api/encode/config-fields.ts";
import { JsonSyntaxError, parseJson, withPlainNumbers } from "../../api/encode/json-text.ts";
import type { FieldError } from "../../api/meta/field-error.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import { podQos } from "../../api/semantics/pod-qos.ts";
import { memoryPressureTaintKey } from "../../api/semantics/taints.ts";
import type { Namespace, Pod, Toleration } from "../../api/types/core-v1.ts";
import { validateTolerations } from "../../api/validation/tolerations.ts";
import type { AdmissionPlugin } from "./admission.ts";
import { findNamespace, type NamespaceDependencies } from "./find-namespace.ts";
import { isAbout } from "./refusal.ts";
import { mergeTolerations, tolerationCovers } from "./tolerations.ts";

export interface PodTolerationSettings {
  /** Where the namespace names none. */
  readonly default: readonly Toleration[];
  /** Where the namespace names none; empty allows all. */
  readonly whitelist: readonly Toleration[];
}

const defaultsAnnotation = "scheduler.alpha.kubernetes.io/defaultTolerations";
const whitelistAnnotation = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";

/** Throws ConfigError. */
export function podTolerationSettings(root: ConfigFields): PodTolerationSettings {
  root.kindOf("Configuration", ["podtolerationrestriction.admission.k8s.io/v1alpha1"]);
  const settings = { default: root.objects("default").map(parseToleration), whitelist: root.objects("whitelist").map(parseToleration) };
  root.end();
  const errors: FieldError[] = [];
  for (const list of ["default", "whitelist"] as const)
    validateTolerations(errors, `podtolerationrestriction.${list}`, settings[list], undefined);
  if (errors.length > 0) throw new ConfigError(`invalid config: ${errors.map((e) => e.message).join(", ")}`);
  return settings;
}

function parseToleration(fields: ConfigFields): Toleration {
  const toleration: Record<string, unknown> = {};
  for (const name of ["key", "operator", "value", "effect"] as const) if (fields.has(name)) toleration[name] = fields.text(name);
  if (fields.has("tolerationSeconds")) toleration["tolerationSeconds"] = fields.integer("tolerationSeconds");
  fields.end();
  return toleration as Toleration; // operator and effect are checked by the caller
}

export function createPodTolerationRestriction(
  deps: NamespaceDependencies,
  settings: PodTolerationSettings = { default: [], whitelist: [] },
): AdmissionPlugin {
  const check = (pod: Pod, namespace: Namespace): void => {
    const tolerations = pod.spec?.tolerations ?? [];
    if (tolerations.length === 0) return;
    const own = tolerationsIn(namespace, whitelistAnnotation);
    const whitelist = own ?? settings.whitelist;
    if (whitelist.length === 0 || tolerations.every((t) => whitelist.some((w) => tolerationCovers(w, t)))) return;
    const scope = own ? "namespace" : "cluster";
    const message = `pod tolerations (possibly merged with namespace default tolerations) conflict with its ${scope} whitelist`;
    throw new StatusError({ code: 500, message });
  };
  return {
    name: "PodTolerationRestriction",
    only: [pods],
    handles: (request) => (request.operation === "CREATE" || request.operation === "UPDATE") && isAbout(request, pods),
    async admit(request) {
      const pod = request.object as Pod;
      const namespace = await findNamespace(deps, request.namespace);
      const extra = [
        ...(request.operation === "CREATE" ? (tolerationsIn(namespace, defaultsAnnotation) ?? settings.default) : []),
        ...(podQos(pod) === "BestEffort" ? [] : [memoryPressure]),
      ];
      const tolerations = mergeTolerations([...(pod.spec?.tolerations ?? []), ...extra]);
      const tolerant = extra.length === 0 ? pod : { ...pod, spec: { ...pod.spec, tolerations } };
      check(tolerant, namespace);
      return tolerant;
    },
    async validate(request) {
      check(request.object as Pod, await findNamespace(deps, request.namespace));
    },
  };
}

const memoryPressure: Toleration = { key: memoryPressureTaintKey, operator: "Exists", effect: "NoSchedule" };

/** Undefined where the namespace says nothing. Throws 500 for what is no list. */
function tolerationsIn({ metadata }: Namespace, annotation: string): readonly Toleration[] | undefined {
  const text = metadata.annotations?.[annotation];
  if (text === undefined) return undefined;
  if (text === "") return [];
  try {
    const value = withPlainNumbers(parseJson(text).value);
    if (Array.isArray(value)) return value as readonly Toleration[];
    throw new StatusError({ code: 500, message: `json: cannot unmarshal ${typeof value} into Go value of type []v1.Toleration` });
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw new StatusError({ code: 500, message: error.message }, { cause: error });
    throw error;
  }
}
