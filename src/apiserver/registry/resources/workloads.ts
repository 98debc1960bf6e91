// Deployments, replica sets, stateful sets, daemon sets, controller revisions, jobs and cron jobs.
import {
  unlessStored,
  withoutGatedCronJobFields,
  withoutGatedFields,
  withoutGatedStatefulSetFields,
} from "../../../api/defaults/gated-fields.ts";
import {
  defaultCronJob,
  defaultDaemonSet,
  defaultDeployment,
  defaultJob,
  defaultReplicaSet,
  defaultStatefulSet,
  templateGenerationKey,
} from "../../../api/defaults/workloads.ts";
import { cronJobTable, jobTable } from "../../../api/encode/table/batch.ts";
import {
  controllerRevisionTable,
  daemonSetTable,
  deploymentTable,
  replicaSetTable,
  statefulSetTable,
} from "../../../api/encode/table/workloads.ts";
import { equalAsTyped, semanticallyEqual } from "../../../api/meta/equality.ts";
import { int64Problem } from "../../../api/meta/go-number.ts";
import { isDNS1123Label, isLabelValue } from "../../../api/meta/names.ts";
import {
  controllerrevisions,
  cronjobs,
  daemonsets,
  deployments,
  jobs,
  replicasets,
  statefulsets,
} from "../../../api/resources.generated.ts";
import type { DaemonSet, Deployment } from "../../../api/types/apps-v1.ts";
import type { Job } from "../../../api/types/batch-v1.ts";
import { validateControllerRevision, validateControllerRevisionUpdate } from "../../../api/validation/controller-revision.ts";
import { cronJobWarnings, validateCronJob, validateCronJobUpdate } from "../../../api/validation/cron-job.ts";
import { validateDaemonSet, validateDaemonSetStatus, validateDaemonSetUpdate } from "../../../api/validation/daemon-set.ts";
import { validateDeployment, validateDeploymentStatus, validateDeploymentUpdate } from "../../../api/validation/deployment.ts";
import { jobSpecWarnings, validateJob, validateJobUpdate } from "../../../api/validation/job.ts";
import { validateJobStatus } from "../../../api/validation/job-status.ts";
import { withoutTrailingDash } from "../../../api/validation/object-meta.ts";
import { nameWarnings, podTemplateWarnings } from "../../../api/validation/pod-warnings.ts";
import { validateReplicaSet, validateReplicaSetStatus, validateReplicaSetUpdate } from "../../../api/validation/replica-set.ts";
import {
  statefulSetWarnings,
  validateStatefulSet,
  validateStatefulSetStatus,
  validateStatefulSetUpdate,
} from "../../../api/validation/stateful-set.ts";
import { withStatusOf } from "../plain-resource.ts";
import { describe, withOnlyStatus, withStatusKeepingLabels } from "./describe.ts";
import { changedTemplateWarnings, isChanged } from "./template-warnings.ts";

/** Annotations count here, as tools use them to ask for a new rollout. */
function withAnnotationGeneration(deployment: Deployment, old: Deployment): Deployment {
  const { metadata: before } = old;
  const { metadata } = deployment;
  if (semanticallyEqual(metadata.annotations ?? {}, before.annotations ?? {})) return deployment;
  return { ...deployment, metadata: { ...metadata, generation: (before.generation ?? 0) + 1 } };
}

export const deploymentDefinition = describe<Deployment>(deployments, {
  defaults: defaultDeployment,
  withoutGated: unlessStored(withoutGatedFields),
  fieldAnnotations: ["deprecated.deployment.rollback.to"],
  resetFields: { status: ["spec", "metadata.labels"] },
  create: {
    validate: (deployment) => validateDeployment(deployment),
    warnings: ({ metadata, spec }) => [...nameWarnings(metadata.name), ...podTemplateWarnings("spec.template", spec?.template ?? {})],
  },
  update: {
    prepare: (deployment, old) => withAnnotationGeneration(withStatusOf(deployment, old), old),
    validate: validateDeploymentUpdate,
    warnings: (deployment, old) => changedTemplateWarnings("spec.template", deployment, old, deployment.spec?.template),
  },
  status: { prepare: withStatusKeepingLabels, validate: validateDeploymentStatus },
  table: deploymentTable,
});

export const replicaSetDefinition = describe(replicasets, {
  defaults: defaultReplicaSet,
  withoutGated: unlessStored(withoutGatedFields),
  create: {
    validate: (set) => validateReplicaSet(set),
    warnings: ({ metadata, spec }) => [...nameWarnings(metadata.name), ...podTemplateWarnings("spec.template", spec?.template ?? {})],
  },
  update: {
    validate: validateReplicaSetUpdate,
    warnings: (set, old) => changedTemplateWarnings("spec.template", set, old, set.spec?.template),
  },
  status: { validate: validateReplicaSetStatus },
  table: replicaSetTable,
});

export const statefulSetDefinition = describe(statefulsets, {
  defaults: defaultStatefulSet,
  withoutGated: unlessStored(withoutGatedStatefulSetFields),
  validateName: (name, prefix) => isDNS1123Label(prefix ? withoutTrailingDash(name) : name),
  create: {
    validate: validateStatefulSet,
    warnings: (set) => [...podTemplateWarnings("spec.template", set.spec?.template ?? {}), ...statefulSetWarnings(set, "create")],
  },
  update: {
    validate: validateStatefulSetUpdate,
    warnings: (set, old) => [
      ...changedTemplateWarnings("spec.template", set, old, set.spec?.template),
      ...statefulSetWarnings(set, "update"),
    ],
  },
  status: { validate: validateStatefulSetStatus },
  table: statefulSetTable,
});

const templateGeneration = (set: DaemonSet): number => Number(set.metadata.annotations?.[templateGenerationKey] ?? 0) || 0;

function withTemplateGeneration(set: DaemonSet, generation: number): DaemonSet {
  const annotations = { ...set.metadata.annotations, [templateGenerationKey]: String(generation) };
  return { ...set, metadata: { ...set.metadata, annotations } };
}

function unreadableGeneration({ metadata }: DaemonSet): string | undefined {
  const text = metadata.annotations?.[templateGenerationKey];
  return text === undefined ? undefined : int64Problem(text);
}

export const daemonSetDefinition = describe<DaemonSet>(daemonsets, {
  defaults: defaultDaemonSet,
  withoutGated: unlessStored(withoutGatedFields),
  fieldAnnotations: [templateGenerationKey],
  unreadable: unreadableGeneration,
  create: {
    prepare: (set) => withTemplateGeneration(withStatusOf(set, undefined), Math.max(templateGeneration(set), 1)),
    validate: (set) => validateDaemonSet(set),
    warnings: ({ spec }) => podTemplateWarnings("spec.template", spec?.template ?? {}),
  },
  status: {
    // Upstream keeps the generation in the spec, which a write of the status leaves as it was.
    prepare: (set, old) => withTemplateGeneration(withOnlyStatus(set, old), templateGeneration(old)),
    validate: validateDaemonSetStatus,
  },
  update: {
    validate: validateDaemonSetUpdate,
    warnings: (set, old) =>
      templateGeneration(set) === templateGeneration(old) ? [] : podTemplateWarnings("spec.template", set.spec?.template ?? {}),
    prepare: (set, old) => {
      const changed = !equalAsTyped(set.spec?.template, old.spec?.template);
      return withTemplateGeneration(withStatusOf(set, old), templateGeneration(old) + (changed ? 1 : 0));
    },
  },
  table: daemonSetTable,
});

export const controllerRevisionDefinition = describe(controllerrevisions, {
  metadataOnUpdate: ["changes", "whole"],
  create: { validate: validateControllerRevision },
  update: { validate: validateControllerRevisionUpdate },
  table: controllerRevisionTable,
});

const legacyNameLabel = "job-name";
const nameLabel = "batch.kubernetes.io/job-name";
const legacyUidLabel = "controller-uid";
const uidLabel = "batch.kubernetes.io/controller-uid";

/** A job that does not choose its pods by hand gets a selector of its own, by its uid, and labels its pods so. */
function withGeneratedSelector(job: Job): Job {
  const { spec, metadata } = job;
  if (!spec || spec.manualSelector) return job;
  const { template, selector } = spec;
  const labels = {
    [legacyNameLabel]: metadata.name ?? "",
    [nameLabel]: metadata.name ?? "",
    [legacyUidLabel]: metadata.uid,
    [uidLabel]: metadata.uid,
    ...template.metadata?.labels,
  };
  // Labels that the job has from its template by default are the template's, with all that is added to them. A name that is
  // no label is reported of the template, and not of labels the job would never have had.
  const isDefault =
    metadata.labels === undefined ? isLabelValue(metadata.name ?? "").length === 0 : metadata.labels === template.metadata?.labels;
  return {
    ...job,
    metadata: isDefault ? { ...metadata, labels } : metadata,
    spec: {
      ...spec,
      selector: { ...selector, matchLabels: { [uidLabel]: metadata.uid, ...selector?.matchLabels } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

export const jobDefinition = describe<Job>(jobs, {
  metadataOnUpdate: ["whole", "changes"],
  defaults: defaultJob,
  withoutGated: unlessStored(withoutGatedFields),
  create: {
    prepare: (job) => withGeneratedSelector(withStatusOf(job, undefined)),
    validate: (job) => validateJob(job),
    warnings: ({ metadata, spec }) => [...nameWarnings(metadata.name), ...jobSpecWarnings("spec", spec ?? { template: {} })],
  },
  update: {
    validate: validateJobUpdate,
    warnings: (job, old) => (isChanged(job, old) ? jobSpecWarnings("spec", job.spec) : []),
  },
  status: { validate: validateJobStatus },
  defaultDeletionPropagation: "orphan",
  orphaningWarning:
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
  fieldRefusal: (field) => `field label ${JSON.stringify(field)} not supported for Job`,
  selectableFields: { "status.successful": ({ status }) => String(status?.succeeded ?? 0) },
  table: jobTable,
});

const zoneInSchedule =
  "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";

export const cronJobDefinition = describe(cronjobs, {
  defaults: defaultCronJob,
  withoutGated: unlessStored(withoutGatedCronJobFields),
  create: { validate: validateCronJob, warnings: cronJobWarnings },
  update: {
    validate: validateCronJobUpdate,
    warnings: (job, old) => [
      ...(isChanged(job, old) ? jobSpecWarnings("spec.jobTemplate.spec", job.spec?.jobTemplate?.spec ?? { template: {} }) : []),
      ...(job.spec?.schedule.includes("TZ") ? [zoneInSchedule] : []),
    ],
  },
  status: { metadata: [] },
  table: cronJobTable,
});
