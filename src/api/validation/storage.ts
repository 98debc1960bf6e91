// Validation of the kinds of storage.k8s.io.
import { semanticallyEqual } from "../meta/equality.ts";
import { duplicate, type FieldError, forbiddenField, invalidValue, notSupported, required, tooLong } from "../meta/field-error.ts";
import { byteLength, isDNS1123Subdomain, isQualifiedName } from "../meta/names.ts";
import { parseQuantity } from "../meta/quantity.ts";
import { sentEmptyOf } from "../meta/sent-empty.ts";
import type { PersistentVolumeSpec, TopologySelectorTerm } from "../types/core-v1.ts";
import type {
  CSIDriver,
  CSINode,
  CSINodeDriver,
  CSIStorageCapacity,
  StorageClass,
  TokenRequest,
  VolumeAttachment,
  VolumeAttributesClass,
  VolumeError,
} from "../types/storage-v1.ts";
import { internalForm } from "./internal-form.ts";
import { shownSelector, validateLabelSelector } from "./label-selector.ts";
import { validateVolumeSpec } from "./persistent-volume.ts";
import { addProblems, checkImmutable, checkNonNegative, checkSupported } from "./rules.ts";
import { validateCSIDriverName } from "./volume-plugins.ts";

export function validateStorageClass(storageClass: StorageClass): FieldError[] {
  const errors: FieldError[] = [];
  const { provisioner, parameters, reclaimPolicy, volumeBindingMode: mode, allowedTopologies } = storageClass;
  validateProvisioner(errors, "provisioner", provisioner);
  validateParameters(errors, "parameters", parameters ?? {});
  if (reclaimPolicy) checkSupported(errors, "reclaimPolicy", reclaimPolicy, ["Delete", "Retain"]);
  if (mode === undefined) errors.push(required("volumeBindingMode"));
  else checkSupported(errors, "volumeBindingMode", mode, ["Immediate", "WaitForFirstConsumer"]);
  validateTopologies(errors, "allowedTopologies", allowedTopologies ?? []);
  return errors;
}

export function validateStorageClassUpdate(storageClass: StorageClass, old: StorageClass): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] as const)
    checkImmutable(
      errors,
      field,
      storageClass[field],
      old[field],
      field === "parameters" ? internalForm("{s", storageClass[field]) : undefined,
    );
  return errors;
}

function validateProvisioner(errors: FieldError[], field: string, provisioner: string): void {
  if (!provisioner) errors.push(required(field));
  else addProblems(errors, field, provisioner.toLowerCase(), isQualifiedName(provisioner.toLowerCase()));
}

const maxParameters = 512;
const maxParameterBytes = 256 * 1024;

function validateParameters(errors: FieldError[], field: string, parameters: Readonly<Record<string, string>>): void {
  const names = Object.keys(parameters);
  if (names.length > maxParameters) {
    errors.push(tooLong(field, maxParameters));
    return;
  }
  let bytes = 0;
  for (const name of names) {
    if (name === "") errors.push(invalidValue(field, name, "field can not be empty."));
    bytes += byteLength(name) + byteLength(parameters[name] ?? "");
  }
  if (bytes > maxParameterBytes) errors.push(tooLong(field, maxParameterBytes));
}

const maxTopologyErrors = 10_000;

function validateTopologies(errors: FieldError[], field: string, terms: readonly TopologySelectorTerm[]): void {
  // Upstream compares with as many empty terms as there are terms: an empty one counts as given before.
  const seen = new Map([["[]", terms.length]]);
  for (const [i, { matchLabelExpressions }] of terms.entries()) {
    const at = `${field}[${i}].matchLabelExpressions`;
    const values = new Map<string, readonly string[]>();
    for (const [j, { key, values: given }] of (matchLabelExpressions ?? []).entries()) {
      const list = given ?? []; // null where there are none
      if (list.length === 0) errors.push(required(`${at}[${j}].values`));
      const distinct = new Set<string>();
      for (const [k, value] of list.entries()) {
        if (distinct.has(value)) errors.push(duplicate(`${at}[${j}].values[${k}]`, value));
        distinct.add(value);
      }
      addProblems(errors, `${at}[${j}].key`, key, isQualifiedName(key));
      if (values.has(key)) errors.push(duplicate(`${at}[${j}].key`, key));
      values.set(key, [...distinct].sort());
    }
    const meaning = JSON.stringify([...values].sort(([a], [b]) => (a < b ? -1 : 1)));
    const equal = seen.get(meaning) ?? 0;
    // One for each equal term before: thousands of them say nothing more.
    for (let times = 0; times < equal && errors.length < maxTopologyErrors; times++) errors.push(duplicate(at, ""));
    seen.set(meaning, equal + 1);
  }
}

const maxMetadataBytes = 256 * 1024;
const maxErrorBytes = 1024;

export function validateVolumeAttachment(attachment: VolumeAttachment, old?: VolumeAttachment): FieldError[] {
  const errors: FieldError[] = [];
  const { spec, status } = attachment;
  validateCSIDriverName(errors, "spec.attacher", spec.attacher);
  const { persistentVolumeName: volume, inlineVolumeSpec: inline } = spec.source;
  const one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
  if (volume === undefined && !inline) errors.push(required("spec.source", one));
  else if (volume !== undefined && inline) errors.push(forbiddenField("spec.source", one));
  else if (volume === "") errors.push(required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName"));
  else if (inline) validateVolumeSpec(errors, "spec.source.inlineVolumeSpec", inline, { name: "", inline: true });
  addProblems(errors, "spec.nodeName", spec.nodeName, isDNS1123Subdomain(spec.nodeName));
  let bytes = 0;
  for (const [key, value] of Object.entries(status?.attachmentMetadata ?? {})) bytes += byteLength(key) + byteLength(value);
  if (bytes > maxMetadataBytes) errors.push(tooLong("status.attachmentMetadata", maxMetadataBytes));
  validateVolumeError(errors, "status.attachError", status?.attachError);
  validateVolumeError(errors, "status.detachError", status?.detachError);
  if (volume !== undefined) addProblems(errors, "spec.source.persistentVolumeName", volume, isDNS1123Subdomain(volume));
  if (old) checkImmutable(errors, "spec", spec, old.spec, internalAttachment(spec));
  return errors;
}

function validateVolumeError(errors: FieldError[], field: string, error: VolumeError | undefined): void {
  if (!error) return;
  if (byteLength(error.message ?? "") > maxErrorBytes) errors.push(tooLong(`${field}.message`, maxMetadataBytes));
  if (error.errorCode !== undefined && error.errorCode < 0)
    errors.push(invalidValue(`${field}.errorCode`, error.errorCode, "must be between 0 and 2147483647, inclusive"));
}

/** As upstream's internal type shows it. */
const internalAttachment = ({ attacher, source, nodeName }: VolumeAttachment["spec"]): unknown => ({
  Attacher: attacher,
  Source: {
    PersistentVolumeName: source.persistentVolumeName ?? null,
    InlineVolumeSpec: source.inlineVolumeSpec ? internalVolumeSpec(source.inlineVolumeSpec) : null,
  },
  NodeName: nodeName,
});

/** The source of a volume is embedded: its fields stand among the others. */
const internalVolumeSpec = (spec: PersistentVolumeSpec): unknown => ({
  Capacity: internalForm("{q", spec.capacity),
  ...(internalForm("PersistentVolumeSource", spec) as object),
  ...(internalForm("PersistentVolumeRest", spec) as object),
});

const maxNodeIdLength = 256;

export function validateCSINode({ spec }: CSINode, old?: CSINode): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const [i, driver] of (spec.drivers ?? []).entries()) validateNodeDriver(errors, `spec.drivers[${i}]`, driver, names);
  for (const before of old?.spec.drivers ?? [])
    for (const driver of spec.drivers ?? []) if (driver.name === before.name) validateSameDriver(errors, driver, before);
  return errors;
}

function validateSameDriver(errors: FieldError[], driver: CSINodeDriver, before: CSINodeDriver): void {
  const { name, nodeID, topologyKeys } = driver;
  const shown = {
    Name: name,
    NodeID: nodeID,
    TopologyKeys: topologyKeys ?? sentEmptyOf(driver, "topologyKeys") ?? null,
    Allocatable: null,
  };
  const fixed = { nodeID, topologyKeys };
  checkImmutable(errors, "spec.drivers", fixed, { nodeID: before.nodeID, topologyKeys: before.topologyKeys }, shown);
}

function validateNodeDriver(errors: FieldError[], field: string, driver: CSINodeDriver, names: Set<string>): void {
  const { name, nodeID, allocatable, topologyKeys } = driver;
  validateCSIDriverName(errors, `${field}.name`, name);
  if (!nodeID) errors.push(required(`${field}.nodeID`));
  if (byteLength(nodeID) > maxNodeIdLength)
    errors.push(invalidValue(`${field}.nodeID`, nodeID, `must be ${maxNodeIdLength} characters or less`));
  checkNonNegative(errors, `${field}.allocatable.count`, allocatable?.count);
  if (names.has(name)) errors.push(duplicate(`${field}.name`, name));
  names.add(name);
  const keys = new Set<string>();
  for (const key of topologyKeys ?? []) {
    if (key === "") errors.push(required(field));
    if (keys.has(key)) errors.push(duplicate(field, key));
    keys.add(key);
    addProblems(errors, field, key, isQualifiedName(key));
  }
}

const requiredFlags = [
  ["attachRequired", "attachedRequired"],
  ["podInfoOnMount", "podInfoOnMount"],
  ["storageCapacity", "storageCapacity"],
] as const;
const groupPolicies = ["File", "None", "ReadWriteOnceWithFSType"];
const lifecycleModes = ["Persistent", "Ephemeral"];

export function validateCSIDriver({ spec }: CSIDriver, old?: CSIDriver): FieldError[] {
  const errors: FieldError[] = [];
  // The path says "attached" where the field says "attach".
  for (const [field, path] of requiredFlags) if (spec[field] === undefined) errors.push(required(`spec.${path}`));
  if (spec.fsGroupPolicy !== undefined) checkSupported(errors, "spec.fsGroupPolicy", spec.fsGroupPolicy, groupPolicies);
  validateTokenRequests(errors, "spec.tokenRequests", spec.tokenRequests ?? []);
  for (const mode of spec.volumeLifecycleModes ?? [])
    if (!lifecycleModes.includes(mode)) errors.push(notSupported("spec.volumeLifecycleModes", mode, lifecycleModes));
  if (spec.seLinuxMount === undefined) errors.push(required("spec.seLinuxMount"));
  const { nodeAllocatableUpdatePeriodSeconds: period, serviceAccountTokenInSecrets: inSecrets } = spec;
  if (period !== undefined && period < 10)
    errors.push(invalidValue("spec.nodeAllocatableUpdatePeriodSeconds", period, "must be greater than or equal to 10 seconds"));
  if (inSecrets !== undefined && (spec.tokenRequests ?? []).length === 0) {
    const detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
    errors.push(invalidValue("spec.serviceAccountTokenInSecrets", inSecrets, detail));
  }
  if (old) {
    checkImmutable(errors, "spec.attachedRequired", spec.attachRequired, old.spec.attachRequired);
    checkImmutable(errors, "spec.volumeLifecycleModes", spec.volumeLifecycleModes, old.spec.volumeLifecycleModes);
  }
  return errors;
}

function validateTokenRequests(errors: FieldError[], field: string, requests: readonly TokenRequest[]): void {
  const audiences = new Set<string>();
  for (const [i, { audience, expirationSeconds: seconds }] of requests.entries()) {
    if (audiences.has(audience)) {
      errors.push(duplicate(`${field}[${i}].audience`, audience));
      continue;
    }
    audiences.add(audience);
    if (seconds === undefined) continue;
    const at = `${field}[${i}].expirationSeconds`;
    if (seconds < 600) errors.push(invalidValue(at, seconds, "may not specify a duration less than 10 minutes"));
    if (seconds > 2 ** 32) errors.push(invalidValue(at, seconds, "may not specify a duration larger than 2^32 seconds"));
  }
}

export function validateCSIStorageCapacity(capacity: CSIStorageCapacity, old?: CSIStorageCapacity): FieldError[] {
  const errors: FieldError[] = [];
  const { nodeTopology, storageClassName } = capacity;
  const before: FieldError[] = [];
  validateLabelSelector(before, "", old?.nodeTopology);
  validateLabelSelector(errors, "nodeTopology", nodeTopology, { allowInvalidValues: before.length > 0 });
  addProblems(errors, "storageClassName", storageClassName, isDNS1123Subdomain(storageClassName));
  if (capacity.capacity !== undefined) {
    const amount = parseQuantity(capacity.capacity);
    if (amount.sign < 0) errors.push(invalidValue("capacity", String(amount), "must be greater than or equal to 0"));
  }
  if (old) {
    checkImmutable(errors, "nodeTopology", nodeTopology, old.nodeTopology, shownSelector(nodeTopology));
    checkImmutable(errors, "storageClassName", storageClassName, old.storageClassName);
  }
  return errors;
}

export function validateVolumeAttributesClass(attributesClass: VolumeAttributesClass, old?: VolumeAttributesClass): FieldError[] {
  const errors: FieldError[] = [];
  const { driverName, parameters = {} } = attributesClass;
  if (old && driverName !== old.driverName) errors.push(forbiddenField("driverName", "updates to driverName are forbidden."));
  if (old && !semanticallyEqual(parameters, old.parameters))
    errors.push(forbiddenField("parameters", "updates to parameters are forbidden."));
  validateProvisioner(errors, "driverName", driverName);
  validateParameters(errors, "parameters", parameters);
  if (Object.keys(parameters).length === 0) errors.push(required("parameters", "must contain at least one key/value pair"));
  return errors;
}
