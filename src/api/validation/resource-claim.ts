// Claims for devices and templates of claims: what is requested of which class, what the devices must have in common, and
// configuration for their drivers. A claim never changes once it is made.
import { appendAll } from "../../base/append-all.ts";
import { semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isDNS1123Subdomain } from "../meta/names.ts";
import type {
  DeviceClaim,
  DeviceClaimConfiguration,
  DeviceConstraint,
  DeviceRequest,
  DeviceSubRequest,
  ExactDeviceRequest,
  ResourceClaim,
  ResourceClaimSpec,
  ResourceClaimTemplate,
} from "../types/resource-v1.ts";
import {
  checkDnsLabel,
  itself,
  validateDeviceConfiguration,
  validateFullyQualifiedName,
  validateItems,
  validateSelectors,
  validateToleration,
  validateUniqueItems,
} from "./device-rules.ts";
import type { ExpressionCheck } from "./expression-check.ts";
import { internalForm } from "./internal-form.ts";
import { forbidOwnMetadata, validateAnnotations, validateLabels } from "./object-meta.ts";
import { checkName } from "./rules.ts";

export const maxRequests = 32;
export const maxConfigurations = 32;
const maxConstraints = 32;
const maxAlternatives = 8;

export function validateResourceClaim({ spec }: ResourceClaim, check?: ExpressionCheck): FieldError[] {
  const errors: FieldError[] = [];
  validateClaimSpec(errors, "spec", spec ?? {}, check);
  return errors;
}

export function validateResourceClaimUpdate({ spec }: ResourceClaim, old: ResourceClaim): FieldError[] {
  const shown = internalForm("ResourceClaimSpec", spec);
  return semanticallyEqual(shown, internalForm("ResourceClaimSpec", old.spec)) ? [] : [invalidValue("spec", shown, "field is immutable")];
}

export function validateResourceClaimTemplate(
  { spec }: ResourceClaimTemplate,
  old?: ResourceClaimTemplate,
  check?: ExpressionCheck,
): FieldError[] {
  const errors: FieldError[] = [];
  appendAll(errors, validateLabels(spec?.metadata?.labels, "spec.metadata.labels"));
  appendAll(errors, validateAnnotations(spec?.metadata?.annotations, "spec.metadata.annotations"));
  forbidOwnMetadata(errors, "spec.metadata", spec?.metadata);
  validateClaimSpec(errors, "spec.spec", spec?.spec ?? {}, check);
  if (!old) return errors;
  const shown = internalForm("ResourceClaimTemplateSpec", spec);
  if (!semanticallyEqual(shown, internalForm("ResourceClaimTemplateSpec", old.spec)))
    errors.push(invalidValue("spec", shown, "field is immutable"));
  return errors;
}

function validateClaimSpec(errors: FieldError[], field: string, spec: ResourceClaimSpec, check: ExpressionCheck | undefined): void {
  const at = `${field}.devices`;
  const devices = spec.devices ?? {};
  const names = requestNames(devices);
  validateUniqueItems(errors, `${at}.requests`, devices.requests ?? [], {
    max: maxRequests,
    check: (request, path) => validateRequest(errors, path, request, check),
    keyOf: ({ name }) => name ?? "",
  });
  validateItems(errors, `${at}.constraints`, devices.constraints ?? [], {
    max: maxConstraints,
    check: (constraint, path) => validateConstraint(errors, path, constraint, names),
  });
  validateItems(errors, `${at}.config`, devices.config ?? [], {
    max: maxConfigurations,
    check: (configuration, path) => validateConfiguration(errors, path, configuration, names),
  });
}

function validateRequest(errors: FieldError[], field: string, request: DeviceRequest, check: ExpressionCheck | undefined): void {
  const { name, exactly } = request;
  const firstAvailable = request.firstAvailable ?? [];
  const oneOf = "exactly one of `exactly` or `firstAvailable` is required";
  checkDnsLabel(errors, `${field}.name`, name);
  if (exactly && firstAvailable.length > 0) errors.push(invalidValue(field, null, `${oneOf}, but multiple fields are set`));
  else if (exactly) validateDeviceRequest(errors, `${field}.exactly`, exactly, check);
  else if (firstAvailable.length === 0) errors.push(required(field, oneOf));
  else
    validateUniqueItems(errors, `${field}.firstAvailable`, firstAvailable, {
      max: maxAlternatives,
      check: (alternative, path) => {
        checkDnsLabel(errors, `${path}.name`, alternative.name);
        validateDeviceRequest(errors, path, alternative, check);
      },
      keyOf: (alternative) => alternative.name ?? "",
    });
}

function validateDeviceRequest(
  errors: FieldError[],
  field: string,
  request: ExactDeviceRequest | DeviceSubRequest,
  check: ExpressionCheck | undefined,
): void {
  const { deviceClassName, selectors, allocationMode, count = 0, tolerations = [] } = request;
  checkName(errors, `${field}.deviceClassName`, deviceClassName, isDNS1123Subdomain);
  validateSelectors(errors, `${field}.selectors`, selectors, { stored: false, check });
  if (allocationMode === "All") {
    if (count !== 0) errors.push(invalidValue(`${field}.count`, count, "must not be specified when allocationMode is 'All'"));
  } else if (allocationMode === "ExactCount") {
    if (count <= 0) errors.push(invalidValue(`${field}.count`, count, "must be greater than zero"));
  } else errors.push(notSupported(`${field}.allocationMode`, allocationMode ?? "", ["All", "ExactCount"]));
  for (const [i, toleration] of tolerations.entries()) validateToleration(errors, `${field}.tolerations[${i}]`, toleration);
}

function validateConstraint(errors: FieldError[], field: string, constraint: DeviceConstraint, names: RequestNames): void {
  const { requests, matchAttribute, distinctAttribute } = constraint;
  validateRequestReferences(errors, `${field}.requests`, requests, names);
  if (matchAttribute !== undefined) validateFullyQualifiedName(errors, `${field}.matchAttribute`, matchAttribute);
  else if (distinctAttribute !== undefined) validateFullyQualifiedName(errors, `${field}.distinctAttribute`, distinctAttribute);
  else errors.push(required(field, 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'));
}

function validateConfiguration(errors: FieldError[], field: string, configuration: DeviceClaimConfiguration, names: RequestNames): void {
  validateRequestReferences(errors, `${field}.requests`, configuration.requests, names);
  validateDeviceConfiguration(errors, field, configuration);
}

/** The requests of a claim, each with its alternatives. */
export type RequestNames = ReadonlyMap<string, ReadonlySet<string>>;

// Lists that are always on the wire are null where there is nothing.
export const requestNames = ({ requests }: DeviceClaim): RequestNames =>
  new Map(
    (requests ?? []).map(({ name, firstAvailable }) => [name, new Set((firstAvailable ?? []).map((alternative) => alternative.name))]),
  );

export function validateRequestReferences(
  errors: FieldError[],
  field: string,
  references: readonly string[] | undefined,
  names: RequestNames,
): void {
  const check = (reference: string, at: string): void => validateRequestReference(errors, at, reference, names);
  validateUniqueItems(errors, field, references ?? [], { max: maxRequests, check, keyOf: itself });
}

/** "request" or "request/alternative". */
export function validateRequestReference(errors: FieldError[], field: string, reference = "", names: RequestNames): void {
  const segments = reference.split("/");
  const unknown = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
  if (segments.length <= 2) for (const segment of segments) checkDnsLabel(errors, field, segment);
  const [request = "", alternative] = segments;
  const alternatives = segments.length <= 2 ? names.get(request) : undefined;
  if (!alternatives || (alternative !== undefined && !alternatives.has(alternative))) errors.push(invalidValue(field, reference, unknown));
}
