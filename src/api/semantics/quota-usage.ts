// What an object costs of a resource quota: pods by their requests and limits, services by type, claims by size and class,
// everything else by count. Names are those of quotas: "requests.cpu", "services.nodeports", "count/deployments.apps".

import type { KubernetesObject } from "../meta/object.ts";
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import { parseTime } from "../meta/time.ts";
import { groupResourceOf, type ResourceType } from "../resource-type.ts";
import type { PersistentVolumeClaim, Pod, ResourceQuota, ScopedResourceSelectorRequirement, Service } from "../types/core-v1.ts";
import type { ResourceClaim } from "../types/resource-v1.ts";
import { type ClaimSurroundings, deviceUsage, isDeviceQuota, isExtendedQuota } from "./device-quota.ts";
import { podQos } from "./pod-qos.ts";
import { addQuantities, isPodLevel, podQuantities, type Quantities, quantitiesOf } from "./pod-quantities.ts";
import { resizingStatus } from "./pod-resources.ts";
import { isPodTerminal } from "./pod-status.ts";

const one = parseQuantity("1");

/** Core resources that quotas also count under their plain name. */
const plainlyCounted = new Set([
  "pods",
  "services",
  "persistentvolumeclaims",
  "configmaps",
  "secrets",
  "replicationcontrollers",
  "resourcequotas",
]);

/** What decides on costs besides the object. */
export interface Present {
  readonly nowMs: number;
  /** For claims; without it extended resources behind classes are not looked at. */
  readonly around?: ClaimSurroundings | undefined;
}

/** Pods that have ended, or should long have gone, cost their count alone. */
export function usageOf(type: ResourceType, object: KubernetesObject, { nowMs, around }: Present): Quantities {
  const podCost = (pod: Pod): Quantities => costOfPod(pod, nowMs);
  if (type.group === "" && type.resource === "pods") return podCost(object as Pod);
  const counted: Quantities = {
    [`count/${groupResourceOf(type)}`]: one,
    ...(type.group === "" && plainlyCounted.has(type.resource) ? { [type.resource]: one } : {}),
  };
  if (isDeviceClaim(type)) return { ...counted, ...deviceUsage(object as ResourceClaim, around, podCost) };
  if (type.group !== "") return counted;
  switch (type.resource) {
    case "services":
      return { ...counted, ...serviceUsage(object as Service) };
    case "persistentvolumeclaims":
      return { ...counted, ...claimUsage(object as PersistentVolumeClaim) };
    default:
      return counted;
  }
}

const isDeviceClaim = ({ group, resource }: ResourceType): boolean => group === "resource.k8s.io" && resource === "resourceclaims";

const standard = new Set(["cpu", "memory", "ephemeral-storage"]);

function costOfPod(pod: Pod, nowMs: number): Quantities {
  const isOver = isPodTerminal(pod) || shouldBeGone(pod, nowMs);
  return isOver ? { "count/pods": one } : { "count/pods": one, pods: one, ...podUsage(pod) };
}

/** Whether a pod's grace period is over: its node may be lost, and whoever replaces it is not to pay for it. */
function shouldBeGone({ metadata: { deletionTimestamp, deletionGracePeriodSeconds } }: Pod, nowMs: number): boolean {
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds === undefined) return false;
  return nowMs > (parseTime(deletionTimestamp) ?? nowMs) + deletionGracePeriodSeconds * 1000;
}

function podUsage(pod: Pod): Quantities {
  const overhead = quantitiesOf(pod.spec?.overhead);
  const status = resizingStatus(pod);
  const usage: Record<string, Quantity> = {};
  for (const [name, quantity] of Object.entries(addQuantities(podQuantities(pod, "requests", status), overhead))) {
    usage[`requests.${name}`] = quantity;
    if (standard.has(name) || name.startsWith("hugepages-")) usage[name] = quantity;
  }
  for (const [name, quantity] of Object.entries(podQuantities(pod, "limits", status)))
    if (standard.has(name)) usage[`limits.${name}`] = overhead[name]?.add(quantity) ?? quantity;
  return usage;
}

function serviceUsage({ spec }: Service): Quantities {
  const ports = spec?.ports ?? [];
  const count = (n: number): Quantity => parseQuantity(String(n));
  switch (spec?.type) {
    case "NodePort":
      return { "services.nodeports": count(ports.length) };
    case "LoadBalancer": {
      const allocates = spec.allocateLoadBalancerNodePorts !== false;
      const nodePorts = allocates ? ports.length : ports.filter((p) => p.nodePort).length;
      return { "services.nodeports": count(nodePorts), "services.loadbalancers": one };
    }
    default:
      return {};
  }
}

function claimUsage(claim: PersistentVolumeClaim): Quantities {
  const className = claim.metadata.annotations?.["volume.beta.kubernetes.io/storage-class"] ?? claim.spec?.storageClassName ?? "";
  const storage = storageOf(claim);
  const ofClass = `${className}.storageclass.storage.k8s.io`;
  return {
    ...(className === "" ? {} : { [`${ofClass}/persistentvolumeclaims`]: one }),
    ...(storage === undefined ? {} : { "requests.storage": storage }),
    ...(storage === undefined || className === "" ? {} : { [`${ofClass}/requests.storage`]: storage }),
  };
}

/** What is asked for, or what has been allocated where that is more (a claim that has grown and shall not any more). */
function storageOf({ spec, status }: PersistentVolumeClaim): Quantity | undefined {
  const asked = spec?.resources?.requests?.storage;
  if (asked === undefined) return undefined;
  const wanted = parseQuantity(asked);
  const allocated = status?.allocatedResources?.storage;
  if (allocated === undefined) return wanted;
  const given = parseQuantity(allocated);
  return given.compare(wanted) > 0 ? given : wanted;
}

/** Whether a quota limits objects of this kind under this name at all. */
export function isCountedFor(type: ResourceType, name: string, around?: ClaimSurroundings): boolean {
  if (name === `count/${groupResourceOf(type)}`) return true;
  if (isDeviceClaim(type)) return isDeviceQuota(name, around);
  if (type.group !== "") return false;
  if (plainlyCounted.has(type.resource) && name === type.resource) return true;
  switch (type.resource) {
    case "pods":
      return (
        standard.has(name) ||
        name.startsWith("hugepages-") ||
        (name.startsWith("limits.") && standard.has(name.slice("limits.".length))) ||
        (name.startsWith("requests.") && standard.has(name.slice("requests.".length))) ||
        name.startsWith("requests.hugepages-") ||
        isExtendedQuota(name)
      );
    case "services":
      return name === "services.nodeports" || name === "services.loadbalancers";
    case "persistentvolumeclaims":
      return name === "requests.storage" || /\.storageclass\.storage\.k8s\.io\/(persistentvolumeclaims|requests\.storage)$/.test(name);
    default:
      return false;
  }
}

/** Names under which every container of a pod must say something where a quota limits them. */
const demanded = new Set(["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"]);

/** What a pod fails to say, in upstream's words: "must specify limits.memory for: c,d; requests.cpu for: d". */
export function missingValues(pod: Pod, names: readonly string[]): string | undefined {
  const has = (resources: { readonly requests?: object; readonly limits?: object } | undefined, name: string): boolean => {
    const [, which = "requests", resource = name] = /^(requests|limits)\.(.*)$/.exec(name) ?? [];
    return resource in ((which === "limits" ? resources?.limits : resources?.requests) ?? {});
  };
  // Values for the whole pod are enough, whichever they are.
  const { requests, limits } = pod.spec?.resources ?? {};
  if ([...Object.keys(requests ?? {}), ...Object.keys(limits ?? {})].some(isPodLevel)) return undefined;
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const texts = [...names].sort().flatMap((name) => {
    if (!demanded.has(name)) return [];
    const silent = containers.filter((c) => !has(c.resources, name)).map((c) => c.name);
    return silent.length === 0 ? [] : [`${name} for: ${[...new Set(silent)].sort().join(",")}`];
  });
  return texts.length === 0 ? undefined : `must specify ${texts.join("; ")}`;
}

type Scope = ScopedResourceSelectorRequirement["scopeName"];

/** The scopes of a quota, as requirements. */
export function scopesOf({ spec }: ResourceQuota): readonly ScopedResourceSelectorRequirement[] {
  return [
    ...(spec?.scopes ?? []).map((scopeName) => ({ scopeName: scopeName as Scope, operator: "Exists" as const })),
    ...(spec?.scopeSelector?.matchExpressions ?? []),
  ];
}

/** Whether the object is in all scopes of the quota. */
export function isInScope(type: ResourceType, object: KubernetesObject, quota: ResourceQuota): boolean {
  return scopesOf(quota).every((scope) => matchesScope(type, object, scope));
}

/** Only pods and claims have scopes. */
export function matchesScope(type: ResourceType, object: KubernetesObject, scope: ScopedResourceSelectorRequirement): boolean {
  if (type.group !== "") return false;
  if (type.resource === "pods") return podMatches(object as Pod, scope);
  return type.resource === "persistentvolumeclaims" && claimMatches(object as PersistentVolumeClaim, scope);
}

/** A claim is in the scope of every attributes class that it has, had, or is about to get. */
function claimMatches({ spec, status }: PersistentVolumeClaim, scope: ScopedResourceSelectorRequirement): boolean {
  if (scope.scopeName !== "VolumeAttributesClass") return false;
  const names = [
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ].filter((name): name is string => name !== undefined && name !== "");
  return names.length === 0 ? matchesValue("", scope) : names.some((name) => matchesValue(name, scope));
}

function podMatches(pod: Pod, scope: ScopedResourceSelectorRequirement): boolean {
  const isTerminating = (pod.spec?.activeDeadlineSeconds ?? -1) >= 0;
  switch (scope.scopeName) {
    case "Terminating":
      return isTerminating;
    case "NotTerminating":
      return !isTerminating;
    case "BestEffort":
      return podQos(pod) === "BestEffort";
    case "NotBestEffort":
      return podQos(pod) !== "BestEffort";
    case "PriorityClass":
      return matchesValue(pod.spec?.priorityClassName ?? "", scope);
    case "CrossNamespacePodAffinity":
      return reachesOtherNamespaces(pod);
    default:
      return false;
  }
}

function matchesValue(value: string, { operator, values = [] }: ScopedResourceSelectorRequirement): boolean {
  switch (operator) {
    case "In":
      return values.includes(value);
    case "NotIn":
      return !values.includes(value);
    case "Exists":
      return value !== "";
    default:
      return value === "";
  }
}

function reachesOtherNamespaces(pod: Pod): boolean {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  return [podAffinity, podAntiAffinity].some((affinity) =>
    [
      ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
      ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((p) => p.podAffinityTerm),
    ].some((term) => (term.namespaces ?? []).length > 0 || term.namespaceSelector !== undefined),
  );
}
