// Kinds that extend the API server itself: admission webhooks and policies, custom resource definitions, API services, and
// flow control.
import { checkExpression } from "../../../api/cel/expression-check.ts";
import { analyzeRules } from "../../../api/cel/rule-compiler.ts";
import { compileSchemaRules } from "../../../api/cel/validate-rules.ts";
import { definitionFromV1beta1 } from "../../../api/conversion/custom-resource-definition.ts";
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
import { type FieldError, invalidValue } from "../../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../../api/meta/object.ts";
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
import type {
  MutatingAdmissionPolicy,
  MutatingWebhookConfiguration,
  ValidatingAdmissionPolicy,
  ValidatingWebhookConfiguration,
} from "../../../api/types/admissionregistration-v1.ts";
import type { CustomResourceDefinition, CustomResourceDefinitionStatus } from "../../../api/types/apiextensions-v1.ts";
import type { APIService } from "../../../api/types/apiregistration-v1.ts";
import type { FlowSchema, PriorityLevelConfiguration } from "../../../api/types/flowcontrol-v1.ts";
import {
  validateMutatingPolicy,
  validateValidatingPolicy,
  validateValidatingPolicyStatus,
} from "../../../api/validation/admission-policy.ts";
import {
  apiServiceName,
  validateApiService,
  validateApiServiceName,
  validateApiServiceStatus,
} from "../../../api/validation/api-service.ts";
import {
  definitionName,
  validateDefinition,
  validateDefinitionStatus,
  validateDefinitionUpdate,
} from "../../../api/validation/custom-resource-definition.ts";
import { definitionWarnings } from "../../../api/validation/definition-warnings.ts";
import {
  type MandatoryFlowControl,
  validateFlowSchema,
  validateFlowSchemaStatus,
  validatePriorityLevel,
} from "../../../api/validation/flow-control.ts";
import { validateMutatingPolicyBinding, validateValidatingPolicyBinding } from "../../../api/validation/policy-binding.ts";
import { validateWebhooks } from "../../../api/validation/webhook.ts";
import { formatTime } from "../../../base/clock.ts";
import { customResourceDefinitionDeletion } from "../../crd/definition-deletion.ts";
import { mandatoryFlowSchemas, mandatoryPriorityLevels } from "../../flow-control/default-configuration.ts";
import { withStatusOf } from "../plain-resource.ts";
import type { ResourceDefinition } from "../resource-definition.ts";
import { checked, describe, statusKeepsMetadata, storedAlsoAs, withOnlyStatus, withStatusKeepingMetadata } from "./describe.ts";

const ruleTools = { analyze: analyzeRules, compile: compileSchemaRules };

const counted = { countsGeneration: true, allowUnconditionalUpdate: false };

/** Of the names that are kept for what the server reads from files (the gate ManifestBasedAdmissionControlConfig). */
export const staticSuffix = ".static.k8s.io";

const reservedName = `names ending with "${staticSuffix}" are reserved for static manifest-based configurations and cannot be managed via the API`;

const staticNameWarnings = ({ metadata }: KubernetesObject): string[] =>
  metadata.name?.endsWith(staticSuffix) ? [`metadata.name: ${reservedName}`] : [];

/** The definition where the server does read files: what decides about admission cannot be created under a name that is theirs. */
export function withReservedNames(definition: ResourceDefinition): ResourceDefinition {
  const { create } = definition;
  if (create.warnings !== staticNameWarnings) return definition;
  const { warnings: _, ...rest } = create;
  const validate = (object: KubernetesObject): readonly FieldError[] => {
    const { name } = object.metadata;
    const errors = create.validate?.(object) ?? [];
    return name?.endsWith(staticSuffix) ? [...errors, invalidValue("metadata.name", name, reservedName)] : errors;
  };
  return { ...definition, create: { ...rest, validate } };
}

/** Kinds that decide about admission: their validator serves creates and updates. */
const admission = <T extends KubernetesObject>(validate: (object: T, old?: T) => readonly FieldError[]) => {
  const { create, update } = checked(validate);
  return { ...counted, create: { ...create, warnings: staticNameWarnings }, update: { ...update, warnings: staticNameWarnings } };
};

export const validatingWebhookDefinition = describe(validatingwebhookconfigurations, {
  metadataOnUpdate: ["whole"],
  ...admission<ValidatingWebhookConfiguration>((configuration, old) => validateWebhooks(configuration, old, checkExpression)),
  defaults: defaultValidatingWebhooks,
  countsGeneration: "to the letter",
  table: validatingWebhookTable,
});
export const mutatingWebhookDefinition = describe(mutatingwebhookconfigurations, {
  metadataOnUpdate: ["whole"],
  ...admission<MutatingWebhookConfiguration>((configuration, old) => validateWebhooks(configuration, old, checkExpression)),
  defaults: defaultMutatingWebhooks,
  countsGeneration: "to the letter",
  table: mutatingWebhookTable,
});
export const validatingPolicyDefinition = describe(validatingadmissionpolicies, {
  metadataOnUpdate: ["whole"],
  ...admission<ValidatingAdmissionPolicy>((policy, old) => validateValidatingPolicy(policy, old, checkExpression)),
  defaults: defaultValidatingPolicy,
  resetFields: statusKeepsMetadata,
  status: { prepare: withStatusKeepingMetadata, validate: validateValidatingPolicyStatus, metadata: [] },
  table: validatingPolicyTable,
});
export const validatingPolicyBindingDefinition = describe(validatingadmissionpolicybindings, {
  metadataOnUpdate: ["whole"],
  ...admission(validateValidatingPolicyBinding),
  defaults: defaultValidatingPolicyBinding,
  table: validatingPolicyBindingTable,
});
export const mutatingPolicyDefinition = describe(mutatingadmissionpolicies, {
  metadataOnUpdate: ["whole"],
  ...admission<MutatingAdmissionPolicy>((policy, old) => validateMutatingPolicy(policy, old, checkExpression)),
  ...storedAlsoAs(mutatingadmissionpolicies, "v1beta1"),
  defaults: defaultMutatingPolicy,
  table: mutatingPolicyTable,
});
export const mutatingPolicyBindingDefinition = describe(mutatingadmissionpolicybindings, {
  metadataOnUpdate: ["whole"],
  ...admission(validateMutatingPolicyBinding),
  ...storedAlsoAs(mutatingadmissionpolicybindings, "v1beta1"),
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
  validateName: definitionName,
  storedVersions: { "apiextensions.k8s.io/v1beta1": definitionFromV1beta1 },
  defaults: defaultCustomResourceDefinition,
  create: {
    prepare: (definition) => withStoredVersion({ ...definition, status: unacceptedStatus }),
    validate: (definition) => validateDefinition(definition, ruleTools),
    warnings: (definition) => definitionWarnings(definition),
  },
  update: {
    prepare: (definition, old) => withStoredVersion(withStatusOf(definition, old)),
    validate: (definition, old) => validateDefinitionUpdate(definition, old, ruleTools),
    warnings: definitionWarnings,
  },
  status: { validate: validateDefinitionStatus },
  tablelessStatus: true,
  allowUnconditionalUpdate: false,
  deletion: customResourceDefinitionDeletion,
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

/** A status update changes no labels and the like; whether it changes the deletion is checked. */
function withStatusKeepingServiceMetadata(service: APIService, old: APIService): APIService {
  const kept = withStatusKeepingMetadata(service, old);
  const { deletionTimestamp, selfLink } = service.metadata;
  const sent = { ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }), ...(selfLink === undefined ? {} : { selfLink }) };
  return { ...kept, metadata: { ...kept.metadata, ...sent } };
}

export const apiServiceDefinition = describe<APIService>(apiservices, {
  metadataOnUpdate: ["changes", "whole"],
  defaults: defaultApiService,
  validateName: apiServiceName,
  countsGeneration: false,
  create: {
    prepare: (service, { nowMs }) => withLocalAvailability(withStatusOf(service, undefined), nowMs),
    validate: validateApiService,
  },
  update: { validate: (service) => [...validateApiServiceName(service), ...validateApiService(service)] },
  resetFields: statusKeepsMetadata,
  status: { prepare: withStatusKeepingServiceMetadata, validate: validateApiServiceStatus },
  tablelessStatus: true,
  allowUnconditionalUpdate: false,
  table: apiServiceTable,
});

let mandatory: MandatoryFlowControl | undefined;

/** What no one may change, as it is with its defaults. */
function mandatoryFlowControl(): MandatoryFlowControl {
  mandatory ??= {
    schemas: new Map(mandatoryFlowSchemas.map((schema) => [schema.metadata.name ?? "", defaultFlowSchema(schema as FlowSchema).spec])),
    levels: new Map(
      mandatoryPriorityLevels.map((level) => [level.metadata.name ?? "", defaultPriorityLevel(level as PriorityLevelConfiguration).spec]),
    ),
  };
  return mandatory;
}

/** The status of an update, and who wrote it; all else of the metadata stays as it was. */
function withStatusAndOldMetadata<T extends KubernetesObject>(object: T, old: T): T {
  const { managedFields } = object.metadata;
  return withOnlyStatus({ ...object, metadata: { ...old.metadata, ...(managedFields ? { managedFields } : {}) } }, old);
}

export const flowSchemaDefinition = describe(flowschemas, {
  metadataOnUpdate: ["whole"],
  ...checked<FlowSchema>((schema) => validateFlowSchema(schema, mandatoryFlowControl())),
  defaults: defaultFlowSchema,
  resetFields: statusKeepsMetadata,
  status: { prepare: withStatusAndOldMetadata, validate: validateFlowSchemaStatus },
  table: flowSchemaTable,
});

export const priorityLevelDefinition = describe(prioritylevelconfigurations, {
  metadataOnUpdate: ["whole"],
  ...checked<PriorityLevelConfiguration>((level) => validatePriorityLevel(level, mandatoryFlowControl())),
  defaults: defaultPriorityLevel,
  resetFields: statusKeepsMetadata,
  status: { prepare: withStatusAndOldMetadata, validate: validateFlowSchemaStatus },
  table: priorityLevelTable,
});
