// What a claim costs of the quotas of device classes ("gpu.deviceclass.resource.k8s.io/devices"): the devices it asks for. What
// is not known beforehand counts as the most that it may become: all devices as many as a claim can hold, alternatives as the
// one that needs most. Devices of a class cost its extended resource too, under the name that pods ask for it by
// ("requests.example.com/gpu"); a claim that was made for such a pod costs only what the pod does not cost already.
import { parseQuantity, quantityOf } from "../meta/quantity.ts";
import type { Pod } from "../types/core-v1.ts";
import type { DeviceClass, DeviceSubRequest, ExactDeviceRequest, ResourceClaim } from "../types/resource-v1.ts";
import type { Quantities } from "./pod-quantities.ts";

/** What is looked at beside a claim. */
export interface ClaimSurroundings {
  classes(): Iterable<DeviceClass>;
  pod(namespace: string, name: string): Pod | undefined;
  claims(namespace: string): readonly ResourceClaim[];
}

const suffix = ".deviceclass.resource.k8s.io/devices";
const implicitPrefix = "deviceclass.resource.kubernetes.io/";
const requestsPrefix = "requests.";
const maxDevices = 32;

/** Whether a quota under this name limits an extended resource, whoever has it: "requests.example.com/gpu". */
export function isExtendedQuota(name: string): boolean {
  if (!name.startsWith(requestsPrefix)) return false;
  return name.startsWith(requestsPrefix + implicitPrefix) || (name.includes("/") && !name.includes("kubernetes.io/"));
}

/** Whether a quota under this name limits claims. */
export function isDeviceQuota(name: string, around: ClaimSurroundings | undefined): boolean {
  if (name.endsWith(suffix)) return true;
  if (!around || !isExtendedQuota(name)) return false;
  const resource = name.slice(requestsPrefix.length);
  for (const { metadata, spec } of around.classes())
    if (spec.extendedResourceName === resource || implicitPrefix + metadata.name === resource) return true;
  return false;
}

/** `costOf`: of a pod, under the names of quotas. */
export function deviceUsage(claim: ResourceClaim, around: ClaimSurroundings | undefined, costOf: (pod: Pod) => Quantities): Quantities {
  const devices = devicesByClass(claim);
  const ofClasses = Object.fromEntries([...devices].map(([name, count]) => [name + suffix, amount(count)]));
  return around ? { ...ofClasses, ...extendedUsage(claim, { devices, around, costOf }) } : ofClasses;
}

const amount = (count: number) => (count === 0 ? parseQuantity("0") : quantityOf(count));

function devicesByClass({ spec }: ResourceClaim): ReadonlyMap<string, number> {
  const total = new Map<string, number>();
  for (const { exactly, firstAvailable = [] } of spec?.devices?.requests ?? []) {
    const most = new Map<string, number>();
    for (const each of exactly ? [exactly] : firstAvailable)
      most.set(each.deviceClassName, Math.max(most.get(each.deviceClassName) ?? 0, devicesOf(each)));
    for (const [name, count] of most) total.set(name, (total.get(name) ?? 0) + count);
  }
  return total;
}

function devicesOf({ allocationMode, count = 0 }: ExactDeviceRequest | DeviceSubRequest): number {
  if (allocationMode === "All") return maxDevices;
  return allocationMode === "ExactCount" ? count : 0;
}

interface ExtendedCost {
  readonly devices: ReadonlyMap<string, number>;
  readonly around: ClaimSurroundings;
  readonly costOf: (pod: Pod) => Quantities;
}

function extendedUsage(claim: ResourceClaim, { devices, around, costOf }: ExtendedCost): Quantities {
  const counts = new Map<string, number>();
  for (const [name, count] of devices) counts.set(requestsPrefix + implicitPrefix + name, count);
  for (const { metadata, spec } of around.classes()) {
    const count = devices.get(metadata.name);
    if (spec.extendedResourceName && count !== undefined) counts.set(requestsPrefix + spec.extendedResourceName, count);
  }
  const pod = podBehind(claim, around);
  const paid = pod ? costOf(pod) : {};
  const left = [...counts].map(([name, count]) => {
    const already = paid[name];
    return [name, already ? amount(count).add(already.negate()) : amount(count)] as const;
  });
  return Object.fromEntries(left.filter(([, quantity]) => quantity.sign > 0));
}

/** The pod for whose extended resources the claim was made. It has but one: that which its status names, or else the oldest. */
function podBehind(claim: ResourceClaim, around: ClaimSurroundings): Pod | undefined {
  const owner = owningPod(claim);
  if (!owner) return undefined;
  const { name, namespace = "" } = claim.metadata;
  const pod = around.pod(namespace, owner.name);
  if (pod?.metadata.uid !== owner.uid) return undefined;
  const named = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  if (named !== undefined) return named === name ? pod : undefined;
  const isYounger = around.claims(namespace).some((other) => owningPod(other)?.uid === owner.uid && comesBefore(other, claim));
  return isYounger ? undefined : pod;
}

function comesBefore({ metadata: a }: ResourceClaim, { metadata: b }: ResourceClaim): boolean {
  if (a.creationTimestamp !== b.creationTimestamp) return a.creationTimestamp < b.creationTimestamp;
  return a.name < b.name;
}

function owningPod({
  metadata: { annotations, ownerReferences = [] },
}: ResourceClaim): { readonly name: string; readonly uid: string } | undefined {
  if (annotations?.["resource.kubernetes.io/extended-resource-claim"] !== "true") return undefined;
  const owner = ownerReferences.find(({ controller }) => controller);
  return owner?.kind === "Pod" && owner.apiVersion === "v1" ? owner : undefined;
}
