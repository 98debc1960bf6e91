// Priority: a pod's number follows from its priority class, or from the class that is the default; nobody chooses the
// number himself. At most one class is the default.
import { PartsWith } from "../../api/meta/shared-parts.ts";
import { podgroupsV1alpha2 } from "../../api/optional-resources.generated.ts";
import { pods, priorityclasses } from "../../api/resources.generated.ts";
import { keepsFieldsOf } from "../../api/semantics/gated-fields.ts";
import type { Pod, PodSpec } from "../../api/types/core-v1.ts";
import type { PriorityClass } from "../../api/types/scheduling-v1.ts";
import type { PodGroup } from "../../api/types/scheduling-v1alpha2.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

/** Upstream's storage refuses to delete them. */
const systemClasses: ReadonlySet<string> = new Set(["system-node-critical", "system-cluster-critical"]);

interface Established {
  readonly className: string;
  readonly priority: number;
  readonly preemptionPolicy: PriorityClass["preemptionPolicy"];
}

export function createPriority({ reader }: { readonly reader: AdmissionReader }): AdmissionPlugin {
  const classes = reader.informer(priorityclasses);
  const defaults = new Map<string, PriorityClass>();
  const put = (c: PriorityClass): void => {
    if (c.globalDefault) defaults.set(c.metadata.name, c);
    else defaults.delete(c.metadata.name);
  };
  classes.addHandler({ onAdd: put, onUpdate: put, onDelete: (c) => void defaults.delete(c.metadata.name) });
  const defaultClass = (): PriorityClass | undefined => {
    let found: PriorityClass | undefined;
    // Two defaults can only come of a race: the lower one counts.
    for (const c of defaults.values()) if (!found || numberOf(c) < numberOf(found)) found = c;
    return found;
  };
  const establish = (request: AdmissionRequest, className: string): PriorityClass | undefined => {
    const found = className === "" ? defaultClass() : classes.get(className);
    if (found || className === "") return found;
    throw refuse(request, `no PriorityClass with name ${className} was found`);
  };
  const prioritized = new PartsWith<PodSpec, PriorityClass | undefined>();
  return {
    name: "Priority",
    only: [pods, priorityclasses, podgroupsV1alpha2],
    waitsFor: [priorityclasses],
    handles: (request) =>
      request.operation === "DELETE"
        ? isAbout(request, priorityclasses)
        : (request.operation === "CREATE" || request.operation === "UPDATE") &&
          (isAbout(request, pods) || isAbout(request, priorityclasses) || isNewGroup(request)),
    admit(request) {
      if (isNewGroup(request)) return withPriorityOfGroup(request, (className) => establish(request, className));
      if (!isAbout(request, pods) || request.operation === "DELETE") return request.object;
      const pod = request.object as Pod;
      if (request.operation === "UPDATE") return keepPriority(pod, request.oldObject as Pod);
      const found = establish(request, pod.spec?.priorityClassName ?? "");
      const spec = pod.spec ?? { containers: [] };
      return { ...pod, spec: prioritized.of(spec, found, () => withPriority(request, spec, found ? establishedBy(found) : noClass)) };
    },
    validate(request) {
      if (request.operation === "DELETE" && systemClasses.has(request.name))
        throw refuse(request, "this is a system priority class and cannot be deleted");
      if (request.operation === "DELETE" || !isAbout(request, priorityclasses) || !(request.object as PriorityClass).globalDefault) return;
      const existing = defaultClass();
      if (existing && (request.operation === "CREATE" || existing.metadata.name !== request.object?.metadata.name))
        throw refuse(request, `PriorityClass ${existing.metadata.name} is already marked as default. Only one default can exist`);
    },
  };
}

/** Groups of pods have a priority of their own where a feature gate says so. */
const isNewGroup = (request: AdmissionRequest): boolean =>
  request.operation === "CREATE" && keepsFieldsOf("WorkloadAwarePreemption") && isAbout(request, podgroupsV1alpha2);

function withPriorityOfGroup(request: AdmissionRequest, establish: (className: string) => PriorityClass | undefined): PodGroup {
  const group = request.object as PodGroup;
  const found = establish(group.spec?.priorityClassName ?? "");
  const { className, priority } = found ? establishedBy(found) : noClass;
  const given = group.spec?.priority;
  if (given !== undefined && given !== priority)
    throw refuse(
      request,
      `priority set in the pod group (${given}) must match the priority computed (${priority}) based on the priority class set in the spec`,
    );
  return { ...group, spec: { ...group.spec, ...(className === "" ? {} : { priorityClassName: className }), priority } };
}

const numberOf = (c: PriorityClass): number => c.value ?? 0;

const establishedBy = (c: PriorityClass): Established => ({
  className: c.metadata.name,
  priority: numberOf(c),
  preemptionPolicy: c.preemptionPolicy,
});

const noClass: Established = { className: "", priority: 0, preemptionPolicy: "PreemptLowerPriority" };

function withPriority(request: AdmissionRequest, spec: PodSpec, { className, priority, preemptionPolicy }: Established): PodSpec {
  if (spec.priority !== undefined && spec.priority !== priority)
    throw refuse(
      request,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${priority} from the given PriorityClass name`,
    );
  if (preemptionPolicy !== undefined && spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== preemptionPolicy)
    throw refuse(
      request,
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${preemptionPolicy} from the given PriorityClass name`,
    );
  return {
    ...spec,
    ...(className === "" ? {} : { priorityClassName: className }),
    priority,
    ...(preemptionPolicy === undefined ? {} : { preemptionPolicy }),
  };
}

/** An update that leaves the computed fields out does not mean to change them. */
function keepPriority(pod: Pod, old: Pod): Pod {
  const priority = pod.spec?.priority ?? old.spec?.priority;
  const preemptionPolicy = pod.spec?.preemptionPolicy ?? old.spec?.preemptionPolicy;
  if (!pod.spec || (priority === pod.spec.priority && preemptionPolicy === pod.spec.preemptionPolicy)) return pod;
  return {
    ...pod,
    spec: { ...pod.spec, ...(priority === undefined ? {} : { priority }), ...(preemptionPolicy === undefined ? {} : { preemptionPolicy }) },
  };
}
