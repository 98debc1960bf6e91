// What a claim costs of the quotas of device classes ("gpu.deviceclass.resource.k8s.io/devices"): the devices it asks for. What
// is not known beforehand counts as the most that it may become: all devices as many as a claim can hold, alternatives as the
// one that needs most.
import { parseQuantity, quantityOf } from "../meta/quantity.ts";
import type { DeviceSubRequest, ExactDeviceRequest, ResourceClaim } from "../types/resource-v1.ts";
import type { Quantities } from "./pod-quantities.ts";

const suffix = ".deviceclass.resource.k8s.io/devices";
const maxDevices = 32;

export const isDeviceQuota = (name: string): boolean => name.endsWith(suffix);

export function deviceUsage({ spec }: ResourceClaim): Quantities {
  const total = new Map<string, number>();
  for (const { exactly, firstAvailable = [] } of spec?.devices?.requests ?? []) {
    const most = new Map<string, number>();
    for (const each of exactly ? [exactly] : firstAvailable)
      most.set(each.deviceClassName, Math.max(most.get(each.deviceClassName) ?? 0, devicesOf(each)));
    for (const [name, count] of most) total.set(name, (total.get(name) ?? 0) + count);
  }
  return Object.fromEntries([...total].map(([name, count]) => [`${name}${suffix}`, count === 0 ? parseQuantity("0") : quantityOf(count)]));
}

function devicesOf({ allocationMode, count = 0 }: ExactDeviceRequest | DeviceSubRequest): number {
  if (allocationMode === "All") return maxDevices;
  return allocationMode === "ExactCount" ? count : 0;
}
