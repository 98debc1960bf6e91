// Kinds that extend the API server itself: admission webhooks and policies, custom resource definitions, API services, and
// flow control.
import {
  defaultMutatingPolicy,
  defaultMutatingPolicyBinding,
  defaultMutatingWebhooks,
  defaultValidatingPolicy,
  defaultValidatingPolicyBinding,
  defaultValidatingWebhooks,
} from "../../../api/defaults/admission.ts";
import { defaultApiService, defaultCustomResourceDefinition } from "../../../api/defaults/extension.ts";
import { defaultFlowSchema, defaultPriorityLevel } from "../../../api/defaults/flowcontrol.ts";
import {
  apiServiceTable,
  flowSchemaTable,
  mutatingPolicyBindingTable,
  mutatingPolicyTable,
  mutatingWebhookTable,
  priorityLevelTable,
  validatingPolicyBindingTable,
  validatingPolicyTable,
  validatingWebhookTable,
} from "../../../api/encode/table/extension.ts";
import {
  apiservices,
  customresourcedefinitions,
  flowschemas,
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  mutatingwebhookconfigurations,
  prioritylevelconfigurations,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
  validatingwebhookconfigurations,
} from "../../../api/resources.generated.ts";
import type { CustomResourceDefinition, CustomResourceDefinitionStatus } from "../../../api/types/apiextensions-v1.ts";
import type { APIService } from "../../../api/types/apiregistration-v1.ts";
import { formatTime } from "../../../base/clock.ts";
import { withStatusOf } from "../plain-resource.ts";
import { describe, withStatusKeepingMetadata } from "./describe.ts";
import { pathSegmentName } from "./rbac.ts";

const counted = { countsGeneration: true, allowUnconditionalUpdate: false };

export const validatingWebhookDefinition = describe(validatingwebhookconfigurations, {
  ...counted,
  defaults: defaultValidatingWebhooks,
  table: validatingWebhookTable,
});
export const mutatingWebhookDefinition = describe(mutatingwebhookconfigurations, {
  ...counted,
  defaults: defaultMutatingWebhooks,
  table: mutatingWebhookTable,
});
export const validatingPolicyDefinition = describe(validatingadmissionpolicies, {
  ...counted,
  defaults: defaultValidatingPolicy,
  status: { prepare: withStatusKeepingMetadata },
  table: validatingPolicyTable,
});
export const validatingPolicyBindingDefinition = describe(validatingadmissionpolicybindings, {
  ...counted,
  defaults: defaultValidatingPolicyBinding,
  table: validatingPolicyBindingTable,
});
export const mutatingPolicyDefinition = describe(mutatingadmissionpolicies, {
  ...counted,
  defaults: defaultMutatingPolicy,
  table: mutatingPolicyTable,
});
export const mutatingPolicyBindingDefinition = describe(mutatingadmissionpolicybindings, {
  ...counted,
  defaults: defaultMutatingPolicyBinding,
  table: mutatingPolicyBindingTable,
});

// All three are always on the wire, whether or not there is something to tell.
const unacceptedStatus = { conditions: null, acceptedNames: { plural: "", kind: "" } } as unknown as CustomResourceDefinitionStatus;

/** Versions that objects have ever been stored in are remembered until someone has migrated them. */
function withStoredVersion(definition: CustomResourceDefinition): CustomResourceDefinition {
  const { status } = definition;
  const stored = status?.storedVersions ?? [];
  const version = (definition.spec.versions ?? []).find((v) => v.storage)?.name;
  if (version === undefined || stored.includes(version)) return definition;
  return { ...definition, status: { ...status, storedVersions: [...stored, version] } };
}

export const customResourceDefinitionDefinition = describe<CustomResourceDefinition>(customresourcedefinitions, {
  defaults: defaultCustomResourceDefinition,
  create: { prepare: (definition) => withStoredVersion({ ...definition, status: unacceptedStatus }) },
  update: { prepare: (definition, old) => withStoredVersion(withStatusOf(definition, old)) },
  allowUnconditionalUpdate: false,
});

/** An API that this server serves itself is available from the start. */
function withLocalAvailability(service: APIService, nowMs: number): APIService {
  if (service.spec?.service) return service;
  const condition = {
    type: "Available",
    status: "True",
    lastTransitionTime: formatTime(nowMs),
    reason: "Local",
    message: "Local APIServices are always available",
  };
  return { ...service, status: { conditions: [condition] } };
}

export const apiServiceDefinition = describe<APIService>(apiservices, {
  defaults: defaultApiService,
  validateName: pathSegmentName,
  countsGeneration: false,
  create: { prepare: (service, { nowMs }) => withLocalAvailability(withStatusOf(service, undefined), nowMs) },
  status: { prepare: withStatusKeepingMetadata },
  allowUnconditionalUpdate: false,
  table: apiServiceTable,
});

export const flowSchemaDefinition = describe(flowschemas, {
  defaults: defaultFlowSchema,
  status: { prepare: withStatusKeepingMetadata },
  table: flowSchemaTable,
});

export const priorityLevelDefinition = describe(prioritylevelconfigurations, {
  defaults: defaultPriorityLevel,
  status: { prepare: withStatusKeepingMetadata },
  table: priorityLevelTable,
});
