// What an object costs of a resource quota: pods by their requests and limits, services by type, claims by size and class,
// everything else by count. Names are those of quotas: "requests.cpu", "services.nodeports", "count/deployments.apps".

import type { KubernetesObject } from "../meta/object.ts";
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import { groupResourceOf, type ResourceType } from "../resource-type.ts";
import type { PersistentVolumeClaim, Pod, ResourceQuota, ScopedResourceSelectorRequirement, Service } from "../types/core-v1.ts";
import { podQos } from "./pod-qos.ts";
import { addQuantities, podQuantities, type Quantities, quantitiesOf } from "./pod-quantities.ts";

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

export function usageOf(type: ResourceType, object: KubernetesObject): Quantities {
  const counted: Quantities = {
    [`count/${groupResourceOf(type)}`]: one,
    ...(type.group === "" && plainlyCounted.has(type.resource) ? { [type.resource]: one } : {}),
  };
  if (type.group !== "") return counted;
  switch (type.resource) {
    case "pods":
      return { ...counted, ...podUsage(object as Pod) };
    case "services":
      return { ...counted, ...serviceUsage(object as Service) };
    case "persistentvolumeclaims":
      return { ...counted, ...claimUsage(object as PersistentVolumeClaim) };
    default:
      return counted;
  }
}

const standard = new Set(["cpu", "memory", "ephemeral-storage"]);

function podUsage(pod: Pod): Quantities {
  const overhead = quantitiesOf(pod.spec?.overhead);
  const usage: Record<string, Quantity> = {};
  for (const [name, quantity] of Object.entries(addQuantities(podQuantities(pod, "requests"), overhead))) {
    usage[`requests.${name}`] = quantity;
    if (standard.has(name) || name.startsWith("hugepages-")) usage[name] = quantity;
  }
  for (const [name, quantity] of Object.entries(podQuantities(pod, "limits")))
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
  const storage = claim.spec?.resources?.requests?.storage;
  const ofClass = `${className}.storageclass.storage.k8s.io`;
  return {
    ...(className === "" ? {} : { [`${ofClass}/persistentvolumeclaims`]: one }),
    ...(storage === undefined ? {} : { "requests.storage": parseQuantity(storage) }),
    ...(storage === undefined || className === "" ? {} : { [`${ofClass}/requests.storage`]: parseQuantity(storage) }),
  };
}

/** Whether a quota limits objects of this kind under this name at all. */
export function isCountedFor(type: ResourceType, name: string): boolean {
  if (name === `count/${groupResourceOf(type)}`) return true;
  if (type.group !== "") return false;
  if (plainlyCounted.has(type.resource) && name === type.resource) return true;
  switch (type.resource) {
    case "pods":
      return (
        standard.has(name) ||
        name.startsWith("hugepages-") ||
        (name.startsWith("limits.") && standard.has(name.slice("limits.".length))) ||
        (name.startsWith("requests.") && name !== "requests.storage")
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
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const texts = [...names].sort().flatMap((name) => {
    if (!demanded.has(name) || has(pod.spec?.resources, name)) return [];
    const silent = containers.filter((c) => !has(c.resources, name)).map((c) => c.name);
    return silent.length === 0 ? [] : [`${name} for: ${[...new Set(silent)].sort().join(",")}`];
  });
  return texts.length === 0 ? undefined : `must specify ${texts.join("; ")}`;
}

type Scope = ScopedResourceSelectorRequirement["scopeName"];

/** Whether the object is in all scopes of the quota. Only pods have scopes. */
export function isInScope(type: ResourceType, object: KubernetesObject, { spec }: ResourceQuota): boolean {
  const scopes: readonly ScopedResourceSelectorRequirement[] = [
    ...(spec?.scopes ?? []).map((scopeName) => ({ scopeName: scopeName as Scope, operator: "Exists" as const })),
    ...(spec?.scopeSelector?.matchExpressions ?? []),
  ];
  if (scopes.length === 0) return true;
  if (type.group !== "" || type.resource !== "pods") return false;
  return scopes.every((scope) => podMatches(object as Pod, scope));
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
