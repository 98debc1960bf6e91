// References to fields and resources of the pod itself: values of environment variables and files of downward API volumes.
import { type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isQualifiedName } from "../meta/names.ts";
import { parseQuantity } from "../meta/quantity.ts";
import type { ObjectFieldSelector, ResourceFieldSelector } from "../types/core-v1.ts";
import { addProblems } from "./rules.ts";

/** Fields that environment variables can take their value from. */
export const environmentFields = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];

/** Fields that files of volumes can show. */
export const volumeFields = ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

const knownFields = new Set([...environmentFields, ...volumeFields, "spec.restartPolicy", "spec.schedulerName", "status.phase"]);

const resources = [
  "limits.cpu",
  "limits.ephemeral-storage",
  "limits.memory",
  "requests.cpu",
  "requests.ephemeral-storage",
  "requests.memory",
];

export function validateFieldReference(
  errors: FieldError[],
  field: string,
  reference: ObjectFieldSelector,
  supported: readonly string[],
): void {
  const { apiVersion, fieldPath } = reference;
  if (!apiVersion) errors.push(required(`${field}.apiVersion`));
  else if (!fieldPath) errors.push(required(`${field}.fieldPath`));
  else validatePath(errors, field, apiVersion, fieldPath, supported);
}

function validatePath(errors: FieldError[], field: string, apiVersion: string, fieldPath: string, supported: readonly string[]): void {
  const unconvertible = (why: string): void => {
    errors.push(invalidValue(`${field}.fieldPath`, fieldPath, `error converting fieldPath: ${why}`));
  };
  if (apiVersion !== "v1") return unconvertible(`unsupported pod version: ${apiVersion}`);
  const subscripted = /^(.+?)\['(.*)'\]$/s.exec(fieldPath);
  if (subscripted) {
    const [, path, key = ""] = subscripted;
    if (path !== "metadata.annotations" && path !== "metadata.labels")
      return unconvertible(`field label does not support subscript: ${fieldPath}`);
    const name = path === "metadata.annotations" ? key.toLowerCase() : key;
    return addProblems(errors, field, name, isQualifiedName(name));
  }
  const path = fieldPath === "spec.host" ? "spec.nodeName" : fieldPath;
  if (!knownFields.has(path)) return unconvertible(`field label not supported: ${fieldPath}`);
  if (!supported.includes(path)) errors.push(notSupported(`${field}.fieldPath`, path, supported));
}

export function validateResourceReference(errors: FieldError[], field: string, reference: ResourceFieldSelector, inVolume: boolean): void {
  const { containerName, resource, divisor } = reference;
  if (inVolume && !containerName) errors.push(required(`${field}.containerName`));
  else if (!resource) errors.push(required(`${field}.resource`));
  else if (!resources.includes(resource) && !/^(limits|requests)\.hugepages-/.test(resource))
    errors.push(notSupported(`${field}.resource`, resource, resources));
  if (resource && divisor !== undefined) validateDivisor(errors, `${field}.divisor`, resource, String(parseQuantity(divisor)));
}

const sizes = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
const sizeNames: Readonly<Record<string, string>> = { memory: "memory", "ephemeral-storage": "local ephemeral storage" };

function validateDivisor(errors: FieldError[], field: string, resource: string, divisor: string): void {
  if (divisor === "0") return;
  const kind = resource.slice(resource.indexOf(".") + 1);
  if (kind === "cpu") {
    if (divisor !== "1m" && divisor !== "1")
      errors.push(invalidValue(field, resource, "only divisor's values 1m and 1 are supported with the cpu resource"));
    return;
  }
  const name = kind.startsWith("hugepages-") ? "hugepages" : sizeNames[kind];
  if (name !== undefined && !sizes.includes(divisor))
    errors.push(invalidValue(field, resource, `only divisor's values ${sizes.join(", ")} are supported with the ${name} resource`));
}
