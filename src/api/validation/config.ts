// Validation of config maps, secrets and leases.
import { semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, forbiddenField, invalidValue, required, tooLong } from "../meta/field-error.ts";
import { byteLength, isConfigMapKey, isQualifiedName } from "../meta/names.ts";
import { sentEmptyOf } from "../meta/sent-empty.ts";
import type { Lease } from "../types/coordination-v1.ts";
import type { ConfigMap, Secret } from "../types/core-v1.ts";
import { addProblems, checkImmutable, checkNonNegative, checkSupported } from "./rules.ts";

const maxDataBytes = 1024 * 1024;

/** The number of bytes that a base64 text stands for. */
function decodedLength(base64: string): number {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}

const frozen = "field is immutable when `immutable` is set";

interface Freezable {
  readonly immutable?: boolean;
}

/** An object that was made immutable stays as it is. */
function validateFrozen<T extends Freezable>(
  errors: FieldError[],
  object: T,
  old: T | undefined,
  { fields, defaulted }: { readonly fields: readonly (keyof T & string)[]; readonly defaulted?: keyof T & string },
): void {
  if (!old?.immutable) return;
  if (!object.immutable) errors.push(forbiddenField("immutable", frozen));
  for (const field of fields) {
    // Upstream tells an empty map from none, but a config map without data gets an empty one by default.
    const isNowEmpty = field !== defaulted && old[field] === undefined && (sentEmptyOf(object, field) ?? undefined) !== undefined;
    if (isNowEmpty || !semanticallyEqual(object[field], old[field])) errors.push(forbiddenField(field, frozen));
  }
}

export function validateConfigMap(map: ConfigMap, old?: ConfigMap): FieldError[] {
  const errors: FieldError[] = [];
  validateFrozen(errors, map, old, { fields: ["data", "binaryData"], defaulted: "data" });
  const { data = {}, binaryData = {} } = map;
  let bytes = 0;
  for (const key in data) {
    addProblems(errors, `data[${key}]`, key, isConfigMapKey(key));
    if (key in binaryData) errors.push(invalidValue(`data[${key}]`, key, "duplicate of key present in binaryData"));
    bytes += byteLength(data[key] ?? "");
  }
  for (const key in binaryData) {
    addProblems(errors, `binaryData[${key}]`, key, isConfigMapKey(key));
    bytes += decodedLength(binaryData[key] ?? "");
  }
  if (bytes > maxDataBytes) errors.push(tooLong("", maxDataBytes));
  return errors;
}

export function validateSecret(secret: Secret, old?: Secret): FieldError[] {
  const errors: FieldError[] = [];
  if (old) checkImmutable(errors, "type", secret.type ?? "", old.type ?? "");
  validateFrozen(errors, secret, old, { fields: ["data"] });
  const { data = {} } = secret;
  let bytes = 0;
  for (const key in data) {
    addProblems(errors, `data[${key}]`, key, isConfigMapKey(key));
    bytes += decodedLength(data[key] ?? "");
  }
  if (bytes > maxDataBytes) errors.push(tooLong("data", maxDataBytes));
  validateSecretType(errors, secret, data);
  return errors;
}

type Data = Readonly<Record<string, string>>;

const accountKey = "kubernetes.io/service-account.name";

/** What secrets of the known types must hold. */
function validateSecretType(errors: FieldError[], { type, metadata }: Secret, data: Data): void {
  const requireKeys = (...keys: readonly string[]): void => {
    for (const key of keys) if (data[key] === undefined) errors.push(required(`data[${key}]`));
  };
  switch (type) {
    case "kubernetes.io/service-account-token":
      if (!metadata.annotations?.[accountKey]) errors.push(required(`metadata.annotations[${accountKey}]`));
      break;
    case "kubernetes.io/dockercfg":
      validateJson(errors, ".dockercfg", data);
      break;
    case "kubernetes.io/dockerconfigjson":
      validateJson(errors, ".dockerconfigjson", data);
      break;
    case "kubernetes.io/basic-auth":
      if (data["username"] === undefined && data["password"] === undefined) requireKeys("username", "password");
      break;
    case "kubernetes.io/ssh-auth":
      if (!data["ssh-privatekey"]) errors.push(required("data[ssh-privatekey]"));
      break;
    case "kubernetes.io/tls":
      requireKeys("tls.crt", "tls.key");
      break;
    default:
  }
}

function validateJson(errors: FieldError[], key: string, data: Data): void {
  const encoded = data[key];
  if (encoded === undefined) {
    errors.push(required(`data[${key}]`));
    return;
  }
  const problem = jsonObjectProblem(new TextDecoder().decode(Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0))));
  if (problem !== undefined) errors.push(invalidValue(`data[${key}]`, "<secret contents redacted>", problem));
}

/** Why a text is no JSON object, as Go's decoder says it; undefined when it is one. */
function jsonObjectProblem(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return goSyntaxProblem(text);
  }
  if (value === null || (typeof value === "object" && !Array.isArray(value))) return undefined;
  const kind = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  return `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`;
}

/** A text that ends too early, or the first character that cannot begin a value. */
function goSyntaxProblem(text: string): string {
  const first = text.trimStart().charAt(0);
  if (first === "" || '{["-0123456789tfn'.includes(first)) return "unexpected end of JSON input";
  return `invalid character '${first}' looking for beginning of value`;
}

const strategies = ["OldestEmulationVersion"];

export function validateLease({ spec = {} }: Lease): FieldError[] {
  const errors: FieldError[] = [];
  const { leaseDurationSeconds: duration, leaseTransitions, strategy, preferredHolder } = spec;
  if (duration !== undefined && duration <= 0) errors.push(invalidValue("spec.leaseDurationSeconds", duration, "must be greater than 0"));
  checkNonNegative(errors, "spec.leaseTransitions", leaseTransitions);
  if (strategy !== undefined) {
    // The path names the field twice, as upstream's does.
    if (strategy.includes("/")) addProblems(errors, "spec.strategy.strategy", strategy, isQualifiedName(strategy));
    else checkSupported(errors, "spec.strategy.strategy", strategy, strategies);
  }
  if (preferredHolder && !strategy) errors.push(forbiddenField("spec.preferredHolder", "may only be specified if `strategy` is defined"));
  return errors;
}
