// resourceclaim-controller: makes the claims of pods from their templates and notes their names in the pods' status, reserves
// allocated claims for pods that were put on nodes by hand, and takes reservations, allocations and claims away from pods
// that are done.
import { controllerOf, controllerRef, keyOf, type New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { pods, resourceclaims, resourceclaimtemplates } from "../../api/resources.generated.ts";
import { claimKeysOf, hasClaims, isPodDone, isReservedFor, isUsable, podClaimOf } from "../../api/semantics/pod-claims.ts";
import type { Pod, PodResourceClaim } from "../../api/types/core-v1.ts";
import type { ResourceClaim, ResourceClaimTemplate } from "../../api/types/resource-v1.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import { type Controller, type ControllerContext, type Watched, watch } from "../controller.ts";
import { ClaimRelease } from "./claim-release.ts";

const podClaimAnnotation = "resource.kubernetes.io/pod-claim-name";
const fieldManager = "ResourceClaimController";
const maxReservations = 256;
/** Leaves room for five random characters in a name of 63. */
const maxNameBase = 57;
const byClaim = "resourceClaim";
const byTemplate = "resourceClaimTemplate";
const byOwner = "controllerUid";

const podKey = (pod: Pod): string => `pod:${keyOf(pod)}`;
const claimKeys = (pod: Pod): readonly string[] => claimKeysOf(pod).map((key) => `claim:${key}`);

/** The beginning of a claim's name: the pod's and the claim's in it, each cut in proportion where both are too long. */
export function claimNameBase(podName: string, claimName: string): string {
  const base = `${podName}-${claimName}-`;
  if (base.length <= maxNameBase) return base;
  const cut = (name: string, outOf: number): string => name.slice(0, Math.trunc((name.length * maxNameBase) / outOf));
  const pod = cut(podName, base.length);
  return `${pod}-${cut(claimName, base.length)}`;
}

export const resourceClaimController: Controller = {
  name: "resourceclaim-controller",
  component: "resource_claim",
  serviceAccount: "resource-claim-controller",
  workers: 50,
  create(context) {
    const podInformer = context.informers.informer(pods);
    const claimInformer = context.informers.informer(resourceclaims);
    const templateInformer = context.informers.informer(resourceclaimtemplates);
    podInformer.addIndex(byClaim, claimKeysOf);
    podInformer.addIndex(byTemplate, templateKeysOf);
    claimInformer.addIndex(byOwner, ownersOf);
    const release = new ClaimRelease(context, podInformer);
    const claims = new PodClaims(context, { claimInformer, templates: templateInformer });
    return {
      watches: [
        watchPods(podInformer, release),
        watch(claimInformer, (claim) => [`claim:${keyOf(claim)}`, ...podInformer.byIndex(byClaim, keyOf(claim)).map(podKey)]),
        watch(templateInformer, (template) => podInformer.byIndex(byTemplate, keyOf(template)).map(podKey)),
      ],
      async reconcile(key, { signal }) {
        const objectKey = key.slice(key.indexOf(":") + 1);
        if (key.startsWith("claim:")) {
          const claim = claimInformer.get(objectKey);
          if (claim) await release.release(claim, signal);
          return undefined;
        }
        const pod = podInformer.get(objectKey);
        if (!pod) claims.forget(objectKey);
        else if (pod.metadata.deletionTimestamp === undefined && !isPodDone(pod)) await claims.ensure(pod, signal);
        return undefined;
      },
    };
  },
};

const ownersOf = (claim: ResourceClaim): readonly string[] => {
  const uid = controllerOf(claim)?.uid;
  return uid === undefined ? [] : [uid];
};

const templateKeysOf = ({ metadata, spec }: Pod): readonly string[] =>
  (spec.resourceClaims ?? []).flatMap(({ resourceClaimTemplateName: name }) =>
    name === undefined ? [] : [`${metadata.namespace}/${name}`],
  );

/** Pods that are done, or gone, concern their claims; the others themselves. */
function watchPods(informer: Informer<Pod>, release: ClaimRelease): Watched {
  return {
    start(enqueue) {
      const look = (pod: Pod): void => {
        if (!hasClaims(pod)) return;
        enqueue(podKey(pod));
        if (isPodDone(pod)) claimKeys(pod).forEach(enqueue);
      };
      return informer.addHandler({
        onAdd: look,
        onUpdate: look,
        onDelete(pod) {
          if (!hasClaims(pod)) return;
          release.noteDeleted(pod);
          enqueue(podKey(pod));
          claimKeys(pod).forEach(enqueue);
        },
      });
    },
  };
}

/** Claims of pods that may still run. */
class PodClaims {
  readonly #context: ControllerContext;
  readonly #claims: Informer<ResourceClaim>;
  readonly #templates: Informer<ResourceClaimTemplate>;
  /** Claims that were just made: without them a pod whose status could not be written would get a second one. */
  readonly #recent: RecentWrites<ResourceClaim>;

  constructor(
    context: ControllerContext,
    informers: { readonly claimInformer: Informer<ResourceClaim>; readonly templates: Informer<ResourceClaimTemplate> },
  ) {
    this.#context = context;
    this.#claims = informers.claimInformer;
    this.#templates = informers.templates;
    this.#recent = new RecentWrites(informers.claimInformer);
  }

  forget(podKeyText: string): void {
    this.#recent.forget(podKeyText);
  }

  async ensure(pod: Pod, signal: AbortSignal): Promise<void> {
    const made = new Map<string, string>();
    for (const each of pod.spec.resourceClaims ?? []) {
      try {
        const name = await this.#ensureOne(pod, each, signal);
        if (name !== undefined) made.set(each.name, name);
      } catch (error) {
        if (signal.aborted) throw error;
        const message = `PodResourceClaim ${each.name}: ${error instanceof Error ? error.message : String(error)}`;
        this.#context.recorder.record(pod, { type: "Warning", reason: "FailedResourceClaimCreation", message });
        throw new Error(`pod ${keyOf(pod)}, ${message}`, { cause: error });
      }
    }
    if (made.size > 0) await this.#noteNames(pod, made, signal);
    // Reserving is the scheduler's business until there is a node.
    if (pod.spec.nodeName) for (const each of pod.spec.resourceClaims ?? []) await this.#reserve(pod, each, signal);
  }

  /** The name of a claim that the pod's status does not have yet. */
  async #ensureOne(pod: Pod, each: PodResourceClaim, signal: AbortSignal): Promise<string | undefined> {
    const found = podClaimOf(pod, each);
    if (found.kind === "notNeeded" || each.resourceClaimTemplateName === undefined) return undefined;
    if (found.kind === "named") {
      const claim = this.#claims.get(`${pod.metadata.namespace}/${found.name}`);
      if (claim && isUsable(claim, pod, found)) return undefined;
    }
    const owned = this.#recent.correct(keyOf(pod), this.#claims.byIndex(byOwner, pod.metadata.uid));
    const existing = owned.find(({ metadata }) => metadata.annotations?.[podClaimAnnotation] === each.name);
    return (existing ?? (await this.#make(pod, each, signal))).metadata.name;
  }

  async #make(pod: Pod, { name, resourceClaimTemplateName: templateName }: PodResourceClaim, signal: AbortSignal): Promise<ResourceClaim> {
    const { namespace } = pod.metadata;
    const template = this.#templates.get(`${namespace}/${templateName}`);
    if (!template) {
      const quoted = JSON.stringify(templateName);
      throw new Error(`resource claim template ${quoted}: resourceclaimtemplate.resource.k8s.io ${quoted} not found`);
    }
    const { annotations, labels } = template.spec.metadata ?? {};
    const { blockOwnerDeletion: _, ...owner } = controllerRef(pod, pods);
    const claim: New<ResourceClaim> = {
      metadata: {
        namespace,
        generateName: claimNameBase(pod.metadata.name, name),
        ownerReferences: [owner],
        annotations: { ...annotations, [podClaimAnnotation]: name },
        ...(labels ? { labels } : {}),
      },
      spec: template.spec.spec,
    };
    try {
      return this.#recent.written(keyOf(pod), await this.#context.client.create(resourceclaims, claim, { signal }));
    } catch (error) {
      throw new Error(`create ResourceClaim : ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  /** All names that the status is to have: what is applied replaces what was applied before. */
  async #noteNames(pod: Pod, made: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    const { namespace, name } = pod.metadata;
    const wanted = new Set((pod.spec.resourceClaims ?? []).map((each) => each.name));
    const known = (pod.status?.resourceClaimStatuses ?? []).filter((each) => wanted.has(each.name) && !made.has(each.name));
    const resourceClaimStatuses = [...known, ...[...made].map(([each, resourceClaimName]) => ({ name: each, resourceClaimName }))];
    const applied = { apiVersion: "v1", kind: "Pod", metadata: { namespace, name }, status: { resourceClaimStatuses } };
    await this.#context.client.patch(pods, { namespace, name }, applied, {
      type: "apply",
      subresource: "status",
      fieldManager,
      force: true,
      signal,
    });
  }

  /** A pod that somebody has put on a node by hand: its allocated claims are reserved for it. */
  async #reserve(pod: Pod, each: PodResourceClaim, signal: AbortSignal): Promise<void> {
    const found = podClaimOf(pod, each);
    if (found.kind !== "named" || isPodDone(pod)) return;
    const claim = this.#claims.get(`${pod.metadata.namespace}/${found.name}`);
    if (!claim?.status?.allocation || !isUsable(claim, pod, found) || isReservedFor(claim, pod)) return;
    const reservedFor = claim.status.reservedFor ?? [];
    if (reservedFor.length >= maxReservations) return;
    const consumer = { resource: "pods", name: pod.metadata.name, uid: pod.metadata.uid };
    const status = { ...claim.status, reservedFor: [...reservedFor, consumer] };
    try {
      await this.#context.client.updateStatus(resourceclaims, { ...claim, status }, { signal });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
  }
}
