// Pods, pod templates and replication controllers. A new pod is Pending, with the quality-of-service class of its
// resources; a pod with a node is deleted gracefully, one without a node or with nothing left to run at once.
import { change } from "../../../api/defaults/fill.ts";
import { unlessStored, withoutGatedFields, withoutGatedPodParts, withoutGatedTemplate } from "../../../api/defaults/gated-fields.ts";
import { defaultPod, defaultPodTemplateObject } from "../../../api/defaults/pod.ts";
import { defaultReplicationController } from "../../../api/defaults/workloads.ts";
import { podTable, podTemplateTable } from "../../../api/encode/table/pods.ts";
import { replicationControllerTable } from "../../../api/encode/table/workloads.ts";
import { ipWarnings } from "../../../api/meta/ip.ts";
import { isDNS1123Subdomain, isPathSegmentPrefix } from "../../../api/meta/names.ts";
import { hasSentEmpty } from "../../../api/meta/sent-empty.ts";
import { RepeatedParts } from "../../../api/meta/shared-parts.ts";
import { pods, podtemplates, replicationcontrollers } from "../../../api/resources.generated.ts";
import { isPodTerminal } from "../../../api/semantics/pod-status.ts";
import type { Pod, PodSpec } from "../../../api/types/core-v1.ts";
import { validatePod } from "../../../api/validation/pod.ts";
import { validatePodResize } from "../../../api/validation/pod-resize.ts";
import { validatePodStatusUpdate } from "../../../api/validation/pod-status.ts";
import { validatePodTemplateObject } from "../../../api/validation/pod-template.ts";
import { validateEphemeralContainersUpdate, validatePodUpdate } from "../../../api/validation/pod-update.ts";
import { nameWarnings, podTemplateWarnings, podWarnings } from "../../../api/validation/pod-warnings.ts";
import { validateReplicationController, validateReplicationControllerStatus } from "../../../api/validation/replication-controller.ts";
import { describe, withOnlyStatus, withStatusKeepingMetadata } from "./describe.ts";
import { withKeptObservedGenerations, withNewPodStatus, withResizedContainers } from "./pod-preparation.ts";
import { changedTemplateWarnings } from "./template-warnings.ts";

export const podDefinition = describe<Pod>(pods, {
  metadataOnUpdate: ["changes", "whole"],
  defaults: defaultPod,
  withoutGated: unlessStored(withoutGatedPodParts),
  create: { withSharedParts: withSharedSpec, prepare: withNewPodStatus, validate: validatePod, warnings: podWarnings },
  update: { validate: validatePodUpdate },
  status: {
    validate: validatePodStatusUpdate,
    prepare: (pod, old) => withKeptObservedGenerations(withOnlyStatus(withoutStatusOwners(pod, old), old), old),
    warnings: ({ status }) => [
      ...(status?.podIPs ?? []).flatMap(({ ip }, i) => ipWarnings(`status.podIPs[${i}].ip`, ip)),
      ...(status?.hostIPs ?? []).flatMap(({ ip }, i) => ipWarnings(`status.hostIPs[${i}].ip`, ip)),
    ],
  },
  subresources: {
    ephemeralcontainers: {
      prepare: (pod, old) => {
        const { ephemeralContainers: _, ...spec } = old.spec;
        const { ephemeralContainers } = pod.spec;
        return { ...keptPod(pod, old), spec: ephemeralContainers ? { ...spec, ephemeralContainers } : spec };
      },
      validate: validateEphemeralContainersUpdate,
      metadata: ["changes", "whole"],
    },
    resize: {
      prepare: (pod, old) => withResizedContainers(keptPod(pod, old), pod),
      validate: validatePodResize,
      metadata: ["changes", "whole"],
    },
  },
  // Whoever writes through one of the others owns all that he sent, also what the write left as it was.
  resetFields: { status: ["spec", "metadata.deletionTimestamp", "metadata.ownerReferences"], ephemeralcontainers: [], resize: [] },
  gracefulDeletion: { gracePeriodSeconds },
  deletionReturnsObject: true,
  selectableFields: {
    "spec.nodeName": ({ spec }) => spec.nodeName ?? "",
    "spec.host": ({ spec }) => spec.nodeName ?? "",
    "spec.restartPolicy": ({ spec }) => spec.restartPolicy ?? "",
    "spec.schedulerName": ({ spec }) => spec.schedulerName ?? "",
    "spec.serviceAccountName": ({ spec }) => spec.serviceAccountName ?? "",
    "spec.hostNetwork": ({ spec }) => String(spec.hostNetwork ?? false),
    "status.phase": ({ status }) => status?.phase ?? "",
    "status.podIP": ({ status }) => status?.podIPs?.[0]?.ip ?? status?.podIP ?? "",
    // Accepted, and never has a value.
    "status.podIPs": () => "",
    "status.nominatedNodeName": ({ status }) => status?.nominatedNodeName ?? "",
  },
  table: podTable,
});

const specs = new RepeatedParts<PodSpec>();

/** The pods of a template have one specification. What was sent empty is told of an object as a whole: those stay as they are. */
function withSharedSpec(pod: Pod): Pod {
  return hasSentEmpty(pod) ? pod : change(pod, "spec", (spec) => specs.find(spec));
}

/** Seconds between a DELETE and the pod's end: as asked, else as the pod says; none where nothing runs. */
function gracePeriodSeconds({ spec, status, ...pod }: Pod, requested: number | undefined): number {
  if (!spec.nodeName || isPodTerminal({ ...pod, spec, ...(status ? { status } : {}) })) return 0;
  const seconds = requested ?? spec.terminationGracePeriodSeconds ?? 0;
  return seconds < 0 ? 1 : seconds;
}

/** A node's status update changes neither the owners of a pod nor its deletion. */
function withoutStatusOwners(pod: Pod, old: Pod): Pod {
  const { ownerReferences: _1, deletionTimestamp: _2, ...metadata } = pod.metadata;
  const { ownerReferences, deletionTimestamp } = old.metadata;
  const kept = { ...(ownerReferences ? { ownerReferences } : {}), ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) };
  return { ...pod, metadata: { ...metadata, ...kept } };
}

/** The old pod, with the metadata that a subresource may record. */
const keptPod = (pod: Pod, old: Pod): Pod => ({ ...old, metadata: withStatusKeepingMetadata(pod, old).metadata });

export const podTemplateDefinition = describe(podtemplates, {
  defaults: defaultPodTemplateObject,
  withoutGated: unlessStored(withoutGatedTemplate),
  create: {
    validate: (object) => validatePodTemplateObject(object),
    warnings: ({ template }) => podTemplateWarnings("template", template ?? {}),
  },
  update: {
    validate: validatePodTemplateObject,
    warnings: (object, old) => changedTemplateWarnings("template", object, old, object.template),
  },
  countsGeneration: true,
  deletionReturnsObject: true,
  table: podTemplateTable,
});

export const replicationControllerDefinition = describe(replicationcontrollers, {
  defaults: defaultReplicationController,
  // Its name is checked by its schema, in the schema's words, and a generateName only for what no path may have.
  validateName: (name, prefix) =>
    prefix ? isPathSegmentPrefix(name) : isDNS1123Subdomain(name).map((text) => text.replace(/characters$/, "bytes")),
  withoutGated: unlessStored(withoutGatedFields),
  create: {
    validate: (controller) => validateReplicationController(controller),
    warnings: ({ metadata, spec }) => [...nameWarnings(metadata.name), ...podTemplateWarnings("spec.template", spec?.template ?? {})],
  },
  update: {
    validate: validateReplicationController,
    // Upstream warns of the template as it was.
    warnings: (controller, old) => changedTemplateWarnings("spec.template", controller, old, old.spec?.template),
  },
  status: { validate: validateReplicationControllerStatus },
  // As old as its clients: dependents of a controller that is deleted without a word are kept.
  defaultDeletionPropagation: "orphan",
  selectableFields: { "status.replicas": ({ status }) => String(status?.replicas ?? 0) },
  table: replicationControllerTable,
});
