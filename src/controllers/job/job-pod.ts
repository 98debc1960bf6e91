// The pods of a job: its template with the finalizer that keeps them until they are counted and, in an Indexed Job, with the
// index as annotation, label, part of name and host name, and environment variable JOB_COMPLETION_INDEX.
import type { New } from "../../api/meta/object.ts";
import { jobs } from "../../api/resources.generated.ts";
import type { Job } from "../../api/types/batch-v1.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import { podFromTemplate } from "../pod-control.ts";
import {
  completionIndexName,
  hasLimitPerIndex,
  ignoredIndexFailures,
  indexFailureCountAnnotation,
  indexFailures,
  indexIgnoredFailureCountAnnotation,
  trackingFinalizer,
} from "./job-facts.ts";
import { judgePodFailure } from "./pod-failure-policy.ts";

const indexVariable = "JOB_COMPLETION_INDEX";
/** What the server leaves of a generateName. */
const maxGeneratedName = 58;

/** A pod of a job that is not indexed. */
export function jobPod(job: Job): New<Pod> {
  const pod = podFromTemplate(job.spec.template, job, jobs);
  const finalizers = pod.metadata.finalizers ?? [];
  if (finalizers.includes(trackingFinalizer)) return pod;
  return { ...pod, metadata: { ...pod.metadata, finalizers: [...finalizers, trackingFinalizer] } };
}

/** The pod of an index. `replaced`: the one that failed before it, whose count of failures it continues. */
export function indexedJobPod(job: Job, index: number, replaced: Pod | undefined): New<Pod> {
  const { metadata, spec } = jobPod(job);
  const failureCounts = hasLimitPerIndex(job) ? failureAnnotations(job, replaced) : {};
  const { initContainers, containers } = spec;
  return {
    metadata: {
      ...metadata,
      generateName: generateName(job.metadata.name, index),
      labels: { ...metadata.labels, [completionIndexName]: String(index) },
      annotations: { ...metadata.annotations, [completionIndexName]: String(index), ...failureCounts },
    },
    spec: {
      ...spec,
      hostname: `${job.metadata.name}-${index}`,
      containers: containers.map(withIndexVariable),
      ...(initContainers ? { initContainers: initContainers.map(withIndexVariable) } : {}),
    },
  };
}

function generateName(jobName: string, index: number): string {
  const suffix = `-${index}-`;
  return `${jobName.slice(0, maxGeneratedName - suffix.length)}${suffix}`;
}

function withIndexVariable(container: Container): Container {
  const env = container.env ?? [];
  if (env.some(({ name }) => name === indexVariable)) return container;
  const valueFrom = { fieldRef: { fieldPath: `metadata.labels['${completionIndexName}']` } };
  return { ...container, env: [...env, { name: indexVariable, valueFrom }] };
}

function failureAnnotations(job: Job, replaced: Pod | undefined): Readonly<Record<string, string>> {
  const isIgnored = replaced !== undefined && judgePodFailure(job, replaced).action === "Ignore";
  const failures = replaced ? indexFailures(replaced) + (isIgnored ? 0 : 1) : 0;
  const ignored = replaced ? ignoredIndexFailures(replaced) + (isIgnored ? 1 : 0) : 0;
  return {
    [indexFailureCountAnnotation]: String(failures),
    ...(ignored > 0 ? { [indexIgnoredFailureCountAnnotation]: String(ignored) } : {}),
  };
}
