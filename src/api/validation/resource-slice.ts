// Slices of resource pools: the devices that a driver offers on one node, on some or on all, and counters that devices of
// the same hardware share.
import { semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import { isDNS1123Subdomain } from "../meta/names.ts";
import { wasSent } from "../meta/sent-empty.ts";
import type { NodeSelector } from "../types/core-v1.ts";
import type { Counter, CounterSet, Device, ResourcePool, ResourceSlice, ResourceSliceSpec } from "../types/resource-v1.ts";
import { validateNodeSelector } from "./affinity.ts";
import { validateDeviceAttribute, validateDeviceCapacities } from "./device-properties.ts";
import {
  checkDnsLabel,
  maxQualifiedName,
  validateBindingConditions,
  validateDriverName,
  validateEntries,
  validateItems,
  validatePoolName,
  validateQualifiedName,
  validateTaint,
  validateUniqueItems,
} from "./device-rules.ts";
import { internalForm } from "./internal-form.ts";
import { addProblems, checkImmutable } from "./rules.ts";

const maxDevices = 128;
/** Of devices with taints or shared counters, which take more work to allocate. */
const maxInvolvedDevices = 64;
const maxCounterSets = 8;
const maxCounters = 32;
const maxProperties = 32;
const maxAttributeValues = 48;
const maxTaints = 16;
const maxConsumedSets = 2;

export function validateResourceSlice({ spec }: ResourceSlice, old?: ResourceSlice): FieldError[] {
  const errors: FieldError[] = [];
  validateDriverName(errors, "spec.driver", spec.driver);
  validatePool(errors, "spec.pool", spec.pool);
  if (old) {
    checkImmutable(errors, "spec.pool.name", spec.pool?.name, old.spec.pool?.name);
    checkImmutable(errors, "spec.driver", spec.driver, old.spec.driver);
    checkImmutable(errors, "spec.nodeName", spec.nodeName, old.spec.nodeName);
  }
  validateNodes(errors, spec);
  if (wasSent(spec, "sharedCounters") && wasSent(spec, "devices"))
    errors.push(invalidValue("spec", "", "only one of `sharedCounters` or `devices` is allowed"));
  validateDevices(errors, spec, old?.spec);
  validateUniqueItems(errors, "spec.sharedCounters", spec.sharedCounters ?? [], {
    max: maxCounterSets,
    check: (set, at) => validateCounterSet(errors, at, set),
    keyOf: ({ name }) => name ?? "",
  });
  return errors;
}

function validatePool(errors: FieldError[], field: string, pool: Partial<ResourcePool> = {}): void {
  const { name, resourceSliceCount = 0, generation = 0 } = pool;
  validatePoolName(errors, `${field}.name`, name);
  if (resourceSliceCount <= 0) errors.push(invalidValue(`${field}.resourceSliceCount`, resourceSliceCount, "must be greater than zero"));
  if (generation < 0) errors.push(invalidValue(`${field}.generation`, generation, "must be greater than or equal to zero"));
}

/** Which of the fields that say where devices are were set; a flag can only be true. */
interface NodeChoice {
  readonly nodeName?: string;
  readonly nodeSelector?: NodeSelector;
  readonly allNodes?: boolean;
  readonly perDeviceNodeSelection?: boolean;
}

const onlyTrue = "must be either unset or set to true";

function setFields(
  errors: FieldError[],
  field: string,
  choice: NodeChoice,
  rules: { readonly emptyName: string; checkSelector?(selector: NodeSelector): void },
): string[] {
  const set: string[] = [];
  if (choice.nodeName === "") errors.push(invalidValue(`${field}.nodeName`, "", rules.emptyName));
  else if (choice.nodeName !== undefined) {
    set.push("`nodeName`");
    addProblems(errors, `${field}.nodeName`, choice.nodeName, isDNS1123Subdomain(choice.nodeName));
  }
  if (choice.nodeSelector) {
    set.push("`nodeSelector`");
    validateNodeSelector(errors, `${field}.nodeSelector`, choice.nodeSelector);
    rules.checkSelector?.(choice.nodeSelector);
  }
  for (const flag of ["allNodes", "perDeviceNodeSelection"] as const) {
    if (choice[flag]) set.push(`\`${flag}\``);
    else if (choice[flag] === false) errors.push(invalidValue(`${field}.${flag}`, false, onlyTrue));
  }
  return set;
}

function validateNodes(errors: FieldError[], spec: ResourceSliceSpec): void {
  const set = setFields(errors, "spec", spec, {
    emptyName: "must be either unset or set to a non-empty string",
    checkSelector({ nodeSelectorTerms: terms }) {
      // So that selectors of several slices can be put together.
      if (terms?.length !== 1)
        errors.push(
          invalidValue(
            "spec.nodeSelector.nodeSelectorTerms",
            internalForm("[NodeSelectorTerm", terms),
            "must have exactly one node selector term",
          ),
        );
    },
  });
  const oneOf = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
  if (set.length === 0) errors.push(required("spec", oneOf));
  else if (set.length > 1) errors.push(invalidValue("spec", `{${set.join(", ")}}`, `${oneOf}, but multiple fields are set`));
}

function validateDevices(errors: FieldError[], spec: ResourceSliceSpec, old: ResourceSliceSpec | undefined): void {
  const devices = spec.devices ?? [];
  const involved = devices.some(({ taints = [], consumesCounters = [] }) => taints.length > 0 || consumesCounters.length > 0);
  const before = new Map((old?.devices ?? []).toReversed().map((device) => [device.name, device]));
  validateUniqueItems(errors, "spec.devices", devices, {
    max: involved ? maxInvolvedDevices : maxDevices,
    check: (device, at) =>
      validateDevice(errors, at, device, { old: before.get(device.name), ownNodes: spec.perDeviceNodeSelection === true }),
    keyOf: ({ name }) => name ?? "",
  });
}

interface DeviceRules {
  readonly old: Device | undefined;
  /** Each device says by itself where it is. */
  readonly ownNodes: boolean;
}

function validateDevice(errors: FieldError[], field: string, device: Device, { old, ownNodes }: DeviceRules): void {
  const { attributes = {}, capacity = {} } = device;
  const values = Object.keys(attributes).length;
  const properties = values + Object.keys(capacity).length;
  const checkKey = (key: string, at: string): void => validateQualifiedName(errors, at, key);
  checkDnsLabel(errors, `${field}.name`, device.name);
  if (properties > maxProperties)
    errors.push(invalidValue(field, properties, `the total number of attributes and capacities must not exceed ${maxProperties}`));
  if (values > maxAttributeValues)
    errors.push(invalidValue(field, values, `the total number of attribute values must not exceed ${maxAttributeValues}`));
  validateEntries(errors, `${field}.attributes`, attributes, {
    max: Number.POSITIVE_INFINITY,
    maxKey: maxQualifiedName,
    checkKey,
    check: (attribute, at) => validateDeviceAttribute(errors, at, attribute),
  });
  validateDeviceCapacities(errors, `${field}.capacity`, capacity, device.allowMultipleAllocations === true);
  if (!old || !semanticallyEqual(old.taints, device.taints))
    validateItems(errors, `${field}.taints`, device.taints ?? [], {
      max: maxTaints,
      check: (taint, at) => validateTaint(errors, at, taint),
    });
  validateUniqueItems(errors, `${field}.consumesCounters`, device.consumesCounters ?? [], {
    max: maxConsumedSets,
    check: ({ counterSet, counters }, at) => validateCounters(errors, at, { field: "counterSet", name: counterSet, counters }),
    keyOf: ({ counterSet }) => counterSet ?? "",
  });
  validateDeviceNodes(errors, field, device, ownNodes);
  validateBindingConditions(errors, field, device);
}

function validateDeviceNodes(errors: FieldError[], field: string, device: Device, ownNodes: boolean): void {
  const { nodeName, nodeSelector, allNodes } = device;
  if (!ownNodes) {
    if (nodeName === undefined && !nodeSelector && allNodes === undefined) return;
    const detail =
      "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    errors.push(invalidValue(field, null, detail));
    return;
  }
  const set = setFields(errors, field, device, { emptyName: "must not be empty" });
  const oneOf =
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
  if (set.length === 0) errors.push(required(field, oneOf));
  else if (set.length > 1) errors.push(invalidValue(field, `{${set.join(", ")}}`, oneOf));
}

const validateCounterSet = (errors: FieldError[], field: string, { name, counters }: CounterSet): void =>
  validateCounters(errors, field, { field: "name", name, counters });

/** A named set of counters, declared or consumed. */
function validateCounters(
  errors: FieldError[],
  field: string,
  set: { readonly field: string; readonly name: string | undefined; readonly counters: Readonly<Record<string, Counter>> | undefined },
): void {
  if (!set.name) errors.push(required(`${field}.${set.field}`));
  else checkDnsLabel(errors, `${field}.${set.field}`, set.name);
  if (Object.keys(set.counters ?? {}).length === 0) errors.push(required(`${field}.counters`));
  else
    validateEntries(errors, `${field}.counters`, set.counters, {
      max: maxCounters,
      maxKey: 63,
      checkKey: (key, at) => checkDnsLabel(errors, at, key),
    });
}
