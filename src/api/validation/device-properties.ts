// Attributes and capacities of devices. An attribute has one value; a capacity that several claims may share can say which
// amounts may be asked for.
import { duplicate, type FieldError, forbiddenField, invalidValue, required, tooLong, tooMany } from "../meta/field-error.ts";
import { byteLength } from "../meta/names.ts";
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import type { CapacityRequestPolicy, CapacityRequestPolicyRange, DeviceAttribute, DeviceCapacity } from "../types/resource-v1.ts";
import { maxQualifiedName, validateEntries, validateQualifiedName } from "./device-rules.ts";
import { internalForm } from "./internal-form.ts";

const maxValueBytes = 64;
const maxOptions = 10;

const number = "(0|[1-9]\\d*)";
const preRelease = "(0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*)";
const build = "[0-9a-zA-Z-]+";
const semanticVersion = new RegExp(`^${number}\\.${number}\\.${number}(-${preRelease}(\\.${preRelease})*)?(\\+${build}(\\.${build})*)?$`);

export function validateDeviceAttribute(errors: FieldError[], field: string, attribute: DeviceAttribute): void {
  const { string, version } = attribute;
  if (string !== undefined && byteLength(string) > maxValueBytes) errors.push(tooLong(`${field}.string`, maxValueBytes));
  if (version !== undefined) {
    if (!semanticVersion.test(version))
      errors.push(invalidValue(`${field}.version`, version, "must be a string compatible with semver.org spec 2.0.0"));
    if (byteLength(version) > maxValueBytes) errors.push(tooLong(`${field}.version`, maxValueBytes));
  }
  const values = [attribute.bool, attribute.int, string, version].filter((value) => value !== undefined);
  if (values.length === 1) return;
  const shown = values.length === 0 ? "" : internalForm("DeviceAttribute", attribute);
  errors.push(invalidValue(field, shown, "exactly one value must be specified"));
}

export function validateDeviceCapacities(
  errors: FieldError[],
  field: string,
  capacities: Readonly<Record<string, DeviceCapacity>>,
  shared: boolean,
): void {
  validateEntries(errors, field, capacities, {
    max: Number.POSITIVE_INFINITY,
    maxKey: maxQualifiedName,
    checkKey: (key, at) => validateQualifiedName(errors, at, key),
    check: ({ value, requestPolicy }, at) => {
      if (!requestPolicy) return;
      if (!shared) errors.push(forbiddenField(`${at}.requestPolicy`, "allowMultipleAllocations must be true"));
      else validatePolicy(errors, `${at}.requestPolicy`, requestPolicy, parseQuantity(value ?? "0"));
    },
  });
}

function validatePolicy(errors: FieldError[], field: string, policy: CapacityRequestPolicy, capacity: Quantity): void {
  const { validValues = [], validRange, default: usual } = policy;
  if (validValues.length > 0 && validRange) {
    const detail = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time';
    errors.push(forbiddenField(field, detail));
    return;
  }
  const kind = validValues.length > 0 ? "validValues" : validRange ? "validRange" : undefined;
  if (kind === undefined) return;
  if (usual === undefined || usual === null) errors.push(required(`${field}.default`, `required when ${kind} is defined`));
  else if (validRange) validateRange(errors, `${field}.${kind}`, validRange, { usual: parseQuantity(usual), capacity });
  else validateOptions(errors, `${field}.${kind}`, validValues.map(parseQuantity), { usual: parseQuantity(usual), capacity });
}

interface Amounts {
  /** What a claim gets that does not say how much. */
  readonly usual: Quantity;
  readonly capacity: Quantity;
}

function validateOptions(errors: FieldError[], field: string, options: readonly Quantity[], { usual, capacity }: Amounts): void {
  for (const [i, option] of options.entries()) {
    const next = options[i + 1];
    if (next && option.compare(next) > 0)
      errors.push(invalidValue(`${field}[${i + 1}]`, String(next), "values must be sorted in ascending order"));
  }
  if (options.length > maxOptions) errors.push(tooMany(field, options.length, maxOptions));
  else {
    for (const [i, option] of options.entries())
      if (option.compare(capacity) > 0)
        errors.push(invalidValue(`${field}[${i}]`, String(option), `option is larger than capacity value: ${capacity}`));
    const seen = new Set<string>();
    for (const [i, option] of options.entries()) {
      const units = String(option.value());
      if (seen.has(units)) errors.push(duplicate(`${field}[${i}]`, units));
      seen.add(units);
    }
  }
  const hasUsual = options.length <= maxOptions && options.some((option) => option.compare(usual) === 0);
  if (!hasUsual) errors.push(invalidValue(field, String(usual), "default value is not valid according to the requestPolicy"));
}

function validateRange(errors: FieldError[], field: string, range: CapacityRequestPolicyRange, { usual, capacity }: Amounts): void {
  if (range.min === undefined) {
    errors.push(required(`${field}.min`, "required when validRange is defined"));
    return;
  }
  const min = parseQuantity(range.min);
  const max = range.max === undefined ? undefined : parseQuantity(range.max);
  const refuse = (part: "min" | "max" | "step", value: Quantity, detail: string): void =>
    void errors.push(invalidValue(`${field}.${part}`, String(value), detail));
  if (min.compare(capacity) > 0) refuse("min", min, `min is larger than capacity value: ${capacity}`);
  if (usual.compare(min) < 0) refuse("min", usual, `default is less than min: ${min}`);
  if (max) {
    if (min.compare(max) > 0) refuse("max", min, `min is larger than max: ${max}`);
    if (max.compare(capacity) > 0) refuse("max", max, `max is larger than capacity value: ${capacity}`);
    if (usual.compare(max) > 0) refuse("max", usual, `default is more than max: ${max}`);
  }
  if (range.step === undefined) return;
  const step = parseQuantity(range.step);
  const first = min.add(step);
  if (first.compare(capacity) > 0) refuse("step", step, `one step ${first} is larger than capacity value: ${capacity}`);
  for (const value of max ? [usual, max] : [usual])
    if (!isMultiple(value.value() - min.value(), step.value()))
      refuse("step", value, `value is not a multiple of a given step (${step}) from (${min})`);
}

const isMultiple = (amount: number, step: number): boolean => step !== 0 && amount % step === 0;
