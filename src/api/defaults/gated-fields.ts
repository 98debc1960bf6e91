// Fields behind feature gates that are off: they are ignored, whatever is written to them, in objects that have none yet. Whoever
// writes one is recorded as its owner all the same, and admission sees it: it is taken away where strategies prepare an object.
// An object that has nothing to take away comes back as it is.
import { oncePerPartShared } from "../meta/shared-parts.ts";
import { keepsFieldsOf } from "../semantics/gated-fields.ts";
import type { StatefulSet } from "../types/apps-v1.ts";
import type { CronJob, Job } from "../types/batch-v1.ts";
import type { Container, Pod, PodSpec, PodTemplateSpec } from "../types/core-v1.ts";
import { change, changeEach } from "./fill.ts";

/** `strip` for updates too: what has such fields already, because somebody else has stored them, keeps them. */
export const unlessStored =
  <T extends object>(strip: (object: T) => T) =>
  (object: T, old?: T): T => {
    const plain = strip(object);
    return plain !== object && old !== undefined && strip(old) !== old ? object : plain;
  };

function withoutStopSignal<C extends Pick<Container, "lifecycle">>(container: C): C {
  if (container.lifecycle?.stopSignal === undefined) return container;
  const { lifecycle, ...rest } = container;
  const { stopSignal: _, ...hooks } = lifecycle;
  return (Object.keys(hooks).length === 0 ? rest : { ...rest, lifecycle: hooks }) as C;
}

/** A pod's spec without stop signals of its own and, unless its gate is on, without its group of pods that are scheduled together. */
export const withoutGatedPodFields = oncePerPartShared((given: PodSpec): PodSpec => {
  const { schedulingGroup, ...rest } = given;
  let spec = schedulingGroup === undefined || keepsFieldsOf("GenericWorkload") ? given : rest;
  spec = changeEach(spec, "initContainers", withoutStopSignal);
  spec = changeEach(spec, "containers", withoutStopSignal);
  return changeEach(spec, "ephemeralContainers", withoutStopSignal);
});

/** A pod as well without what devices took of its node's memory and cores. */
export function withoutGatedPodParts(pod: Pod): Pod {
  const plain = change(pod, "spec", withoutGatedPodFields);
  if (pod.status?.nodeAllocatableResourceClaimStatuses === undefined) return plain;
  const { nodeAllocatableResourceClaimStatuses: _, ...status } = pod.status;
  return { ...plain, status };
}

const withoutGatedTemplateFields = (template: PodTemplateSpec): PodTemplateSpec => change(template, "spec", withoutGatedPodFields);

/** The same for whatever has a template of pods in its spec. */
export function withoutGatedFields<T extends { readonly spec?: { readonly template?: PodTemplateSpec } }>(object: T): T {
  return change(object, "spec", (spec) => change(spec as { readonly template?: PodTemplateSpec }, "template", withoutGatedTemplateFields));
}

export const withoutGatedTemplate = <T extends { readonly template?: PodTemplateSpec }>(object: T): T =>
  change(object as { readonly template?: PodTemplateSpec }, "template", withoutGatedTemplateFields) as T;

/** Without the number of pods that may be missing during an update as well. */
export function withoutGatedStatefulSetFields(set: StatefulSet): StatefulSet {
  return change(withoutGatedFields(set), "spec", (spec) =>
    change(spec, "updateStrategy", (strategy) =>
      change(strategy, "rollingUpdate", (rolling) => {
        if (rolling.maxUnavailable === undefined) return rolling;
        const { maxUnavailable: _, ...rest } = rolling;
        return rest;
      }),
    ),
  );
}

export const withoutGatedCronJobFields = (cronJob: CronJob): CronJob =>
  change(cronJob, "spec", (spec) => change(spec, "jobTemplate", (template) => withoutGatedFields(template as Job) as typeof template));
