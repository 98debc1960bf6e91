// The status of a claim for devices: what was allocated, for whom it is reserved, and what the drivers say of the devices.
// An allocation is made and taken back as a whole.
import { semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, forbiddenField, invalidValue, tooLong, tooMany } from "../meta/field-error.ts";
import { byteLength } from "../meta/names.ts";
import type {
  AllocatedDeviceStatus,
  AllocationResult,
  DeviceAllocationConfiguration,
  DeviceRequestAllocationResult,
  NetworkDeviceData,
  ResourceClaim,
  ResourceClaimConsumerReference,
} from "../types/resource-v1.ts";
import { checkInterfaceAddress } from "./addresses.ts";
import { validateNodeSelector } from "./affinity.ts";
import { validateConditions } from "./conditions.ts";
import {
  checkDnsLabel,
  itself,
  validateBindingConditions,
  validateDeviceConfiguration,
  validateDriverName,
  validateItems,
  validatePoolName,
  validateRawObject,
  validateUid,
  validateUniqueItems,
} from "./device-rules.ts";
import { internalForm } from "./internal-form.ts";
import {
  maxConfigurations,
  type RequestNames,
  requestNames,
  validateRequestReference,
  validateRequestReferences,
} from "./resource-claim.ts";
import { checkPresent, checkSupported } from "./rules.ts";

const maxConsumers = 256;
const maxResults = 32;
const maxConditions = 8;
const maxDataBytes = 10 * 1024;
const maxInterfaceName = 256;
const maxHardwareAddress = 128;
const maxAddresses = 16;

export function validateResourceClaimStatus(claim: ResourceClaim, old: ResourceClaim): FieldError[] {
  const errors: FieldError[] = [];
  const { allocation } = claim.status ?? {};
  const [devices, reservedFor] = [claim.status?.devices ?? [], claim.status?.reservedFor ?? []];
  const names = requestNames(claim.spec?.devices ?? {});
  validateUniqueItems(errors, "status.reservedFor", reservedFor, {
    max: maxConsumers,
    check: (consumer, at) => validateConsumer(errors, at, consumer),
    keyOf: ({ uid }) => uid ?? "",
  });
  const allocated = new Set((allocation?.devices?.results ?? []).map(identityOf));
  validateUniqueItems(errors, "status.devices", devices, {
    max: Number.POSITIVE_INFINITY,
    check: (device, at) => validateDeviceStatus(errors, at, device, allocated),
    keyOf: identityOf,
    shown: shownIdentity,
  });
  validateReservation(errors, claim, old);
  const before = old.status?.allocation;
  if (allocation && before) {
    if (!semanticallyEqual(allocation, before))
      errors.push(invalidValue("status.allocation", internalForm("AllocationResult", allocation), "field is immutable"));
  } else if (allocation) validateAllocation(errors, "status.allocation", allocation, names);
  return errors;
}

interface DeviceIdentity {
  readonly driver: string;
  readonly pool: string;
  readonly device: string;
  readonly shareID?: string;
}

/** One text for each device, or share of one. */
export const identityOf = ({ driver, pool, device, shareID = "" }: DeviceIdentity): string => [driver, pool, device, shareID].join("\0");

const shownIdentity = ({ driver, pool, device, shareID = "" }: DeviceIdentity): unknown => ({
  Driver: driver ?? "",
  Pool: pool ?? "",
  Device: device ?? "",
  ShareID: shareID,
});

function validateReservation(errors: FieldError[], { metadata, status }: ResourceClaim, old: ResourceClaim): void {
  const reservedFor = status?.reservedFor ?? [];
  const field = "status.reservedFor";
  if (reservedFor.length === 0) return;
  if (!status?.allocation) {
    errors.push(forbiddenField(field, "may not be specified when `allocated` is not set"));
    return;
  }
  if (metadata.deletionTimestamp === undefined) return;
  const before = old.status?.reservedFor ?? [];
  if (reservedFor.some((consumer) => !before.some((known) => semanticallyEqual(known, consumer))))
    errors.push(forbiddenField(field, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"));
}

function validateConsumer(errors: FieldError[], field: string, { resource, name, uid }: ResourceClaimConsumerReference): void {
  checkPresent(errors, `${field}.resource`, resource);
  checkPresent(errors, `${field}.name`, name);
  checkPresent(errors, `${field}.uid`, uid);
}

function validateAllocation(errors: FieldError[], field: string, { devices, nodeSelector }: AllocationResult, names: RequestNames): void {
  validateItems(errors, `${field}.devices.results`, devices?.results ?? [], {
    max: maxResults,
    check: (result, at) => validateResult(errors, at, result, names),
  });
  validateItems(errors, `${field}.devices.config`, devices?.config ?? [], {
    // Those of the classes and those of the claim.
    max: 2 * maxConfigurations,
    check: (configuration, at) => validateConfiguration(errors, at, configuration, names),
  });
  if (nodeSelector) validateNodeSelector(errors, `${field}.nodeSelector`, nodeSelector);
}

function validateResult(errors: FieldError[], field: string, result: DeviceRequestAllocationResult, names: RequestNames): void {
  validateRequestReference(errors, `${field}.request`, result.request, names);
  validateDriverName(errors, `${field}.driver`, result.driver);
  validatePoolName(errors, `${field}.pool`, result.pool);
  checkDnsLabel(errors, `${field}.device`, result.device);
  validateBindingConditions(errors, field, result);
  if (result.shareID !== undefined) validateUid(errors, `${field}.shareID`, result.shareID);
}

function validateConfiguration(
  errors: FieldError[],
  field: string,
  configuration: DeviceAllocationConfiguration,
  names: RequestNames,
): void {
  checkSupported(errors, `${field}.source`, configuration.source, ["FromClaim", "FromClass"], "required");
  validateRequestReferences(errors, `${field}.requests`, configuration.requests, names);
  validateDeviceConfiguration(errors, field, configuration);
}

function validateDeviceStatus(errors: FieldError[], field: string, device: AllocatedDeviceStatus, allocated: ReadonlySet<string>): void {
  const { data, networkData } = device;
  const conditions = device.conditions ?? [];
  validateDriverName(errors, `${field}.driver`, device.driver);
  validatePoolName(errors, `${field}.pool`, device.pool);
  checkDnsLabel(errors, `${field}.device`, device.device);
  if (device.shareID !== undefined) validateUid(errors, `${field}.shareID`, device.shareID);
  if (!allocated.has(identityOf(device)))
    errors.push(invalidValue(field, shownIdentity(device), "must be an allocated device in the claim"));
  if (conditions.length > maxConditions) errors.push(tooMany(`${field}.conditions`, conditions.length, maxConditions));
  validateConditions(errors, `${field}.conditions`, conditions);
  if (data !== undefined) validateRawObject(errors, `${field}.data`, data, maxDataBytes);
  if (networkData) validateNetworkData(errors, `${field}.networkData`, networkData);
}

function validateNetworkData(errors: FieldError[], field: string, data: NetworkDeviceData): void {
  const { interfaceName = "", hardwareAddress = "" } = data;
  const ips = data.ips ?? [];
  if (byteLength(interfaceName) > maxInterfaceName) errors.push(tooLong(`${field}.interfaceName`, maxInterfaceName));
  if (byteLength(hardwareAddress) > maxHardwareAddress) errors.push(tooLong(`${field}.hardwareAddress`, maxHardwareAddress));
  const check = (address: string, at: string): void => checkInterfaceAddress(errors, at, address);
  validateUniqueItems(errors, `${field}.ips`, ips, { max: maxAddresses, check, keyOf: itself });
}
