// Updates of pods: nearly everything about a pod is fixed when it is created. What is refused is shown as a difference of
// the specs. Ephemeral containers have a subresource of their own, and once there, stay.
import { equalAsTyped, semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, forbiddenField, invalidValue, required, wholeObject } from "../meta/field-error.ts";
import type { Affinity, Container, NodeAffinity, NodeSelectorTerm, Pod, PodSchedulingGate, PodSpec, Toleration } from "../types/core-v1.ts";
import { validateImageSpace } from "./container.ts";
import { internalForm, internalText } from "./internal-form.ts";
import { validateChangedPod } from "./pod.ts";
import { allowancesOf } from "./pod-allowances.ts";
import { mirrorAnnotation, validatePodAnnotations, validatePodAnnotationsUpdate } from "./pod-annotations.ts";
import { validateTolerations } from "./tolerations.ts";
import { unifiedDiff } from "./unified-diff.ts";

const updatableFields = [
  "`spec.containers[*].image`",
  "`spec.initContainers[*].image`",
  "`spec.activeDeadlineSeconds`",
  "`spec.tolerations` (only additions to existing tolerations)",
  "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
].join(",");

const maxInt32 = 2 ** 31 - 1;

/** The problems of an update of a pod, apart from its metadata. */
export function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  validateChangedPod(errors, pod, old);
  validateAnnotationsUpdate(errors, pod, old);
  const [spec, oldSpec] = [pod.spec, old.spec];
  if (!validateSameContainers(errors, spec, oldSpec)) return errors;
  if (!validateDeadline(errors, spec.activeDeadlineSeconds, oldSpec.activeDeadlineSeconds)) return errors;
  validateAddedTolerations(errors, spec.tolerations ?? [], oldSpec);
  validateDeletedGates(errors, spec.schedulingGates ?? [], oldSpec.schedulingGates ?? []);
  if (sameSpec(spec, oldSpec)) return errors;
  const rest = withoutUpdatable(errors, spec, oldSpec);
  if (!sameSpec(rest, oldSpec)) {
    const difference = unifiedDiff(internalText("PodSpec", oldSpec), internalText("PodSpec", rest));
    errors.push(forbiddenField("spec", `pod updates may not change fields other than ${updatableFields}\n${difference}`));
  }
  return errors;
}

/** Equal as stored: defaults of false and empty texts do not count. */
export const sameSpec = (a: PodSpec, b: PodSpec): boolean =>
  equalAsTyped(a, b) || semanticallyEqual(internalForm("PodSpec", a), internalForm("PodSpec", b));

/** What all updates of a pod check of its annotations. */
export function validateAnnotationsUpdate(errors: FieldError[], pod: Pod, old: Pod): void {
  const [annotations, oldAnnotations] = [pod.metadata.annotations, old.metadata.annotations];
  validatePodAnnotationsUpdate(errors, "metadata.annotations", annotations, oldAnnotations);
  const found: FieldError[] = [];
  validatePodAnnotations(found, "metadata.annotations", annotations, pod.spec, {});
  if (found.length === 0) return;
  validatePodAnnotations(errors, "metadata.annotations", annotations, pod.spec, { allows: allowancesOf(old.spec, oldAnnotations) });
}

function validateSameContainers(errors: FieldError[], spec: PodSpec, old: PodSpec): boolean {
  for (const list of ["containers", "initContainers"] as const) {
    const [containers, oldContainers] = [spec[list] ?? [], old[list] ?? []];
    if (containers.length !== oldContainers.length) {
      errors.push(forbiddenField(`spec.${list}`, "pod updates may not add or remove containers"));
      return false;
    }
    for (const [i, container] of containers.entries()) {
      if (!container.image) errors.push(required(`spec.${list}[${i}].image`));
      validateImageSpace(errors, `spec.${list}[${i}]`, container);
    }
  }
  return true;
}

/** Whether there is anything more to look at. */
function validateDeadline(errors: FieldError[], deadline: number | undefined, old: number | undefined): boolean {
  const field = "spec.activeDeadlineSeconds";
  if (deadline === undefined) {
    if (old !== undefined) errors.push(invalidValue(field, null, "must not update from a positive integer to nil value"));
    return true;
  }
  if (deadline < 0 || deadline > maxInt32) errors.push(invalidValue(field, deadline, `must be between 0 and ${maxInt32}, inclusive`));
  else if (old !== undefined && old < deadline) errors.push(invalidValue(field, deadline, "must be less than or equal to previous value"));
  else return true;
  return false;
}

function validateAddedTolerations(errors: FieldError[], tolerations: readonly Toleration[], old: PodSpec): void {
  for (const before of old.tolerations ?? []) {
    if (tolerations.some((toleration) => sameButForSeconds(toleration, before))) continue;
    errors.push(forbiddenField("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"));
    return;
  }
  const found: FieldError[] = [];
  validateTolerations(found, "spec.tolerations", tolerations, undefined);
  if (found.length > 0) validateTolerations(errors, "spec.tolerations", tolerations, allowancesOf(old, undefined));
}

const sameButForSeconds = (a: Toleration, b: Toleration): boolean =>
  (["key", "operator", "value", "effect"] as const).every((key) => (a[key] ?? "") === (b[key] ?? ""));

function validateDeletedGates(errors: FieldError[], gates: readonly PodSchedulingGate[], old: readonly PodSchedulingGate[]): void {
  // A name that stands there several times is told of once, with its last place.
  const places = new Map(gates.map(({ name }, i) => [name, i]));
  for (const [name, i] of places)
    if (!old.some((gate) => gate.name === name))
      errors.push(forbiddenField(`spec.schedulingGates[${i}].name`, `only deletion is allowed, but found new scheduling gate '${name}'`));
}

/** The new spec with the old values of what an update may change; what else differs is refused. */
function withoutUpdatable(errors: FieldError[], spec: PodSpec, old: PodSpec): PodSpec {
  const { activeDeadlineSeconds: _1, schedulingGates: _2, tolerations: _3, terminationGracePeriodSeconds: grace, ...rest } = spec;
  const { activeDeadlineSeconds, schedulingGates, tolerations, terminationGracePeriodSeconds: oldGrace } = old;
  const kept = oldGrace !== undefined && oldGrace < 0 && grace === 1 ? oldGrace : grace;
  const same: PodSpec = {
    ...rest,
    containers: withOldImages(spec.containers, old.containers),
    ...(spec.initContainers ? { initContainers: withOldImages(spec.initContainers, old.initContainers ?? []) } : {}),
    ...(activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds }),
    ...(schedulingGates ? { schedulingGates } : {}),
    ...(tolerations ? { tolerations } : {}),
    ...(kept === undefined ? {} : { terminationGracePeriodSeconds: kept }),
  };
  return (schedulingGates ?? []).length > 0 ? withoutTightening(errors, same, old) : same;
}

const withOldImages = (containers: readonly Container[], old: readonly Container[]): readonly Container[] =>
  containers.map((container, i) => {
    const { image: _, ...rest } = container;
    const image = old[i]?.image;
    return image === undefined ? rest : { ...rest, image };
  });

/** While a pod waits at scheduling gates, where it may run can be narrowed down. */
function withoutTightening(errors: FieldError[], spec: PodSpec, old: PodSpec): PodSpec {
  const { nodeSelector, affinity, ...rest } = spec;
  const oldAffinity = old.affinity?.nodeAffinity;
  for (const key in old.nodeSelector)
    if (nodeSelector?.[key] !== old.nodeSelector[key]) {
      const detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
      errors.push(invalidValue("spec.nodeSelector", nodeSelector ?? null, detail));
      break;
    }
  if (!equalAsTyped(affinity?.nodeAffinity, oldAffinity)) validateNodeAffinityUpdate(errors, affinity?.nodeAffinity, oldAffinity);
  const same = withNodeAffinity(affinity, old.affinity);
  return { ...rest, ...(old.nodeSelector ? { nodeSelector: old.nodeSelector } : {}), ...(same ? { affinity: same } : {}) };
}

function withNodeAffinity(affinity: Affinity | undefined, old: Affinity | undefined): Affinity | undefined {
  const { nodeAffinity: _, ...rest } = affinity ?? {};
  if (!old && Object.keys(rest).length === 0) return undefined;
  return old?.nodeAffinity ? { ...rest, nodeAffinity: old.nodeAffinity } : affinity && rest;
}

function validateNodeAffinityUpdate(errors: FieldError[], affinity: NodeAffinity | undefined, old: NodeAffinity | undefined): void {
  const key = "requiredDuringSchedulingIgnoredDuringExecution";
  const field = `spec.affinity.nodeAffinity.${key}.nodeSelectorTerms`;
  if (!old?.[key]) return;
  const oldTerms = old[key].nodeSelectorTerms ?? [];
  const terms = affinity?.[key]?.nodeSelectorTerms;
  if (oldTerms.length > 0 && terms?.length !== oldTerms.length) {
    const shown = internalForm("[NodeSelectorTerm", terms);
    errors.push(invalidValue(field, shown, "no additions/deletions to non-empty NodeSelectorTerms list are allowed"));
    return;
  }
  for (const [i, term] of oldTerms.entries())
    if (!onlyAdds(terms?.[i] ?? {}, term))
      errors.push(
        invalidValue(
          `${field}[${i}]`,
          internalForm("NodeSelectorTerm", terms?.[i]),
          "only additions are allowed (no mutations or deletions)",
        ),
      );
}

function onlyAdds(term: NodeSelectorTerm, old: NodeSelectorTerm): boolean {
  const [expressions, fields] = [old.matchExpressions ?? [], old.matchFields ?? []];
  const count = (t: NodeSelectorTerm): number => (t.matchExpressions ?? []).length + (t.matchFields ?? []).length;
  // An empty term selects nothing, and must go on so.
  if (count(old) === 0) return count(term) === 0;
  return (
    semanticallyEqual((term.matchExpressions ?? []).slice(0, expressions.length), expressions) &&
    semanticallyEqual((term.matchFields ?? []).slice(0, fields.length), fields)
  );
}

/** The problems of adding ephemeral containers to a pod. */
export function validateEphemeralContainersUpdate(pod: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  validateChangedPod(errors, pod, old);
  validateAnnotationsUpdate(errors, pod, old);
  if (old.metadata.annotations?.[mirrorAnnotation] !== undefined)
    return [forbiddenField(wholeObject, "static pods do not support ephemeral containers")];
  const containers = pod.spec.ephemeralContainers ?? [];
  for (const before of old.spec.ephemeralContainers ?? []) {
    const [name, after] = [JSON.stringify(before.name), containers.findLast((container) => container.name === before.name)];
    if (!after) errors.push(forbiddenField("spec.ephemeralContainers", `existing ephemeral containers ${name} may not be removed\n`));
    else if (!semanticallyEqual(internalForm("EphemeralContainer", before), internalForm("EphemeralContainer", after))) {
      const difference = unifiedDiff(internalText("EphemeralContainer", before), internalText("EphemeralContainer", after));
      errors.push(forbiddenField("spec.ephemeralContainers", `existing ephemeral containers ${name} may not be changed\n${difference}`));
    }
  }
  return errors;
}
