// What an old version of a pod or template had that is refused in new ones; see pod-rules.ts.
import type { FieldError } from "../meta/field-error.ts";
import { isLabelValue } from "../meta/names.ts";
import { parseQuantity } from "../meta/quantity.ts";
import type { PodAffinityTerm, PodSpec } from "../types/core-v1.ts";
import type { LabelSelector } from "../types/meta-v1.ts";
import { validateMatchLabelKeys } from "./affinity.ts";
import { validateVolumeFilePath } from "./file-paths.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { hasValidDeletionCost } from "./pod-annotations.ts";
import { eachContainer, type PodAllowances } from "./pod-rules.ts";
import { isHugePageName } from "./resource-names.ts";
import { isWholePages } from "./resources.ts";
import { hostNamespaceOf } from "./security-context.ts";

export function allowancesOf(spec: PodSpec, annotations: Readonly<Record<string, string>> | undefined): PodAllowances {
  const constraints = spec.topologySpreadConstraints ?? [];
  return {
    invalidDeletionCost: !hasValidDeletionCost(annotations),
    indivisibleHugePages: hasIndivisibleHugePages(spec),
    invalidAffinitySelectorValues: affinityTerms(spec).some(
      (t) => hasInvalidValue(t.labelSelector) || hasInvalidValue(t.namespaceSelector),
    ),
    invalidNodeAffinityValues: hasInvalidNodeAffinityValue(spec),
    invalidSpreadSelectors: constraints.some(({ labelSelector }) =>
      hasErrors((errors) => validateLabelSelector(errors, "", labelSelector)),
    ),
    invalidSpreadLabelKeys: constraints.some(({ matchLabelKeys, labelSelector }) =>
      hasErrors((errors) => validateMatchLabelKeys(errors, "", matchLabelKeys, [], labelSelector)),
    ),
    nonLocalTokenPaths: hasNonLocalTokenPath(spec),
    hostSysctls: (spec.securityContext?.sysctls ?? []).some(({ name }) => hostNamespaceOf(name ?? "", spec) !== undefined),
    seLinuxChangePolicy: spec.securityContext?.seLinuxChangePolicy !== undefined,
    comparingTolerations: (spec.tolerations ?? []).some(({ operator }) => operator === "Lt" || operator === "Gt"),
    restartingInitContainerResize: (spec.initContainers ?? []).some(
      ({ restartPolicy, resizePolicy = [] }) =>
        restartPolicy !== "Always" && resizePolicy.some((policy) => policy.restartPolicy === "RestartContainer"),
    ),
    hostUsersFalseWithDevices: spec.hostUsers === false && hasDevices(spec),
  };
}

function hasErrors(validate: (errors: FieldError[]) => void): boolean {
  const errors: FieldError[] = [];
  validate(errors);
  return errors.length > 0;
}

function hasIndivisibleHugePages(spec: PodSpec): boolean {
  let found = false;
  eachContainer(spec, "", ({ resources }) => {
    for (const [name, amount] of [...Object.entries(resources?.limits ?? {}), ...Object.entries(resources?.requests ?? {})])
      found ||= isHugePageName(name) && !isWholePages(name, parseQuantity(amount));
  });
  return found;
}

function hasDevices(spec: PodSpec): boolean {
  let found = false;
  eachContainer(spec, "", ({ volumeDevices = [] }) => {
    found ||= volumeDevices.length > 0;
  });
  return found;
}

function affinityTerms({ affinity }: PodSpec): readonly PodAffinityTerm[] {
  return [affinity?.podAffinity, affinity?.podAntiAffinity].flatMap((all) => [
    ...(all?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(all?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((weighted) => weighted.podAffinityTerm),
  ]);
}

export const hasInvalidValue = (selector: LabelSelector | undefined): boolean =>
  (selector?.matchExpressions ?? []).some(({ values = [] }) => values.some((value) => isLabelValue(value).length > 0));

function hasInvalidNodeAffinityValue({ affinity }: PodSpec): boolean {
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const expressions = terms.flatMap((term) => term.matchExpressions ?? []);
  return expressions.some(({ values = [] }) => values.some((value) => isLabelValue(value).length > 0));
}

function hasNonLocalTokenPath({ volumes = [] }: PodSpec): boolean {
  const tokens = volumes.flatMap((volume) => (volume.projected?.sources ?? []).flatMap((source) => source.serviceAccountToken ?? []));
  return tokens.some(({ path }) => hasErrors((errors) => validateVolumeFilePath(errors, "", path ?? "")));
}
