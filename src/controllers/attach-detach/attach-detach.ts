// persistentvolume-attach-detach-controller: makes and deletes the VolumeAttachments of CSI volumes as pods come to nodes and
// leave them, and reports in each node's status what is attached there, which its kubelet waits for. A volume is taken out of
// that report before it is detached.
import { isStatus } from "../../api/meta/status-error.ts";
import { csidrivers, nodes, persistentvolumeclaims, persistentvolumes, pods, volumeattachments } from "../../api/resources.generated.ts";
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { VolumeAttachment } from "../../api/types/storage-v1.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import { type Controller, type ControllerContext, type Watched, watch } from "../controller.ts";
import { addNodeIndex, podsOnNode } from "../pods-by-node.ts";
import { type AttachableVolume, attachableVolume, attachmentName, claimKeysOf, isBoundTo, isPodEnded } from "./attachable-volume.ts";
import { managedAnnotation, multiAttachMessage, planAttachments } from "./plan-attachments.ts";

const byClaim = "attachedClaim";
const byVolume = "attachedVolume";
const byNode = "attachedNode";
/** A volume that is attached is looked at so often, whatever has been missed. */
const recheckMs = 60_000;
const maxRemembered = 2000;

export const attachDetachController: Controller = {
  name: "persistentvolume-attach-detach-controller",
  component: "attachdetach-controller",
  serviceAccount: "attachdetach-controller",
  workers: 10,
  create(context) {
    const loop = new Attaching(context);
    return {
      watches: loop.watches(),
      async reconcile(key, { signal }) {
        if (key.startsWith("node:")) {
          await loop.report(key.slice("node:".length), signal);
          return undefined;
        }
        return (await loop.reconcile(key, signal)) ? { requeueAfterMs: recheckMs } : undefined;
      },
    };
  },
};

const volumeOf = ({ spec }: VolumeAttachment): readonly string[] =>
  spec.source.persistentVolumeName === undefined ? [] : [spec.source.persistentVolumeName];

class Attaching {
  readonly #context: ControllerContext;
  readonly #pods: Informer<Pod>;
  readonly #nodes: Informer<Node>;
  readonly #claims: Informer<PersistentVolumeClaim>;
  readonly #volumes: Informer<PersistentVolume>;
  readonly #drivers: ReturnType<typeof driverInformer>;
  readonly #attachments: Informer<VolumeAttachment>;
  readonly #recent: RecentWrites<VolumeAttachment>;
  /** Names of attachments that are no longer reported, for they are being detached. */
  readonly #detaching = new Set<string>();
  /** Since when nobody has needed an attachment, by its name. */
  readonly #unwanted = new Map<string, number>();
  /** What pods have been told, so that they are told once. */
  readonly #told = new LruMap<string, true>(maxRemembered);

  constructor(context: ControllerContext) {
    const { informers } = context;
    this.#context = context;
    this.#pods = informers.informer(pods);
    this.#nodes = informers.informer(nodes);
    this.#claims = informers.informer(persistentvolumeclaims);
    this.#volumes = informers.informer(persistentvolumes);
    this.#drivers = driverInformer(context);
    this.#attachments = informers.informer(volumeattachments);
    this.#recent = new RecentWrites(this.#attachments);
    addNodeIndex(this.#pods);
    this.#pods.addIndex(byClaim, claimKeysOf);
    this.#attachments.addIndex(byVolume, volumeOf);
    this.#attachments.addIndex(byNode, attachmentNode);
  }

  watches(): readonly Watched[] {
    return [
      watch(this.#pods, (pod) => (pod.spec.nodeName ? this.#volumesOf(pod) : [])),
      watch(this.#claims, ({ spec }) => (spec?.volumeName ? [spec.volumeName] : [])),
      watch(this.#volumes, ({ metadata, spec }) => (spec?.csi ? [metadata.name] : [])),
      { start: () => this.#attachments.addHandler({ onDelete: ({ metadata }) => this.#forget(metadata.name) }) },
      watch(this.#attachments, (attachment) => [...volumeOf(attachment), `node:${attachment.spec.nodeName}`]),
      this.#watchNodes(),
    ];
  }

  /** Heartbeats are none of our business. */
  #watchNodes(): Watched {
    return {
      start: (enqueue) => {
        const tell = ({ metadata: { name } }: Node): void => {
          enqueue(`node:${name}`);
          for (const attachment of this.#attachments.byIndex(byNode, name)) volumeOf(attachment).forEach(enqueue);
          for (const pod of podsOnNode(this.#pods, name)) this.#volumesOf(pod).forEach(enqueue);
        };
        const onUpdate = (node: Node, before: Node): void => {
          if (stateOf(node) !== stateOf(before)) tell(node);
        };
        return this.#nodes.addHandler({ onAdd: tell, onUpdate, onDelete: tell });
      },
    };
  }

  /** Names of the volumes that a pod's claims are bound to. */
  #volumesOf(pod: Pod): readonly string[] {
    return claimKeysOf(pod).flatMap((key) => this.#claims.get(key)?.spec?.volumeName ?? []);
  }

  /** Whether the volume has attachments, and so is to be looked at again. */
  async reconcile(volumeName: string, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#context;
    const found = this.#volumes.get(volumeName);
    const volume = found && attachableVolume(found, (name) => this.#drivers.get(name));
    // Without the volume nothing is known of what is attached in its name: that is for whoever deleted it.
    if (!found || !volume) return false;
    const wanted = this.#wanted(found);
    const ofVolume = this.#recent.correct(volumeName, this.#attachments.byIndex(byVolume, volumeName));
    const attachments = ofVolume.filter(({ metadata, spec }) => metadata.name === attachmentName(volume, spec.nodeName));
    const nowMs = clock.now();
    this.#noteWanted(attachments, wanted, nowMs);
    const unwantedSinceMs = (nodeName: string): number => this.#unwanted.get(attachmentName(volume, nodeName)) ?? nowMs;
    const node = (name: string): Node | undefined => this.#nodes.get(name);
    const forceOnTimeout = this.#context.options.forceDetachOnTimeout ?? true;
    const plan = planAttachments({ forceOnTimeout, volume, wanted, attachments, node, unwantedSinceMs, nowMs });
    this.#tell(volume, wanted, attachments);
    for (const { nodeName, by } of plan.blocked)
      this.#tellBlocked(
        volume,
        wanted.get(nodeName) ?? [],
        by.flatMap((other) => this.#users(found, other)),
      );
    for (const nodeName of plan.attach) await this.#attach(volume, nodeName, signal);
    for (const attachment of plan.detach) await this.#detach(volume, attachment, signal);
    return attachments.length > 0 || plan.attach.length > 0;
  }

  /** Pods that need the volume, by node. */
  #wanted(volume: PersistentVolume): ReadonlyMap<string, readonly Pod[]> {
    const wanted = new Map<string, Pod[]>();
    const claimRef = volume.spec?.claimRef;
    const key = `${claimRef?.namespace}/${claimRef?.name}`;
    const claim = claimRef && this.#claims.get(key);
    if (!claim || !isBoundTo(claim, volume)) return wanted;
    for (const pod of this.#pods.byIndex(byClaim, key)) {
      const { nodeName } = pod.spec;
      if (!nodeName || isPodEnded(pod)) continue;
      const known = wanted.get(nodeName);
      if (known) known.push(pod);
      else wanted.set(nodeName, [pod]);
    }
    return wanted;
  }

  /** All pods on a node with the volume, ended ones too: for those whom they keep waiting. */
  #users(volume: PersistentVolume, nodeName: string): readonly Pod[] {
    const { namespace, name } = volume.spec?.claimRef ?? {};
    return this.#pods.byIndex(byClaim, `${namespace}/${name}`).filter((pod) => pod.spec.nodeName === nodeName);
  }

  #noteWanted(attachments: readonly VolumeAttachment[], wanted: ReadonlyMap<string, readonly Pod[]>, nowMs: number): void {
    for (const { metadata, spec } of attachments) {
      if (wanted.has(spec.nodeName)) this.#unwanted.delete(metadata.name);
      else if (!this.#unwanted.has(metadata.name)) this.#unwanted.set(metadata.name, nowMs);
    }
  }

  /** Tells pods that their volume is attached, or why it is not. */
  #tell(volume: AttachableVolume, wanted: ReadonlyMap<string, readonly Pod[]>, attachments: readonly VolumeAttachment[]): void {
    for (const { metadata, spec, status } of attachments) {
      const waiting = wanted.get(spec.nodeName) ?? [];
      if (status?.attached) {
        const isReported = this.#nodes.get(spec.nodeName)?.status?.volumesAttached?.some(({ name }) => name === volume.uniqueName);
        const message = `AttachVolume.Attach succeeded for volume ${JSON.stringify(volume.name)} `;
        if (!isReported) this.#record(waiting, `${metadata.uid}/attached`, { type: "Normal", reason: "SuccessfulAttachVolume", message });
      } else if (status?.attachError) {
        const { message: why = "", time = "" } = status.attachError;
        const message = `AttachVolume.Attach failed for volume ${JSON.stringify(volume.name)} : ${why}`;
        this.#record(waiting, `${metadata.uid}/${time}/${why}`, { type: "Warning", reason: "FailedAttachVolume", message });
      }
    }
  }

  #tellBlocked(volume: AttachableVolume, waiting: readonly Pod[], others: readonly Pod[]): void {
    for (const pod of waiting) {
      const message = multiAttachMessage(volume, pod, others);
      this.#record([pod], `${pod.metadata.uid}/${volume.name}/blocked`, { type: "Warning", reason: "FailedAttachVolume", message });
    }
  }

  #record(
    about: readonly Pod[],
    what: string,
    event: { readonly type: "Normal" | "Warning"; readonly reason: string; readonly message: string },
  ): void {
    if (about.length === 0 || this.#told.get(what)) return;
    this.#told.set(what, true);
    for (const pod of about) this.#context.recorder.record(pod, event);
  }

  async #attach(volume: AttachableVolume, nodeName: string, signal: AbortSignal): Promise<void> {
    const name = attachmentName(volume, nodeName);
    this.#detaching.delete(name);
    try {
      const spec = { attacher: volume.driver, nodeName, source: { persistentVolumeName: volume.name } };
      const made = await this.#context.client.create(volumeattachments, { metadata: { name }, spec }, { signal });
      this.#recent.written(volume.name, made);
    } catch (error) {
      // The cache will show it.
      if (isStatus(error, "AlreadyExists")) return;
      throw error;
    }
  }

  async #detach(volume: AttachableVolume, attachment: VolumeAttachment, signal: AbortSignal): Promise<void> {
    const { name, uid } = attachment.metadata;
    this.#detaching.add(name);
    try {
      await this.report(attachment.spec.nodeName, signal);
      await this.#context.client.delete(volumeattachments, { name }, { signal, body: { preconditions: { uid } } });
      this.#recent.deleted(volume.name, attachment);
    } catch (error) {
      this.#detaching.delete(name);
      if (!isStatus(error, "NotFound", "Conflict")) throw error;
    }
  }

  /** Writes into a node's status what is attached to it. */
  async report(nodeName: string, signal: AbortSignal): Promise<void> {
    const node = this.#nodes.get(nodeName);
    if (node?.metadata.annotations?.[managedAnnotation] === undefined) return;
    const attached = this.#attachments
      .byIndex(byNode, nodeName)
      .filter(({ metadata, status }) => status?.attached && !this.#detaching.has(metadata.name) && metadata.deletionTimestamp === undefined)
      .flatMap((attachment) => this.#reportedName(attachment))
      .sort();
    const known = (node.status?.volumesAttached ?? []).map(({ name }) => name);
    if (known.length === attached.length && attached.every((name) => known.includes(name))) return;
    const volumesAttached = attached.map((name) => ({ name, devicePath: "" }));
    try {
      await this.#context.client.patch(
        nodes,
        { name: nodeName },
        { status: { volumesAttached } },
        { type: "merge", subresource: "status", signal },
      );
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
  }

  #forget(name: string): void {
    this.#detaching.delete(name);
    this.#unwanted.delete(name);
  }

  #reportedName(attachment: VolumeAttachment): readonly string[] {
    const [name] = volumeOf(attachment);
    const volume = name === undefined ? undefined : this.#volumes.get(name);
    const attachable = volume && attachableVolume(volume, (driver) => this.#drivers.get(driver));
    return attachable ? [attachable.uniqueName] : [];
  }
}

const attachmentNode = ({ spec }: VolumeAttachment): readonly string[] => [spec.nodeName];

const driverInformer = ({ informers }: ControllerContext) => informers.informer(csidrivers);

/** Of a node what decides about attachments. */
function stateOf({ metadata, spec, status }: Node): string {
  return JSON.stringify([
    metadata.annotations?.[managedAnnotation],
    spec?.taints?.map(({ key }) => key),
    isConditionTrue(status?.conditions, "Ready"),
    status?.volumesInUse,
    status?.volumesAttached,
  ]);
}
