// Defaults of the kinds that make pods: deployments, replica sets, replication controllers, stateful sets, daemon sets,
// jobs and cron jobs.
import type { DaemonSet, Deployment, ReplicaSet, StatefulSet } from "../types/apps-v1.ts";
import type { CronJob, Job, JobSpec, PodFailurePolicyRule } from "../types/batch-v1.ts";
import type { ReplicationController } from "../types/core-v1.ts";
import { change, changeEach, fill } from "./fill.ts";
import { defaultPodTemplate } from "./pod-spec.ts";
import { roundFields } from "./resource-list.ts";
import { defaultClaimSpec } from "./volume.ts";

export function defaultDeployment(deployment: Deployment): Deployment {
  return change(deployment, "spec", (given) => {
    let spec = fill(given, { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, strategy: {} });
    spec = change(spec, "strategy", (strategy) => {
      const typed = fill(strategy, { type: "RollingUpdate" });
      if (typed.type !== "RollingUpdate") return typed;
      return change(fill(typed, { rollingUpdate: {} }), "rollingUpdate", (r) => fill(r, { maxUnavailable: "25%", maxSurge: "25%" }));
    });
    return change(spec, "template", defaultPodTemplate);
  });
}

export function defaultReplicaSet(set: ReplicaSet): ReplicaSet {
  return change(set, "spec", (spec) => change(fill(spec, { replicas: 1 }), "template", defaultPodTemplate));
}

export function defaultReplicationController(controller: ReplicationController): ReplicationController {
  const labels = controller.spec?.template?.metadata?.labels;
  let filled = controller;
  if (labels && controller.metadata.labels === undefined) filled = { ...filled, metadata: { ...filled.metadata, labels } };
  return change(filled, "spec", (given) => {
    let spec = fill(given, { replicas: 1 });
    if (labels && !spec.selector) spec = { ...spec, selector: labels };
    return change(spec, "template", defaultPodTemplate);
  });
}

export function defaultStatefulSet(set: StatefulSet): StatefulSet {
  return change(set, "spec", (given) => {
    let spec = fill(given, { podManagementPolicy: "OrderedReady", updateStrategy: {}, replicas: 1, revisionHistoryLimit: 10 });
    spec = change(spec, "updateStrategy", (strategy) => {
      const typed = strategy.type ? strategy : fill(strategy, { type: "RollingUpdate", rollingUpdate: {} });
      return typed.type === "RollingUpdate" ? change(typed, "rollingUpdate", (r) => fill(r, { partition: 0 })) : typed;
    });
    spec = fill(spec, { persistentVolumeClaimRetentionPolicy: {} });
    spec = change(spec, "persistentVolumeClaimRetentionPolicy", (policy) => fill(policy, { whenDeleted: "Retain", whenScaled: "Retain" }));
    spec = changeEach(spec, "volumeClaimTemplates", (claim) => {
      const filled = fill(change(claim, "spec", defaultClaimSpec), { status: {} });
      const isTyped = filled.apiVersion === "v1" && filled.kind === "PersistentVolumeClaim";
      const typed: typeof filled = isTyped ? filled : { ...filled, apiVersion: "v1", kind: "PersistentVolumeClaim" };
      return change(typed, "status", (status) => roundFields(fill(status, { phase: "Pending" }), "capacity", "allocatedResources"));
    });
    return change(spec, "template", defaultPodTemplate);
  });
}

/** How often the template of a daemon set has changed: a field of an older version of the API, kept as an annotation. */
export const templateGenerationKey = "deprecated.daemonset.template.generation";

export function defaultDaemonSet(given: DaemonSet): DaemonSet {
  const { metadata } = given;
  const counted = metadata.annotations?.[templateGenerationKey] !== undefined;
  const annotations = { ...metadata.annotations, [templateGenerationKey]: "0" };
  const set = counted ? given : { ...given, metadata: { ...metadata, annotations } };
  return change(set, "spec", (given) => {
    let spec = fill(given, { updateStrategy: {}, revisionHistoryLimit: 10 });
    spec = change(spec, "updateStrategy", (strategy) => {
      const typed = fill(strategy, { type: "RollingUpdate" });
      // The storage has no form for "none" in either field.
      if (typed.type !== "RollingUpdate") return change(typed, "rollingUpdate", (r) => fill(r, { maxUnavailable: 0, maxSurge: 0 }));
      return change(fill(typed, { rollingUpdate: {} }), "rollingUpdate", (r) => fill(r, { maxUnavailable: 1, maxSurge: 0 }));
    });
    return change(spec, "template", defaultPodTemplate);
  });
}

const maxBackoffLimit = 2 ** 31 - 1;

function defaultFailureRule(rule: PodFailurePolicyRule): PodFailurePolicyRule {
  return changeEach(rule, "onPodConditions", (pattern) => (pattern.status ? pattern : { ...pattern, status: "True" }));
}

export function defaultJobSpec(given: JobSpec): JobSpec {
  let spec = given;
  if (spec.completions === undefined && spec.parallelism === undefined) spec = { ...spec, completions: 1, parallelism: 1 };
  spec = fill(spec, {
    parallelism: 1,
    backoffLimit: spec.backoffLimitPerIndex === undefined ? 6 : maxBackoffLimit,
    completionMode: "NonIndexed",
    suspend: false,
    manualSelector: false,
    // A failure policy must see a pod fail before it can tell what to do.
    podReplacementPolicy: spec.podFailurePolicy ? "Failed" : "TerminatingOrFailed",
  });
  spec = change(spec, "podFailurePolicy", (policy) => changeEach(policy, "rules", defaultFailureRule));
  return change(spec, "template", defaultPodTemplate);
}

export function defaultJob(job: Job): Job {
  const labels = job.spec?.template?.metadata?.labels;
  const labelled = labels && job.metadata.labels === undefined ? { ...job, metadata: { ...job.metadata, labels } } : job;
  return change(labelled, "spec", defaultJobSpec);
}

export function defaultCronJob(cronJob: CronJob): CronJob {
  return change(cronJob, "spec", (given) => {
    const spec = fill(given, { concurrencyPolicy: "Allow", suspend: false, successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 1 });
    // Of the job itself nothing is filled in before it is made.
    return change(spec, "jobTemplate", (template) => change(template, "spec", (job) => change(job, "template", defaultPodTemplate)));
  });
}
