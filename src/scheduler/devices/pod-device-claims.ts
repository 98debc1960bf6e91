// The claims of a pod as one scheduling cycle works with them: those it names or has from templates, and the one that the
// scheduler makes itself for extended resources with devices behind them, which differs from node to node and is written
// only when the pod has its node.
import { keyOf } from "../../api/meta/object.ts";
import { compileNodeSelector, type NodeMatcher } from "../../api/semantics/node-affinity.ts";
import { isUsable, podClaimOf } from "../../api/semantics/pod-claims.ts";
import type { ContainerExtendedResourceRequest, Pod } from "../../api/types/core-v1.ts";
import type { AllocationResult, ResourceClaim } from "../../api/types/resource-v1.ts";
import type { Rejection } from "../framework.ts";
import { type NodeInfo, podFacts } from "../node-info.ts";
import { type DeviceClaims, extendedClaimAnnotation } from "./device-claims.ts";
import { extendedRequests } from "./extended-requests.ts";

/** What a pod's unallocated claims get on one node. */
export interface NodeAllocation {
  /** By the claim's UID. */
  readonly results: ReadonlyMap<string, AllocationResult>;
  readonly extended?: { readonly claim: ResourceClaim; readonly mappings: readonly ContainerExtendedResourceRequest[] } | undefined;
}

export interface PodDeviceClaims {
  /** Those that the pod's spec names. Replaced one by one as they are written. */
  readonly claims: ResourceClaim[];
  /** For extended resources; without requests until a node is known, unless an earlier attempt left it. */
  extended: ResourceClaim | undefined;
  /** Where claims that are allocated already can be used, by UID. */
  readonly places: ReadonlyMap<string, NodeMatcher>;
  /** Amounts of extended resources that have a class. */
  readonly resources: ReadonlyMap<string, number>;
  readonly allocations: Map<string, NodeAllocation | Rejection>;
  /** Allocated claims that some node could not use. */
  readonly unavailable: Set<ResourceClaim>;
}

export const rejected = (reason: string): Rejection => ({ reasons: [reason], unresolvable: true });

export const allClaims = ({ claims, extended }: PodDeviceClaims): readonly ResourceClaim[] => (extended ? [...claims, extended] : claims);

/** Those that the pod names, or why it has to wait for one of them. */
export function namedClaims(pod: Pod, devices: DeviceClaims): ResourceClaim[] | Rejection {
  const { namespace, name: podName } = pod.metadata;
  const claims: ResourceClaim[] = [];
  for (const each of pod.spec.resourceClaims ?? []) {
    const found = podClaimOf(pod, each);
    if (found.kind === "missing") return rejected(`pod "${namespace}/${podName}": ResourceClaim not created yet`);
    if (found.kind === "notNeeded") {
      if (each.resourceClaimTemplateName !== undefined) continue;
      return rejected(`pod "${namespace}/${podName}", spec.resourceClaim "${each.name}": none of the supported fields are set`);
    }
    const key = `${namespace}/${found.name}`;
    const claim = devices.get(key);
    if (!claim) return rejected(`could not find ResourceClaim "${key}"`);
    if (claim.metadata.deletionTimestamp !== undefined) return rejected(`resourceclaim "${found.name}" is being deleted`);
    if (!isUsable(claim, pod, found))
      return rejected(`ResourceClaim ${key} was not created for Pod ${namespace}/${podName} (Pod is not owner)`);
    claims.push(claim);
  }
  return claims;
}

/** Undefined for a pod that has nothing to do with devices. */
export function podDeviceClaims(pod: Pod, devices: DeviceClaims): PodDeviceClaims | Rejection | undefined {
  const resources = devices.classes.isEmpty ? none : deviceResources(pod, devices);
  if (!pod.spec.resourceClaims?.length && resources.size === 0) return undefined;
  const claims = namedClaims(pod, devices);
  if ("reasons" in claims) return claims;
  const extended = resources.size === 0 ? undefined : (devices.extendedClaimOf(pod) ?? newExtendedClaim(pod));
  const places = new Map<string, NodeMatcher>();
  for (const claim of claims) {
    const allocation = claim.status?.allocation;
    if (allocation?.nodeSelector) places.set(claim.metadata.uid, compileNodeSelector(allocation.nodeSelector));
    const problem = allocation ? undefined : problemOf(claim, devices);
    if (problem !== undefined) return rejected(problem);
  }
  return { claims, extended, places, resources, allocations: new Map(), unavailable: new Set() };
}

/** Why nobody can look for devices for a claim now. */
function problemOf(claim: ResourceClaim, devices: DeviceClaims): string | undefined {
  if (devices.isInFlight(claim)) return `resource claim ${keyOf(claim)} is in the process of being allocated`;
  for (const { name, exactly, firstAvailable = [] } of claim.spec.devices?.requests ?? []) {
    if (!exactly && firstAvailable.length === 0) return `resource claim ${keyOf(claim)}, request ${name}: unknown request type`;
    const wanted = exactly ? [{ ref: name, ...exactly }] : firstAvailable.map((each) => ({ ref: `${name}/${each.name}`, ...each }));
    for (const { ref, deviceClassName } of wanted)
      if (!devices.classes.get(deviceClassName)) return `request ${ref}: device class ${deviceClassName} does not exist`;
  }
  return undefined;
}

const none: ReadonlyMap<string, number> = new Map();

function deviceResources(pod: Pod, { classes }: DeviceClaims): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [name, amount] of Object.entries(podFacts(pod).requests))
    if (amount > 0 && name.includes("/") && classes.forResource(name)) found.set(name, amount);
  return found;
}

const temporaryName = "<extended-resources>";

/** Whether it has yet to be written. */
export const isTemporary = ({ metadata }: ResourceClaim): boolean => metadata.name === temporaryName;

function newExtendedClaim({ metadata }: Pod): ResourceClaim {
  const { namespace, name, uid } = metadata;
  return {
    apiVersion: "resource.k8s.io/v1",
    kind: "ResourceClaim",
    metadata: {
      namespace,
      name: temporaryName,
      generateName: `${name}-extended-resources-`,
      uid: `extended/${uid}`,
      resourceVersion: "",
      creationTimestamp: "",
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name, uid, controller: true }],
      annotations: { [extendedClaimAnnotation]: "true" },
    },
    spec: {},
  };
}

/** The claim for the resources that a node has no plugin for; undefined where it needs none. */
export function extendedOnNode(pod: Pod, state: PodDeviceClaims, node: NodeInfo, devices: DeviceClaims): NodeAllocation["extended"] {
  if (!state.extended) return undefined;
  const resources = new Map<string, string>();
  for (const name of state.resources.keys()) {
    const backing = node.allocatable[name] ? undefined : devices.classes.forResource(name);
    if (backing) resources.set(name, backing.metadata.name);
  }
  if (resources.size === 0) return undefined;
  const { requests, mappings } = extendedRequests(pod, resources);
  return { claim: { ...state.extended, spec: { devices: { requests } } }, mappings };
}
