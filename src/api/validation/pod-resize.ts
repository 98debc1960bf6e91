// Resizing pods in place: CPU and memory of containers, and of the pod as a whole, may change; the quality-of-service class
// and everything else may not.
import { semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, forbiddenField, invalidValue, wholeObject } from "../meta/field-error.ts";
import { computePodQos, podQos } from "../semantics/pod-qos.ts";
import type { Container, Pod, PodSpec, ResourceRequirements } from "../types/core-v1.ts";
import { internalForm } from "./internal-form.ts";
import { validateChangedPod } from "./pod.ts";
import { mirrorAnnotation } from "./pod-annotations.ts";
import { sameSpec } from "./pod-update.ts";

type List = Readonly<Record<string, string | number>>;

/** The problems of a resize, apart from metadata. */
export function validatePodResize(pod: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  validateChangedPod(errors, pod, old);
  if (old.metadata.annotations?.[mirrorAnnotation] !== undefined) return [forbiddenField(wholeObject, "static pods cannot be resized")];
  const os: string | undefined = old.spec.os?.name;
  if (os === "windows") return [forbiddenField(wholeObject, "windows pods cannot be resized")];
  if (podQos(old) !== computePodQos(pod.spec))
    errors.push(invalidValue("spec", pod.status?.qosClass ?? "", "Pod QOS Class may not change as a result of resizing"));
  const running = (old.status?.containerStatuses ?? []).find((status) => status.state?.running);
  if (running && !running.resources) errors.push(forbiddenField("spec", "Pod running on node without support for resize"));
  const rest = validatePodLevel(errors, pod.spec, old.spec);
  if ((old.status?.nodeAllocatableResourceClaimStatuses ?? []).length > 0)
    errors.push(forbiddenField("spec", "pods with node allocatable resource claims cannot be resized"));
  if (!validateOrder(errors, pod.spec, old.spec)) return errors;
  validateRemovals(errors, pod.spec, old.spec);
  const unchanged = validateRest(errors, rest, old.spec);
  if (errors.length === 0 && !sameSpec(unchanged, old.spec))
    errors.push(forbiddenField("spec", "only cpu and memory resources are mutable"));
  return errors;
}

const isSet = ({ resources = {} }: PodSpec): boolean => !isNothing({ ...resources, claims: [] });

const isNothing = ({ requests = {}, limits = {}, claims }: ResourceRequirements): boolean =>
  Object.keys(requests).length + Object.keys(limits).length + (claims?.length ?? 0) === 0;

/** The new spec with the old CPU and memory of the pod as a whole. */
function validatePodLevel(errors: FieldError[], spec: PodSpec, old: PodSpec): PodSpec {
  if (!isSet(spec) && !isSet(old)) return spec;
  if (old.resources && !spec.resources) {
    errors.push(forbiddenField("spec.resources", "pod-level resources cannot be removed"));
    return spec;
  }
  for (const list of ["requests", "limits"] as const)
    if (old.resources && removed(spec.resources?.[list], old.resources[list]))
      errors.push(forbiddenField(`spec.resources.${list}`, `pod-level resource ${list} cannot be removed`));
  const { resources, ...rest } = spec;
  const same = withOldAmounts(resources ?? {}, old.resources ?? {});
  const form = (value: ResourceRequirements | undefined): unknown => internalForm("ResourceRequirements", value);
  if (!semanticallyEqual(form(same), form(old.resources)))
    errors.push(forbiddenField("spec", "only cpu and memory resources are mutable at pod-level"));
  // A pod may get amounts of its own with a resize: what is left of them without CPU and memory is nothing.
  return isNothing(same) && !old.resources ? rest : { ...rest, resources: same };
}

function validateOrder(errors: FieldError[], spec: PodSpec, old: PodSpec): boolean {
  const before = errors.length;
  for (const list of ["containers", "initContainers"] as const) {
    const [containers, oldContainers] = [spec[list] ?? [], old[list] ?? []];
    if (containers.length !== oldContainers.length)
      errors.push(forbiddenField(`spec.${list}`, `${list} may not be added or removed on resize`));
    else
      for (const [i, container] of oldContainers.entries())
        if (containers[i]?.name !== container.name)
          errors.push(forbiddenField(`spec.${list}[${i}].name`, `${list} may not be renamed or reordered on resize`));
  }
  return errors.length === before;
}

function validateRemovals(errors: FieldError[], spec: PodSpec, old: PodSpec): void {
  for (const containers of ["initContainers", "containers"] as const)
    for (const [i, { resources: before }] of (old[containers] ?? []).entries())
      for (const list of ["requests", "limits"] as const)
        if (removed(spec[containers]?.[i]?.resources?.[list], before?.[list]))
          errors.push(forbiddenField(`spec.${containers}[${i}].resources.${list}`, `resource ${list} cannot be removed`));
}

function removed(list: List = {}, old: List = {}): boolean {
  return Object.keys(old).some((name) => list[name] === undefined);
}

/** The new spec with the old CPU and memory of its containers; other changes of containers are refused. */
function validateRest(errors: FieldError[], spec: PodSpec, old: PodSpec): PodSpec {
  const containers = spec.containers.map((container, i) => {
    const same = withOldResources(container, old.containers[i]);
    if (!sameContainer(same, old.containers[i])) errors.push(forbiddenField("spec", "only cpu and memory resources are mutable"));
    return same;
  });
  const initContainers = spec.initContainers?.map((container, i) => {
    const before = old.initContainers?.[i];
    const field = `spec.initContainers[${i}]`;
    const same = withOldResources(container, before);
    if (!sameContainer(same, before))
      errors.push(forbiddenField(field, "only cpu and memory resources for init or sidecar containers are mutable"));
    if (container.restartPolicy !== "Always" && !sameContainer(container, before))
      for (const { restartPolicy } of container.resizePolicy ?? [])
        if (restartPolicy === "RestartContainer")
          errors.push(forbiddenField(field, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"));
    return same;
  });
  return { ...spec, containers, ...(initContainers ? { initContainers } : {}) };
}

const sameContainer = (a: Container | undefined, b: Container | undefined): boolean =>
  semanticallyEqual(a, b) || semanticallyEqual(internalForm("Container", a), internalForm("Container", b));

function withOldResources(container: Container, old: Container | undefined): Container {
  const { resources, ...rest } = container;
  // Claims are lost on the way, as upstream loses them: a container that has some cannot be resized.
  const { claims: _, ...amounts } = resources ?? {};
  const same = withOldAmounts(amounts, old?.resources ?? {});
  return semanticallyEqual(same, {}) ? rest : { ...rest, resources: same };
}

function withOldAmounts(resources: ResourceRequirements, old: ResourceRequirements): ResourceRequirements {
  const [limits, requests] = [withOldList(resources.limits, old.limits), withOldList(resources.requests, old.requests)];
  return { ...(limits ? { limits } : {}), ...(requests ? { requests } : {}), ...(resources.claims ? { claims: resources.claims } : {}) };
}

function withOldList(list: List | undefined, old: List | undefined): List | undefined {
  if (!list && !old) return undefined;
  const { cpu: _1, memory: _2, ...rest } = list ?? {};
  const { cpu, memory } = old ?? {};
  return { ...rest, ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }) };
}
