// How each field of a type is written where Go's JSON encoding decides: which empty values are left out, which absent
// fields are written, and what the field's type is called in decoding errors. Derived from the schema, with the exceptions
// that wire-facts.generated.ts lists.
import type { FieldSchema, ObjectSchema, ValueType } from "./schema.ts";
import { wireFacts } from "./wire-facts.generated.ts";

export interface WireRules {
  /** An explicit "", 0, false or empty list, map or object is left out. */
  readonly dropsEmpty: boolean;
  /** What is written when the field is absent. */
  readonly whenAbsent: "nothing" | "null" | "zero" | "emptyObject";
  /** The name of the field's type in decoding errors: "int32", "v1.PodSpec", "map[string]string". */
  readonly typeName: string;
}

/** Lists that mean something else when they are empty than when they are absent, though neither is written. */
const keptLists = new Set(["autoscaling-v2.HPAScalingRules.policies"]);

/** In the other versions of the group this type is made of v1's. */
const ruleOfV1 = "admissionregistration-v1.NamedRuleWithOperations";
const isRuleOfV1 = /^admissionregistration-v1(alpha|beta)1\.NamedRuleWithOperations$/;

/** Other versions use v1's type. */
const alwaysOfV1 = /^v1(?:alpha|beta)\d+\.(ReinvocationPolicyType)$/;

/** The rules of one field. Types that are not built in (made for a test) follow from `required` and `default` alone. */
export function wireRules(schema: ObjectSchema, field: FieldSchema): WireRules {
  const facts = wireFacts[schema.name] ?? (isRuleOfV1.test(schema.name) ? wireFacts[ruleOfV1] : undefined);
  const [flags = "", name] = (facts?.[field.name] ?? "").split(" ");
  const typeName = name ? name.replace(alwaysOfV1, "v1.$1") : goTypeName(field.type);
  const omits = (!field.required && !flags.includes("!")) || flags.includes("?");
  const pointer = flags.includes("*");
  switch (field.type.kind) {
    case "object": {
      const always = flags.includes("s") || field.default !== undefined;
      if (flags.includes("z")) return { dropsEmpty: true, whenAbsent: "nothing", typeName };
      if (always) return { dropsEmpty: false, whenAbsent: "emptyObject", typeName };
      return { dropsEmpty: false, whenAbsent: omits ? "nothing" : "null", typeName };
    }
    case "array":
    case "map":
    case "bytes":
      return { dropsEmpty: omits && !keptLists.has(`${schema.name}.${field.name}`), whenAbsent: omits ? "nothing" : "null", typeName };
    case "time":
    case "microTime": {
      const left = flags.includes("z") || (pointer && omits);
      return { dropsEmpty: false, whenAbsent: left ? "nothing" : "null", typeName };
    }
    case "any":
      return { dropsEmpty: false, whenAbsent: omits ? "nothing" : "null", typeName };
    case "quantity":
      return { dropsEmpty: false, whenAbsent: pointer ? (omits ? "nothing" : "null") : "zero", typeName };
    case "intOrString":
      return { dropsEmpty: false, whenAbsent: omits ? "nothing" : "zero", typeName };
    default:
      if (pointer) return { dropsEmpty: false, whenAbsent: omits ? "nothing" : "null", typeName };
      return { dropsEmpty: omits, whenAbsent: omits ? "nothing" : "zero", typeName };
  }
}

/** Structs that Go types embed: their fields stand beside the type's own on the wire, and are named with them in decoding errors. */
const embeddedStructs: Readonly<Record<string, (field: string) => readonly string[]>> = {
  "core-v1.Volume": (field) => (field === "name" ? [] : ["VolumeSource"]),
  "core-v1.PersistentVolumeSpec": (field) => (ownVolumeFields.has(field) ? [] : ["PersistentVolumeSource"]),
  "core-v1.Probe": (field) => (probeHandlers.has(field) ? ["ProbeHandler"] : []),
  "core-v1.EphemeralContainer": (field) => (field === "targetContainerName" ? [] : ["EphemeralContainerCommon"]),
  "networking-v1.IngressRule": (field) => (field === "http" ? ["IngressRuleValue"] : []),
  "admissionregistration-v1.RuleWithOperations": (field) => (field === "operations" ? [] : ["Rule"]),
  "admissionregistration-v1.NamedRuleWithOperations": (field) =>
    field === "resourceNames" ? [] : field === "operations" ? ["RuleWithOperations"] : ["RuleWithOperations", "Rule"],
};

const ownVolumeFields = new Set([
  "accessModes",
  "capacity",
  "claimRef",
  "mountOptions",
  "nodeAffinity",
  "persistentVolumeReclaimPolicy",
  "storageClassName",
  "volumeAttributesClassName",
  "volumeMode",
]);
const probeHandlers = new Set(["exec", "grpc", "httpGet", "tcpSocket"]);
const referringTypes = /^core-v1\.(ConfigMap|Secret)(EnvSource|KeySelector|Projection)$|^core-v1\.ConfigMapVolumeSource$/;
const deviceConfigurations = /^resource-v1\.Device(Claim|Allocation|Class)Configuration$/;

/** The names of the structs between a type and its field, the outermost first. */
export function embeddedIn(schema: ObjectSchema, field: string): readonly string[] {
  // Other versions are built like v1.
  const name = schema.name.replace(/^(admissionregistration|resource)-v1(?:alpha|beta)\d+/, "$1-v1");
  const of = embeddedStructs[name];
  if (of) return of(field);
  if (field === "name" && referringTypes.test(name)) return ["LocalObjectReference"];
  if (field === "opaque" && deviceConfigurations.test(name)) return ["DeviceConfiguration"];
  return (field === "kind" || field === "apiVersion") && schema.kinds.length > 0 ? ["TypeMeta"] : [];
}

const scalarNames: Readonly<Record<string, string>> = {
  bytes: "[]uint8",
  boolean: "bool",
  double: "float64",
  quantity: "resource.Quantity",
  intOrString: "int32",
  time: "string",
  microTime: "string",
  any: "runtime.RawExtension",
};

/** What Go calls a type: the package's last part and the name. */
export function goTypeName(type: ValueType): string {
  switch (type.kind) {
    case "array":
      return `[]${goTypeName(type.items)}`;
    case "map":
      return `map[string]${goTypeName(type.values)}`;
    case "object": {
      const [module = "", name = ""] = type.schema.name.split(".");
      return `${module.slice(module.lastIndexOf("-") + 1)}.${name}`;
    }
    default:
      return type.typeName ?? scalarNames[type.kind] ?? type.kind;
  }
}

/** The name of a list's or map's elements, from the name of the list or map where it tells. */
export function elementTypeName(typeName: string, type: ValueType): string {
  if (typeName.startsWith("[]")) return typeName.slice(2);
  return /^map\[[\w.]+\](.+)$/.exec(typeName)?.[1] ?? goTypeName(type);
}
