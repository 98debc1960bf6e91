// What the scheduler knows of devices and claims: the informers' view, corrected by what this process has decided and
// written itself. An allocation counts from the moment a pod reserves it (its claim is in flight: other pods wait for it),
// through the writing of the claim, until the informer shows it. Shared by all profiles of a process.
import { controllerOf, keyOf } from "../../api/meta/object.ts";
import { deviceclasses, resourceclaims, resourceslices } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { AllocationResult, ResourceClaim, ResourceSlice } from "../../api/types/resource-v1.ts";
import type { Informer, InformerFactory } from "../../client/informer.ts";
import { isNewer } from "../../client/recent-writes.ts";
import type { NodeInfo } from "../node-info.ts";
import { AllocatedDevices } from "./allocated-devices.ts";
import { DeviceClasses } from "./device-classes.ts";
import { type DevicePool, poolIdOf, poolsFor } from "./device-pools.ts";

const byNode = "deviceNode";
const byPool = "devicePoolId";
const byExtendedOwner = "extendedResourceOwner";

/** Marks a claim that the scheduler made for extended resources of a pod. */
export const extendedClaimAnnotation = "resource.kubernetes.io/extended-resource-claim";

/** "" for slices that may concern any node. */
const nodeOf = ({ spec }: ResourceSlice): readonly string[] => [(spec.sharedCounters ?? []).length > 0 ? "" : (spec.nodeName ?? "")];
const poolOf = (slice: ResourceSlice): readonly string[] => [poolIdOf(slice)];
const extendedOwnerOf = (claim: ResourceClaim): readonly string[] => {
  const owner = claim.metadata.annotations?.[extendedClaimAnnotation] === "true" ? controllerOf(claim) : undefined;
  return owner ? [owner.uid] : [];
};

interface KnownPools {
  /** Of the node when the pools were looked up: selectors may match its labels. */
  readonly labels: unknown;
  readonly pools: readonly DevicePool[];
}

export class DeviceClaims {
  readonly allocated = new AllocatedDevices();
  readonly classes: DeviceClasses;
  readonly #claims: Informer<ResourceClaim>;
  readonly #slices: Informer<ResourceSlice>;
  /** By key: as this process wrote them last. */
  readonly #written = new Map<string, ResourceClaim>();
  /** By UID: promised to pods that are being bound. */
  readonly #inFlight = new Map<string, AllocationResult>();
  /** By key: what is counted of the claim that is shown. */
  readonly #counted = new Map<string, AllocationResult>();
  readonly #pools = new Map<string, KnownPools>();

  constructor(informers: InformerFactory) {
    this.#claims = informers.informer(resourceclaims);
    this.#slices = informers.informer(resourceslices);
    this.classes = new DeviceClasses(informers.informer(deviceclasses));
    this.#slices.addIndex(byNode, nodeOf);
    this.#slices.addIndex(byPool, poolOf);
    this.#claims.addIndex(byExtendedOwner, extendedOwnerOf);
    const recount = (claim: ResourceClaim): void => this.#recount(keyOf(claim));
    const forgetPools = (): void => this.#pools.clear();
    this.#claims.addHandler({ onAdd: recount, onUpdate: recount, onDelete: recount });
    this.#slices.addHandler({ onAdd: forgetPools, onUpdate: forgetPools, onDelete: forgetPools });
  }

  /** As it is, even where the informer does not show it yet. */
  get(key: string): ResourceClaim | undefined {
    const shown = this.#claims.get(key);
    const written = this.#written.get(key);
    if (!written) return shown;
    const { resourceVersion } = written.metadata;
    const isSame = shown?.metadata.uid === written.metadata.uid;
    if (!this.#claims.isAtLeast(resourceVersion) && (!shown || (isSame && isNewer(resourceVersion, shown.metadata.resourceVersion))))
      return written;
    this.#written.delete(key);
    return shown;
  }

  /** The claim for the extended resources of a pod that an earlier attempt has left. */
  extendedClaimOf({ metadata }: Pod): ResourceClaim | undefined {
    return this.#claims.byIndex(byExtendedOwner, metadata.uid)[0];
  }

  isInFlight({ metadata }: ResourceClaim): boolean {
    return this.#inFlight.has(metadata.uid);
  }

  /** Counts an allocation that is still to be written. */
  promise(uid: string, allocation: AllocationResult): void {
    this.release(uid);
    this.#inFlight.set(uid, allocation);
    this.allocated.add(allocation);
  }

  /** The promise has been kept, or given up. */
  release(uid: string): void {
    const allocation = this.#inFlight.get(uid);
    if (!allocation) return;
    this.#inFlight.delete(uid);
    this.allocated.remove(allocation);
  }

  /** What the API server answered to a write. */
  written(claim: ResourceClaim): void {
    this.#written.set(keyOf(claim), claim);
    this.#recount(keyOf(claim));
  }

  poolsFor(info: NodeInfo): readonly DevicePool[] {
    const { node, name } = info;
    if (!node) return [];
    const known = this.#pools.get(name);
    if (known && known.labels === node.metadata.labels) return known.pools;
    const slices = [...this.#slices.byIndex(byNode, name), ...this.#slices.byIndex(byNode, "")];
    const pools = poolsFor(node, slices, (id) => this.#slices.byIndex(byPool, id));
    this.#pools.set(name, { labels: node.metadata.labels, pools });
    return pools;
  }

  #recount(key: string): void {
    const before = this.#counted.get(key);
    const allocation = this.get(key)?.status?.allocation;
    if (before === allocation) return;
    if (before) this.allocated.remove(before);
    if (allocation) {
      this.allocated.add(allocation);
      this.#counted.set(key, allocation);
    } else this.#counted.delete(key);
  }
}

const shared = new WeakMap<InformerFactory, DeviceClaims>();

/** One view for all profiles whose plugins look at the same informers: what one has promised, the others must not give away. */
export function deviceClaimsOf(informers: InformerFactory): DeviceClaims {
  let claims = shared.get(informers);
  if (!claims) {
    claims = new DeviceClaims(informers);
    shared.set(informers, claims);
  }
  return claims;
}
