// Tables of the kinds that extend the API server: webhooks, admission policies, API services, flow control.
import { findCondition } from "../../semantics/conditions.ts";
import type {
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  MutatingWebhookConfiguration,
  ParamKind,
  ParamRef,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhookConfiguration,
} from "../../types/admissionregistration-v1.ts";
import type { APIService } from "../../types/apiregistration-v1.ts";
import type { FlowSchema, PriorityLevelConfiguration } from "../../types/flowcontrol-v1.ts";
import { age, ageColumn, column, nameColumn } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

function webhookTable<C extends ValidatingWebhookConfiguration | MutatingWebhookConfiguration>(): TableConvertor<C> {
  return {
    columns: [
      nameColumn,
      column("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration", "integer"),
      ageColumn,
    ],
    cells: (configuration, nowMs) => [configuration.metadata.name, (configuration.webhooks ?? []).length, age(configuration, nowMs)],
  };
}

export const validatingWebhookTable = webhookTable<ValidatingWebhookConfiguration>();
export const mutatingWebhookTable = webhookTable<MutatingWebhookConfiguration>();

const paramKindColumn = column("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy");
const paramKindText = (kind: ParamKind | undefined): string => (kind ? `${kind.apiVersion}/${kind.kind}` : "<unset>");

export const validatingPolicyTable: TableConvertor<ValidatingAdmissionPolicy> = {
  columns: [
    nameColumn,
    column("Validations", "Validations indicates the number of validation rules defined in this configuration", "integer"),
    paramKindColumn,
    ageColumn,
  ],
  cells: (policy, nowMs) => {
    const { metadata, spec } = policy;
    return [metadata.name, (spec?.validations ?? []).length, paramKindText(spec?.paramKind), age(policy, nowMs)];
  },
};

export const mutatingPolicyTable: TableConvertor<MutatingAdmissionPolicy> = {
  columns: [
    nameColumn,
    column("Mutations", "Mutation indicates the number of mutations rules defined in this configuration", "integer"),
    paramKindColumn,
    ageColumn,
  ],
  cells: (policy, nowMs) => {
    const { metadata, spec } = policy;
    return [metadata.name, (spec?.mutations ?? []).length, paramKindText(spec?.paramKind), age(policy, nowMs)];
  },
};

/** "namespace/name", "*\/name" where the scope cannot be told, or the selector as Go prints the struct. */
function paramRefText(ref: ParamRef | undefined): string {
  if (ref?.name) return `${ref.namespace || "*"}/${ref.name}`;
  if (!ref?.selector) return "<unset>";
  const { matchLabels = {}, matchExpressions = [] } = ref.selector;
  const labels = Object.keys(matchLabels)
    .sort()
    .map((key) => `${key}: ${matchLabels[key]},`)
    .join("");
  const expressions = matchExpressions.map(
    ({ key, operator, values = [] }) => `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(" ")}],},`,
  );
  return `&LabelSelector{MatchLabels:map[string]string{${labels}},MatchExpressions:[]LabelSelectorRequirement{${expressions.join("")}},}`;
}

function policyBindingTable<B extends ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding>(): TableConvertor<B> {
  return {
    columns: [
      nameColumn,
      column("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
      column("ParamRef", "ParamRef indicates the param resource which sets the configuration param"),
      ageColumn,
    ],
    cells: (binding, nowMs) => {
      const { metadata, spec } = binding;
      return [metadata.name, spec?.policyName ?? "", paramRefText(spec?.paramRef), age(binding, nowMs)];
    },
  };
}

export const validatingPolicyBindingTable = policyBindingTable<ValidatingAdmissionPolicyBinding>();
export const mutatingPolicyBindingTable = policyBindingTable<MutatingAdmissionPolicyBinding>();

/** "True", or "False (MissingEndpoints)". */
function availabilityText({ status }: APIService): string {
  const available = findCondition(status?.conditions, "Available");
  if (!available) return "Unknown";
  return available.status === "True" || !available.reason ? available.status : `${available.status} (${available.reason})`;
}

export const apiServiceTable: TableConvertor<APIService> = {
  columns: [
    nameColumn,
    column("Service", "The reference to the service that hosts this API endpoint."),
    column("Available", "Whether this service is available."),
    ageColumn,
  ],
  cells: (service, nowMs) => {
    const { metadata, spec } = service;
    const host = spec?.service ? `${spec.service.namespace}/${spec.service.name}` : "Local";
    return [metadata.name, host, availabilityText(service), age(service, nowMs)];
  },
};

export const flowSchemaTable: TableConvertor<FlowSchema> = {
  columns: [
    nameColumn,
    column("PriorityLevel", texts.PriorityLevelConfigurationReference.name),
    column("MatchingPrecedence", texts.FlowSchemaSpec.matchingPrecedence),
    column("DistinguisherMethod", texts.FlowSchemaSpec.distinguisherMethod),
    ageColumn,
    column("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
  ],
  cells: (schema, nowMs) => {
    const { metadata, spec, status } = schema;
    return [
      metadata.name,
      spec.priorityLevelConfiguration.name,
      spec.matchingPrecedence ?? 0,
      spec.distinguisherMethod?.type ?? "<none>",
      age(schema, nowMs),
      status?.conditions?.find((condition) => condition.type === "Dangling")?.status ?? "?",
    ];
  },
  // As they are tried.
  compare: (a, b) => (a.spec.matchingPrecedence ?? 0) - (b.spec.matchingPrecedence ?? 0) || (a.metadata.name < b.metadata.name ? -1 : 1),
};

export const priorityLevelTable: TableConvertor<PriorityLevelConfiguration> = {
  columns: [
    nameColumn,
    column("Type", texts.PriorityLevelConfigurationSpec.type),
    column("NominalConcurrencyShares", texts.LimitedPriorityLevelConfiguration.nominalConcurrencyShares),
    column("Queues", texts.QueuingConfiguration.queues),
    column("HandSize", texts.QueuingConfiguration.handSize),
    column("QueueLengthLimit", texts.QueuingConfiguration.queueLengthLimit),
    ageColumn,
  ],
  cells: (level, nowMs) => {
    const { metadata, spec } = level;
    const queuing = spec?.limited?.limitResponse?.queuing;
    return [
      metadata.name,
      spec?.type ?? "",
      spec?.limited ? (spec.limited.nominalConcurrencyShares ?? 0) : "<none>",
      queuing?.queues ?? "<none>",
      queuing?.handSize ?? "<none>",
      queuing?.queueLengthLimit ?? "<none>",
      age(level, nowMs),
    ];
  },
};
