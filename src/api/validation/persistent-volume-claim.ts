// Validation of persistent volume claims. After creation only their size, their attributes class and, once, their volume
// may change.
import { type FieldError, forbiddenField, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isQualifiedName } from "../meta/names.ts";
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import { partWithoutSentEmpty, wasSent } from "../meta/sent-empty.ts";
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from "../types/core-v1.ts";
import { internalText } from "./internal-form.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { validateClaimSpec } from "./persistent-volume-claim-spec.ts";
import { isNativeResource } from "./resource-names.ts";
import { addProblems, checkImmutable } from "./rules.ts";
import { unifiedDiff } from "./unified-diff.ts";

export function validatePersistentVolumeClaim(claim: PersistentVolumeClaim, old?: PersistentVolumeClaim): FieldError[] {
  const errors: FieldError[] = [];
  const before: FieldError[] = [];
  validateLabelSelector(before, "", old?.spec?.selector);
  const sourceGroup = old?.spec?.dataSourceRef?.apiGroup ?? old?.spec?.dataSource?.apiGroup;
  validateClaimSpec(errors, "spec", claim.spec ?? {}, {
    allowInvalidSelectorValues: before.length > 0,
    allowInvalidSourceGroup: Boolean(sourceGroup),
  });
  if (old) validateChange(errors, claim, old);
  return errors;
}

const oldClassKey = "volume.beta.kubernetes.io/storage-class";

function validateChange(errors: FieldError[], claim: PersistentVolumeClaim, old: PersistentVolumeClaim): void {
  const [spec, before] = [claim.spec ?? {}, old.spec ?? {}];
  const comparable = comparableSpec(errors, claim, old);
  const reference = before.volumeName || !spec.volumeName ? before : { ...before, volumeName: spec.volumeName };
  const text = (shown: PersistentVolumeClaimSpec): string => internalText("PersistentVolumeClaimSpec", shown);
  if (text(partWithoutSentEmpty(comparable)) !== text(reference)) {
    const difference = unifiedDiff(text(reference), text(comparable));
    const detail = `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n${difference}`;
    errors.push(forbiddenField("spec", detail));
  }
  const [size, was, has] = [sizeOf(spec.resources?.requests), sizeOf(before.resources?.requests), sizeOf(old.status?.capacity)];
  // A claim may shrink again while the volume has not grown.
  if (size.compare(was) < 0 && size.compare(has) <= 0)
    errors.push(forbiddenField("spec.resources.requests.storage", "field can not be less than status.capacity"));
  checkImmutable(errors, "volumeMode", spec.volumeMode, before.volumeMode);
  if (old.status?.currentVolumeAttributesClassName === undefined || spec.volumeAttributesClassName === before.volumeAttributesClassName)
    return;
  const forbid = (what: string): void =>
    void errors.push(
      forbiddenField(
        "spec.volumeAttributesClassName",
        `update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`,
      ),
    );
  if (spec.volumeAttributesClassName === undefined) forbid("nil");
  else if (spec.volumeAttributesClassName === "") forbid("empty string");
}

const sizeOf = (amounts: Readonly<Record<string, string | number>> | undefined): Quantity => parseQuantity(amounts?.["storage"] ?? 0);

/** The new specification without what may change: for bound claims the size and the attributes class, and a class that moves from its old annotation. */
function comparableSpec(errors: FieldError[], claim: PersistentVolumeClaim, old: PersistentVolumeClaim): PersistentVolumeClaimSpec {
  const before = old.spec ?? {};
  let spec = claim.spec ?? {};
  const [annotated, oldAnnotated] = [claim.metadata.annotations?.[oldClassKey], old.metadata.annotations?.[oldClassKey]];
  const named = spec.storageClassName;
  const unnamed = before.storageClassName === undefined;
  const moves = oldAnnotated !== undefined && unnamed && named === oldAnnotated && (annotated === undefined || annotated === oldAnnotated);
  if (!moves && annotated !== oldAnnotated)
    errors.push(invalidValue(`metadata.annotations.${oldClassKey}`, annotated ?? "", "field is immutable"));
  if (moves || (unnamed && named !== undefined && (oldAnnotated === undefined || named === oldAnnotated))) {
    const { storageClassName: _, ...rest } = spec;
    spec = rest;
  }
  if (claim.status?.phase !== "Bound") return spec;
  const { volumeAttributesClassName: _, ...rest } = spec;
  const requests = { ...spec.resources?.requests };
  const was = before.resources?.requests?.["storage"];
  const hasRequests = spec.resources !== undefined && wasSent(spec.resources, "requests");
  if (hasRequests && was !== undefined) requests["storage"] = was;
  const { volumeAttributesClassName } = before;
  return {
    ...rest,
    ...(hasRequests ? { resources: { ...spec.resources, requests } } : {}),
    ...(volumeAttributesClassName === undefined ? {} : { volumeAttributesClassName }),
  };
}

const resizeStatuses = [
  "ControllerResizeInProgress",
  "ControllerResizeInfeasible",
  "NodeResizeInProgress",
  "NodeResizeInfeasible",
  "NodeResizePending",
].sort();

export function validatePersistentVolumeClaimStatus({ spec, status }: PersistentVolumeClaim): FieldError[] {
  const errors: FieldError[] = [];
  if ((spec?.accessModes ?? []).length === 0) errors.push(required("Spec.accessModes"));
  const { capacity = {}, allocatedResourceStatuses = {}, allocatedResources = {} } = status ?? {};
  for (const name in capacity) checkAmount(errors, `status.capacity[${name}]`, capacity[name] ?? 0);
  for (const name in allocatedResourceStatuses) {
    const field = "status.allocatedResourceStatuses";
    validateResourceKey(errors, field, name);
    // Upstream names the resource, not its status.
    if (!resizeStatuses.includes(allocatedResourceStatuses[name] ?? "")) errors.push(notSupported(field, name, resizeStatuses));
  }
  for (const name in allocatedResources) {
    const field = "status.allocatedResources";
    const found = errors.length;
    validateResourceKey(errors, field, name);
    if (errors.length === found) checkAmount(errors, `${field}[${name}]`, allocatedResources[name] ?? 0);
  }
  return errors;
}

function checkAmount(errors: FieldError[], field: string, text: string | number): void {
  const amount = parseQuantity(text);
  if (amount.sign < 0) errors.push(invalidValue(field, amount.value(), "must be a valid resource quantity"));
}

function validateResourceKey(errors: FieldError[], field: string, name: string): void {
  const problems = isQualifiedName(name);
  addProblems(errors, field, name, problems);
  if (problems.length === 0 && isNativeResource(name) && name !== "storage") errors.push(notSupported(field, name, ["storage"]));
}
