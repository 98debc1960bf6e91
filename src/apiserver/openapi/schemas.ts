// Models of OpenAPI v2 and v3 made from the schema tables. The two differ in small ways that clients rely on: v3 keeps
// defaults and wraps a reference with siblings in allOf, v2 has neither; types that are several JSON types at once are
// strings in v2.
import { factsOf as knownFacts } from "../../api/schema/schema.ts";
import type { FieldFacts, TypeFacts } from "../../api/schema/table.ts";
import type { Descriptions } from "./descriptions.ts";
import { allKnownVersions, type GroupVersionName, versionsBesideCustom } from "./known-versions.ts";
import { modelName } from "./names.ts";

export type OpenApiVersion = 2 | 3;
export type Model = Record<string, unknown>;

/** What JSON a type is that has no fields of its own. */
const scalarModels: Readonly<Record<string, (version: OpenApiVersion) => Model>> = {
  "quantity.Quantity": (v) => (v === 3 ? { oneOf: [{ type: "string" }, { type: "number" }] } : { type: "string" }),
  "intstr.IntOrString": (v) =>
    v === 3 ? { format: "int-or-string", oneOf: [{ type: "integer" }, { type: "string" }] } : { type: "string", format: "int-or-string" },
  "meta-v1.Time": () => ({ type: "string", format: "date-time" }),
  "meta-v1.MicroTime": () => ({ type: "string", format: "date-time" }),
  "meta-v1.FieldsV1": () => ({ type: "object" }),
  "meta-v1.Patch": () => ({ type: "object" }),
  "runtime.RawExtension": () => ({ type: "object" }),
  "apiextensions-v1.CustomResourceSubresourceStatus": () => ({ type: "object" }),
  "apiserverinternal-v1alpha1.StorageVersionSpec": () => ({ type: "object" }),
  "scheduling-v1alpha2.BasicSchedulingPolicy": () => ({ type: "object" }),
};

/** Types that clients send to every group: they count as kinds of each, in the one document of all groups and in their own. */
const kindsOfEveryGroup = new Set(["meta-v1.DeleteOptions", "meta-v1.WatchEvent"]);

const accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const quotaScopes = "BestEffort CrossNamespacePodAffinity NotBestEffort NotTerminating PriorityClass Terminating VolumeAttributesClass";
const keyUsages =
  "any,cert sign,client auth,code signing,content commitment,crl sign,data encipherment,decipher only,digital signature,email protection," +
  "encipher only,ipsec end system,ipsec tunnel,ipsec user,key agreement,key encipherment,microsoft sgc,netscape sgc,ocsp signing,s/mime," +
  "server auth,signing,timestamping";

/** The values that elements of a list or map may have; the schema tables know enums of plain fields only. */
const elementEnums: Readonly<Record<string, readonly string[]>> = {
  "admissionregistration-v1.NamedRuleWithOperations.operations": operations,
  "admissionregistration-v1alpha1.NamedRuleWithOperations.operations": operations,
  "admissionregistration-v1beta1.NamedRuleWithOperations.operations": operations,
  "admissionregistration-v1.RuleWithOperations.operations": operations,
  "admissionregistration-v1.ValidatingAdmissionPolicyBindingSpec.validationActions": ["Audit", "Deny", "Warn"],
  "certificates-v1.CertificateSigningRequestSpec.usages": keyUsages.split(","),
  "core-v1.ResourceQuotaSpec.scopes": quotaScopes.split(" "),
  "core-v1.ServiceSpec.ipFamilies": ["", "IPv4", "IPv6"],
  "core-v1.PersistentVolumeSpec.accessModes": accessModes,
  "core-v1.PersistentVolumeClaimSpec.accessModes": accessModes,
  "core-v1.PersistentVolumeClaimStatus.accessModes": accessModes,
  "core-v1.PersistentVolumeClaimStatus.allocatedResourceStatuses": [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
  ],
  "networking-v1.NetworkPolicySpec.policyTypes": ["Egress", "Ingress"],
};

export interface SchemaContext {
  readonly version: OpenApiVersion;
  readonly descriptions: Descriptions;
  /** The group version that a v3 document is about; "custom" for one of custom resources. */
  readonly own?: GroupVersionName | "custom" | undefined;
}

export function reference(type: string, version: OpenApiVersion): Model {
  return { $ref: `${version === 3 ? "#/components/schemas/" : "#/definitions/"}${modelName(type)}` };
}

/** The models of these types and of all they refer to, by model name. */
export function modelsOf(roots: Iterable<string>, context: SchemaContext): Record<string, Model> {
  const types = new Set(roots);
  // A set's iteration goes on to what is added while it runs.
  for (const type of types)
    for (const field of Object.values(factsOf(type).fields ?? {})) {
      const referred = elementOf(typeOf(field));
      if (isTypeName(referred)) types.add(referred);
    }
  return Object.fromEntries([...types].sort().map((type) => [modelName(type), model(type, context)]));
}

function factsOf(type: string): TypeFacts {
  const facts = knownFacts(type);
  if (!facts) throw new Error(`no type ${type} in the API schema`);
  return facts;
}

const typeOf = (field: FieldFacts): string => (typeof field === "string" ? field : field.type);

/** What an array or map is of, at any depth. */
function elementOf(type: string): string {
  return type.startsWith("[") || type.startsWith("{") ? elementOf(type.slice(1, -1)) : type;
}

/** "module.Type", as against "string" or "integer:int32". */
const isTypeName = (type: string): boolean => type.includes(".");

function model(type: string, context: SchemaContext): Model {
  const facts = factsOf(type);
  const description = context.descriptions.ofType(type);
  const described = description === undefined ? {} : { description };
  if (!facts.fields) return { ...described, ...scalarModels[type]?.(context.version) };
  const properties = Object.fromEntries(Object.entries(facts.fields).map(([name, f]) => [name, property(type, name, f, context)]));
  const kinds = kindsOfEveryGroup.has(type) ? kindsSent(type, context) : (facts.kinds ?? []).map(parseKind);
  return {
    ...described,
    type: "object",
    ...(facts.required ? { required: facts.required } : {}),
    ...(Object.keys(properties).length > 0 ? { properties } : {}),
    ...(kinds.length > 0 ? { "x-kubernetes-group-version-kind": kinds } : {}),
    ...(facts.mapType ? { "x-kubernetes-map-type": facts.mapType } : {}),
    ...(facts.unions ? { "x-kubernetes-unions": facts.unions } : {}),
  };
}

function kindsSent(type: string, context: SchemaContext): Model[] {
  const kind = type.slice(type.lastIndexOf(".") + 1);
  return sentTo(context).map(({ group, version }) => ({ group, kind, version }));
}

function sentTo({ version, own }: SchemaContext): readonly GroupVersionName[] {
  if (version === 2) return allKnownVersions;
  if (own === "custom") return versionsBesideCustom;
  const core = { group: "", version: "v1" };
  return own === undefined || own.group === "" ? [core] : [core, own];
}

/** "apps/v1/Deployment" or "v1/Pod". */
function parseKind(text: string): Model {
  const parts = text.split("/");
  const [kind, version, group] = parts.reverse();
  return { group: group ?? "", kind, version };
}

function property(owner: string, name: string, field: FieldFacts, context: SchemaContext): Model {
  const type = typeOf(field);
  const facts = typeof field === "string" ? undefined : field;
  const words = context.descriptions.ofField(owner, name) ?? inheritedDescription(owner, name, type, context);
  const description = withValues(words, facts?.enum);
  const siblings: Model = {
    ...(description === undefined ? {} : { description }),
    ...(context.version === 3 && facts?.default !== undefined ? { default: facts.default } : {}),
    ...(facts?.listMapKeys ? { "x-kubernetes-list-map-keys": facts.listMapKeys } : {}),
    ...(facts?.listType ? { "x-kubernetes-list-type": facts.listType } : {}),
    ...(facts?.mapType ? { "x-kubernetes-map-type": facts.mapType } : {}),
    ...(facts?.patchMergeKey ? { "x-kubernetes-patch-merge-key": facts.patchMergeKey } : {}),
    ...(facts?.patchStrategy ? { "x-kubernetes-patch-strategy": facts.patchStrategy } : {}),
  };
  const value = valueModel(type, context.version);
  const elements = elementEnums[`${owner}.${name}`];
  if (facts?.enum) value.enum = facts.enum;
  const among = "items" in value ? "items" : "additionalProperties";
  if (elements) value[among] = { ...(value[among] as Model), enum: elements };
  if (context.version === 3 && "$ref" in value && Object.keys(siblings).length > 0) return { ...siblings, allOf: [value] };
  return { ...value, ...siblings };
}

/** What a field may be is told in words too. */
function withValues(description: string | undefined, values: readonly string[] | undefined): string | undefined {
  if (description === undefined || !values || description.includes("Possible enum values:")) return description;
  return `${description}\n\nPossible enum values:\n${values.map((value) => ` - \`${JSON.stringify(value)}\``).join("\n")}`;
}

export const conventions = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

/** Their fields that are objects have no descriptions upstream either. */
const undescribed: ReadonlySet<string> = new Set([
  "apiextensions-v1.JSONSchemaProps",
  "networking-v1.IngressRule",
  "certificates-v1.CertificateSigningRequest",
  "certificates-v1.CertificateSigningRequestList",
]);

/**
 * Of versions that are not stable, the source of the descriptions has none for fields that are objects of another type: those
 * that all kinds share get upstream's words, the others the first sentence about their type.
 */
function inheritedDescription(owner: string, name: string, type: string, { descriptions }: SchemaContext): string | undefined {
  if (undescribed.has(owner)) return undefined;
  if (type === "meta-v1.ObjectMeta") return `Standard object's metadata. More info: ${conventions}#metadata`;
  if (type === "meta-v1.ListMeta") return `Standard list metadata. More info: ${conventions}#types-kinds`;
  if (!isTypeName(type) || type.startsWith("[") || type.startsWith("{")) return undefined;
  const described = factsOf(type).fields ? descriptions.ofType(type) : undefined;
  if (described === undefined) return undefined;
  const sentence = /^.*?\.(?=\s|$)/s.exec(described)?.[0] ?? described;
  return name === "spec" || name === "status" ? `${sentence} More info: ${conventions}#spec-and-status` : sentence;
}

function valueModel(type: string, version: OpenApiVersion): Model {
  if (type.startsWith("[")) return { type: "array", items: valueModel(type.slice(1, -1), version) };
  if (type.startsWith("{")) return { type: "object", additionalProperties: valueModel(type.slice(1, -1), version) };
  if (isTypeName(type)) return reference(type, version);
  const [name, format] = type.split(":");
  return { type: name, ...(format === undefined ? {} : { format }) };
}
