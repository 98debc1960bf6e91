// What the kinds of resource.k8s.io share: names of drivers, pools, requests and attributes, taints and tolerations,
// configuration for drivers, and lists with a limit, whose items are not looked at beyond it.
import { duplicate, type FieldError, invalidValue, required, tooLong, tooMany } from "../meta/field-error.ts";
import { byteLength, isCIdentifier, isDNS1123Label, isDNS1123Subdomain, isLabelValue, isQualifiedName } from "../meta/names.ts";
import type { DeviceSelector, DeviceTaint, DeviceToleration, OpaqueDeviceConfiguration } from "../types/resource-v1.ts";
import type { ExpressionCheck } from "./expression-check.ts";
import { repeats } from "./repeats.ts";
import { addProblems, checkSupported } from "./rules.ts";
import { validateCSIDriverName } from "./volume-plugins.ts";

/** Drivers have the names of CSI drivers. */
export const validateDriverName = validateCSIDriverName;

const maxPoolName = 253;
const maxIdentifier = 32;
const maxSelectors = 32;
const maxExpressionBytes = 10 * 1024;
const maxParameterBytes = 10 * 1024;
const maxBindingConditions = 4;

type Check<T> = (item: T, field: string) => void;

/** Each item of a list that has at most `max` of them; of a longer one only its length is reported. Whether it was short enough. */
export function validateItems<T>(
  errors: FieldError[],
  field: string,
  items: readonly T[],
  { max, check }: { readonly max: number; readonly check: Check<T> },
): boolean {
  if (items.length > max) {
    errors.push(tooMany(field, items.length, max));
    return false;
  }
  for (const [i, item] of items.entries()) check(item, `${field}[${i}]`);
  return true;
}

/** The same of a list whose items differ by a key; duplicates come after the items' own problems. */
export function validateUniqueItems<T>(
  errors: FieldError[],
  field: string,
  items: readonly T[],
  rules: { readonly max: number; readonly check: Check<T>; keyOf(item: T): string; shown?(item: T): unknown },
): void {
  if (!validateItems(errors, field, items, rules)) return;
  const keys = new Set<string>();
  for (const [i, item] of items.entries()) {
    const key = rules.keyOf(item);
    if (keys.has(key)) errors.push(duplicate(`${field}[${i}]`, rules.shown?.(item) ?? key));
    keys.add(key);
  }
}

export const itself = (text: string): string => text;

/** Each entry of a map, by its key in brackets; a key that is too long is shown without its middle. */
export function validateEntries<T>(
  errors: FieldError[],
  field: string,
  entries: Readonly<Record<string, T>> | undefined,
  rules: { readonly max: number; readonly maxKey: number; readonly checkKey: Check<string>; readonly check?: Check<T> },
): void {
  const list = Object.entries(entries ?? {});
  if (list.length > rules.max) {
    errors.push(tooMany(field, list.length, rules.max));
    return;
  }
  for (const [key, value] of list) {
    rules.checkKey(key, field);
    rules.check?.(value, `${field}[${shortened(key, rules.maxKey)}]`);
  }
}

function shortened(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const remaining = maxLength - 3;
  return `${text.slice(0, Math.floor((remaining + 1) / 2))}...${text.slice(text.length - Math.floor(remaining / 2))}`;
}

export const checkLabelName = (errors: FieldError[], field: string, name: string): void =>
  addProblems(errors, field, name, isQualifiedName(name));
export const checkDnsLabel = (errors: FieldError[], field: string, name = ""): void =>
  addProblems(errors, field, name, isDNS1123Label(name));

/** "pool", "rack/pool". */
export function validatePoolName(errors: FieldError[], field: string, name = ""): void {
  if (name === "") {
    errors.push(required(field));
    return;
  }
  if (byteLength(name) > maxPoolName) errors.push(tooLong(field, maxPoolName));
  for (const part of name.split("/")) addProblems(errors, field, part, isDNS1123Subdomain(part));
}

/** The longest key of an attribute or a capacity: a domain, a slash, an identifier. */
export const maxQualifiedName = 63 + 1 + maxIdentifier;

/** "model", "gpu.example.com/model". */
export function validateQualifiedName(errors: FieldError[], field: string, name: string): void {
  const parts = name.split("/");
  const [first = "", second] = parts;
  if (parts.length === 1) validateIdentifier(errors, field, first);
  if (parts.length !== 2 || second === undefined) return;
  if (first === "") errors.push(invalidValue(field, "", "the domain must not be empty"));
  else validateDriverName(errors, field, first);
  if (second === "") errors.push(invalidValue(field, "", "the name must not be empty"));
  else validateIdentifier(errors, field, second);
}

/** The same, with a domain. */
export function validateFullyQualifiedName(errors: FieldError[], field: string, name: string): void {
  validateQualifiedName(errors, field, name);
  if (!name.includes("/"))
    errors.push(invalidValue(field, name, "a fully qualified name must be a domain and a name separated by a slash"));
}

function validateIdentifier(errors: FieldError[], field: string, name: string): void {
  if (byteLength(name) > maxIdentifier) errors.push(tooLong(field, maxIdentifier));
  addProblems(errors, field, name, isCIdentifier(name));
}

const uidForm = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;

export function validateUid(errors: FieldError[], field: string, uid: string): void {
  const problem = uidProblem(uid);
  if (problem !== undefined) errors.push(invalidValue(field, uid, `error validating uid: ${problem}`));
  else if (uid.length !== 36 || uid !== uid.toLowerCase())
    errors.push(
      invalidValue(
        field,
        uid,
        "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters",
      ),
    );
}

/** UIDs come plain, as URNs, in braces, or without dashes. */
function uidProblem(uid: string): string | undefined {
  const malformed = "invalid UUID format";
  switch (uid.length) {
    case 36:
      return uidForm.test(uid) ? undefined : malformed;
    case 45:
      if (uid.slice(0, 9).toLowerCase() !== "urn:uuid:") return `invalid urn prefix: ${JSON.stringify(uid.slice(0, 9))}`;
      return uidForm.test(uid.slice(9)) ? undefined : malformed;
    case 38:
      if (!uid.startsWith("{") || !uid.endsWith("}")) return "invalid bracketed UUID format";
      return uidForm.test(uid.slice(1, -1)) ? undefined : malformed;
    case 32:
      return /^[0-9a-fA-F]{32}$/.test(uid) ? undefined : malformed;
    default:
      return `invalid UUID length: ${byteLength(uid)}`;
  }
}

/** `stored`: the object had these selectors before. */
export function validateSelectors(
  errors: FieldError[],
  field: string,
  selectors: readonly DeviceSelector[] | undefined,
  { stored, check }: { readonly stored: boolean; readonly check: ExpressionCheck | undefined },
): void {
  const one = ({ cel }: DeviceSelector, at: string): void => {
    const path = `${at}.cel.expression`;
    if (!cel) errors.push(required(`${at}.cel`));
    else if (byteLength(cel.expression ?? "") > maxExpressionBytes) errors.push(tooLong(path, maxExpressionBytes));
    else
      check?.(errors, {
        purpose: "deviceSelector",
        field: path,
        expression: cel.expression ?? "",
        hasParams: false,
        variables: [],
        stored,
      });
  };
  validateItems(errors, field, selectors ?? [], { max: maxSelectors, check: one });
}

export function validateDeviceConfiguration(
  errors: FieldError[],
  field: string,
  { opaque }: { readonly opaque?: OpaqueDeviceConfiguration },
  stored = false,
): void {
  if (!opaque) {
    errors.push(required(`${field}.opaque`));
    return;
  }
  validateDriverName(errors, `${field}.opaque.driver`, opaque.driver);
  validateRawObject(errors, `${field}.opaque.parameters`, opaque.parameters, stored ? undefined : maxParameterBytes);
}

/** A JSON object of somebody else's, of limited length where `maxBytes` says so. */
export function validateRawObject(errors: FieldError[], field: string, value: unknown, maxBytes: number | undefined): void {
  if (value === undefined || value === null) errors.push(required(field));
  else if (maxBytes !== undefined && byteLength(JSON.stringify(value)) > maxBytes) errors.push(tooLong(field, maxBytes));
  else if (typeof value !== "object" || Array.isArray(value))
    errors.push(invalidValue(field, "<value omitted>", "must be a valid JSON object"));
}

const taintEffects = ["NoExecute", "NoSchedule", "None"];

const checkLabelValue = (errors: FieldError[], field: string, value: string): void =>
  addProblems(errors, field, value, isLabelValue(value));

export function validateTaint(errors: FieldError[], field: string, { key = "", value = "", effect }: DeviceTaint): void {
  checkLabelName(errors, `${field}.key`, key);
  if (value !== "") checkLabelValue(errors, `${field}.value`, value);
  checkSupported(errors, `${field}.effect`, effect, taintEffects, "required");
}

export function validateToleration(errors: FieldError[], field: string, { key, operator, value = "", effect }: DeviceToleration): void {
  if (key) checkLabelName(errors, `${field}.key`, key);
  if (operator === "Exists") {
    if (value !== "") errors.push(invalidValue(`${field}.value`, value, "must be empty for operator `Exists`"));
  } else if (operator === "Equal") checkLabelValue(errors, `${field}.value`, value);
  else checkSupported(errors, `${field}.operator`, operator, ["Equal", "Exists"], "required");
  checkSupported(errors, `${field}.effect`, effect, taintEffects, "allowed");
}

interface BindingConditions {
  readonly bindingConditions?: readonly string[];
  readonly bindingFailureConditions?: readonly string[];
}

/** What has to become true before a pod is bound to the node of a device, and what makes the scheduler give up. */
export function validateBindingConditions(errors: FieldError[], field: string, conditions: BindingConditions): void {
  const [ready, failed] = [conditions.bindingConditions ?? [], conditions.bindingFailureConditions ?? []];
  const [readyField, failedField] = [`${field}.bindingConditions`, `${field}.bindingFailureConditions`];
  const rules = { max: maxBindingConditions, check: (name: string, at: string) => checkLabelName(errors, at, name) };
  validateItems(errors, readyField, ready, rules);
  validateItems(errors, failedField, failed, rules);
  const isRepeatedReady = repeats<string>();
  const isRepeatedFailed = repeats<string>();
  const known = new Set(ready);
  for (const [i, name] of ready.entries()) if (isRepeatedReady(name)) errors.push(duplicate(`${readyField}[${i}]`, name));
  for (const [i, name] of failed.entries()) {
    if (isRepeatedFailed(name)) errors.push(duplicate(`${failedField}[${i}]`, name));
    if (known.has(name))
      errors.push(invalidValue(`${failedField}[${i}]`, name, "bindingFailureConditions must not overlap with bindingConditions"));
  }
  if (ready.length === 0 && failed.length > 0)
    errors.push(
      invalidValue(readyField, conditions.bindingConditions ?? null, "bindingConditions are required to use bindingFailureConditions"),
    );
  if (failed.length === 0 && ready.length > 0)
    errors.push(
      invalidValue(
        failedField,
        conditions.bindingFailureConditions ?? null,
        "bindingFailureConditions are required to use bindingConditions",
      ),
    );
}
