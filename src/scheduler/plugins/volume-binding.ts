// VolumeBinding: a pod goes where its volumes can be used. Bound claims: where their volume can be reached. Claims whose
// class waits for the first consumer: where a free volume suits them, or one can be provisioned; those are reserved with the
// node, and before the pod is bound the claims are given away and the plugin waits until their binding is complete.
import { keyOf } from "../../api/meta/object.ts";
import { compareQuantities } from "../../api/meta/quantity.ts";
import { persistentvolumeclaims, persistentvolumes } from "../../api/resources.generated.ts";
import {
  boundByControllerAnnotation,
  findVolumeFor,
  isFullyBound,
  isReachable,
  isVolumeOf,
  noProvisioner,
  selectedNodeAnnotation,
  storageClassOf,
} from "../../api/semantics/volume-claims.ts";
import type { Node, PersistentVolume, PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { Plugin, Rejection, SchedulingCycle } from "../framework.ts";
import { claimsOf, isClaimOf, type PodClaims, type StorageView, volumesSignature } from "./pod-volumes.ts";

const name = "VolumeBinding";
const outOfReach = "node(s) didn't match PersistentVolume's node affinity";
const noVolume = "node(s) didn't find available persistent volumes to bind";
const volumeMissing = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/** How often the progress of a binding is looked at. */
const pollMs = 250;

export interface VolumeBindingDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly storage: StorageView;
  /** For a pod's volumes to be bound before the pod is. Default 10 minutes. */
  readonly bindTimeoutMs?: number;
}

/** What is done for a pod's claims if it goes to a node. */
interface Plan {
  readonly bindings: readonly { readonly claim: PersistentVolumeClaim; readonly volume: PersistentVolume }[];
  readonly provisions: readonly PersistentVolumeClaim[];
}

export function createVolumeBinding(deps: VolumeBindingDependencies): Plugin {
  const { storage } = deps;
  /** Volumes and claims promised to pods whose binding is under way: volume name → claim's key, claim's key → node. */
  const promisedVolumes = new Map<string, string>();
  const promisedNodes = new Map<string, string>();
  const planFor = (claims: PodClaims, node: Node): Plan | Rejection =>
    planOn(node, claims.delayed, { storage, promisedVolumes, promisedNodes });
  const planOfNode = (cycle: SchedulingCycle, nodeName: string): Plan | undefined => {
    const claims = storedClaims(cycle);
    const node = cycle.snapshot.byName(nodeName)?.node;
    if (!claims || claims.delayed.length === 0 || !node) return undefined;
    const plan = planFor(claims, node);
    return "reasons" in plan ? undefined : plan;
  };
  return {
    name,
    preFilter(cycle) {
      const claims = claimsOf(cycle.pod, storage);
      if (!claims) return undefined;
      if ("reasons" in claims) return claims;
      if (claims.immediate.length > 0) return { reasons: ["pod has unbound immediate PersistentVolumeClaims"], unresolvable: true };
      cycle.state.set(name, claims);
      return undefined;
    },
    filter(cycle) {
      const claims = storedClaims(cycle);
      if (!claims) return undefined;
      return ({ node }) => {
        if (!node) return undefined;
        const reasons = [...problemsOfBound(claims.bound, node, storage), ...reasonsOf(planFor(claims, node))];
        return reasons.length > 0 ? { reasons: [...new Set(reasons)], unresolvable: true } : undefined;
      };
    },
    reserve(cycle, nodeName) {
      const plan = planOfNode(cycle, nodeName);
      if (!plan) return undefined;
      cycle.state.set(planKey, plan);
      for (const { claim, volume } of plan.bindings) promisedVolumes.set(volume.metadata.name, keyOf(claim));
      for (const claim of plan.provisions) promisedNodes.set(keyOf(claim), nodeName);
      return undefined;
    },
    unreserve: (cycle) => takeBack(storedPlan(cycle)),
    preBind(cycle, nodeName, signal) {
      const plan = storedPlan(cycle);
      return plan && within(deps, signal, (limited) => carryOut(plan, nodeName, { ...deps, signal: limited }));
    },
    postBind: (cycle) => takeBack(storedPlan(cycle)),
    filterSignature: volumesSignature,
    queueingHints: [
      { event: "NodeAdd" },
      { event: "NodeLabel" },
      { event: "PersistentVolumeClaim", concerns: (pod, _before, after) => isClaimOf(pod, after) },
      { event: "PersistentVolume" },
      {
        event: "StorageClass",
        concerns: (_pod, before, after) => !before || changesBinding(before as StorageClass, after as StorageClass),
      },
    ],
  };

  function takeBack(plan: Plan | undefined): void {
    for (const { volume } of plan?.bindings ?? []) promisedVolumes.delete(volume.metadata.name);
    for (const claim of plan?.provisions ?? []) promisedNodes.delete(keyOf(claim));
  }
}

const planKey = `${name}/plan`;
// Nobody else writes under this plugin's name.
const storedClaims = ({ state }: SchedulingCycle): PodClaims | undefined => state.get(name) as PodClaims | undefined;
const storedPlan = ({ state }: SchedulingCycle): Plan | undefined => state.get(planKey) as Plan | undefined;

const reasonsOf = (plan: Plan | Rejection): readonly string[] => ("reasons" in plan ? plan.reasons : []);

function problemsOfBound(claims: readonly PersistentVolumeClaim[], node: Node, storage: StorageView): readonly string[] {
  for (const claim of claims) {
    const volume = storage.volume(claim.spec?.volumeName ?? "");
    if (!volume) return [volumeMissing];
    if (!isReachable(volume, node)) return [outOfReach];
  }
  return [];
}

interface Promises {
  readonly storage: StorageView;
  readonly promisedVolumes: ReadonlyMap<string, string>;
  readonly promisedNodes: ReadonlyMap<string, string>;
}

function planOn(
  node: Node,
  claims: readonly PersistentVolumeClaim[],
  { storage, promisedVolumes, promisedNodes }: Promises,
): Plan | Rejection {
  const rejection: Rejection = { reasons: [noVolume], unresolvable: true };
  const bindings: { claim: PersistentVolumeClaim; volume: PersistentVolume }[] = [];
  const provisions: PersistentVolumeClaim[] = [];
  const taken = new Set(promisedVolumes.keys());
  for (const claim of [...claims].sort(smallestFirst)) {
    const selected = claim.metadata.annotations?.[selectedNodeAnnotation] ?? promisedNodes.get(keyOf(claim));
    if (selected !== undefined && selected !== node.metadata.name) return rejection;
    const volume = selected === undefined ? findVolumeFor(claim, storage.volumes(), { node, taken }) : undefined;
    if (volume) {
      bindings.push({ claim, volume });
      taken.add(volume.metadata.name);
    } else if (canProvision(storage.storageClass(storageClassOf(claim)), node)) provisions.push(claim);
    else return rejection;
  }
  return { bindings, provisions };
}

function smallestFirst(a: PersistentVolumeClaim, b: PersistentVolumeClaim): number {
  return compareQuantities(a.spec?.resources?.requests?.storage ?? 0, b.spec?.resources?.requests?.storage ?? 0);
}

function canProvision(storageClass: StorageClass | undefined, node: Node): boolean {
  if (!storageClass?.provisioner || storageClass.provisioner === noProvisioner) return false;
  const terms = storageClass.allowedTopologies ?? [];
  const labels = node.metadata.labels ?? {};
  return (
    terms.length === 0 ||
    terms.some((term) => (term.matchLabelExpressions ?? []).every(({ key, values }) => values.includes(labels[key] ?? "")))
  );
}

function changesBinding(before: StorageClass, after: StorageClass): boolean {
  return JSON.stringify(before.allowedTopologies) !== JSON.stringify(after.allowedTopologies);
}

const defaultBindTimeoutMs = 600_000;

async function within(
  { clock, bindTimeoutMs = defaultBindTimeoutMs }: VolumeBindingDependencies,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const deadline = new AbortController();
  const late = (): void => deadline.abort(new Error("binding volumes: context deadline exceeded"));
  const timer = clock.after(bindTimeoutMs, late);
  try {
    await work(AbortSignal.any([signal, deadline.signal]));
  } finally {
    timer.cancel();
  }
}

type CarryOut = VolumeBindingDependencies & { readonly signal: AbortSignal };

/** Writes what has been decided, and waits until every claim is bound. */
async function carryOut({ bindings, provisions }: Plan, nodeName: string, deps: CarryOut): Promise<void> {
  const { client, clock, storage, signal } = deps;
  for (const { claim, volume } of bindings) if (!isVolumeOf(volume, claim) || !volume.spec?.claimRef?.uid) await give(volume, claim, deps);
  for (const claim of provisions) {
    const { namespace = "", name, uid } = claim.metadata;
    const patch = { metadata: { uid, annotations: { [selectedNodeAnnotation]: nodeName } } };
    await client.patch(persistentvolumeclaims, { namespace, name }, patch, { type: "merge", signal });
  }
  const waiting = new Set([...bindings.map(({ claim }) => keyOf(claim)), ...provisions.map(keyOf)]);
  // A provisioner that cannot use the node takes the annotation away again: seen once the cache has shown it.
  const announced = new Set<string>();
  for (;;) {
    for (const key of waiting) {
      const claim = storage.claim(key);
      if (!claim) throw new Error(`binding volumes: persistentvolumeclaim ${key} is gone`);
      if (isFullyBound(claim)) waiting.delete(key);
      else if (claim.metadata.annotations?.[selectedNodeAnnotation] === nodeName) announced.add(key);
      else if (announced.has(key)) throw new Error(`binding volumes: provisioning failed for PVC "${claim.metadata.name}"`);
    }
    if (waiting.size === 0) return;
    await clock.sleep(pollMs, signal);
  }
}

/** Reserves a volume for a claim; the volume controller does the rest. */
async function give(volume: PersistentVolume, claim: PersistentVolumeClaim, { client, signal }: CarryOut): Promise<void> {
  const { name, namespace, uid, resourceVersion } = claim.metadata;
  const claimRef = { apiVersion: "v1", kind: "PersistentVolumeClaim", name, namespace, uid, resourceVersion };
  const byUser = isVolumeOf(volume, claim);
  const annotations = byUser ? {} : { annotations: { [boundByControllerAnnotation]: "yes" } };
  const patch = { metadata: { resourceVersion: volume.metadata.resourceVersion, ...annotations }, spec: { claimRef } };
  await client.patch(persistentvolumes, { name: volume.metadata.name }, patch, { type: "merge", signal });
}
