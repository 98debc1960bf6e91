// What the scheduler knows of the cluster: nodes, and the pods that hold room on them. A pod is assumed when the scheduler
// has chosen its node, confirmed when the API server reports it bound, forgotten when binding fails. Pods may be reported
// before their node and after it has gone.
import { keyOf } from "../api/meta/object.ts";
import type { Node, Pod } from "../api/types/core-v1.ts";
import { NodeInfo, podFacts } from "./node-info.ts";
import { Nominations } from "./nominations.ts";
import { PodGroups } from "./pod-groups.ts";
import { Columns, type Snapshot, type Supposition } from "./snapshot.ts";

interface Placement {
  readonly pod: Pod;
  readonly nodeName: string;
  readonly assumed: boolean;
}

export class SchedulerCache implements Snapshot {
  readonly columns = new Columns();
  readonly groups = new PodGroups();
  readonly nominations = new Nominations((nodeName) => this.#changed(this.#infos.get(nodeName)));
  readonly #infos = new Map<string, NodeInfo>();
  /** By pod UID. */
  readonly #placements = new Map<string, Placement>();
  readonly #freeIndexes: number[] = [];
  #nextIndex = 0;
  #ordered: readonly NodeInfo[] | undefined;
  readonly #imageCounts = new Map<string, number>();
  #suppositions = 0;

  get nodes(): readonly NodeInfo[] {
    this.#ordered ??= orderByZone([...this.#infos.values()].filter((info) => info.node !== undefined));
    return this.#ordered;
  }

  byName(name: string): NodeInfo | undefined {
    const info = this.#infos.get(name);
    return info?.node ? info : undefined;
  }

  nodesWithImage(name: string): number {
    return this.#imageCounts.get(name) ?? 0;
  }

  /** For metrics. */
  sizes(): { readonly nodes: number; readonly pods: number; readonly assumed_pods: number } {
    let assumed = 0;
    for (const placement of this.#placements.values()) if (placement.assumed) assumed++;
    return { nodes: this.nodes.length, pods: this.#placements.size, assumed_pods: assumed };
  }

  setNode(node: Node): void {
    const info = this.#info(node.metadata.name);
    this.#countImages(info.node, -1);
    if (!info.node || zoneOf(info.node) !== zoneOf(node)) this.#ordered = undefined;
    info.setNode(node);
    this.#countImages(node, 1);
    this.columns.setNode(info.index, info, node);
    this.#changed(info);
  }

  removeNode(name: string): void {
    const info = this.#infos.get(name);
    if (!info) return;
    this.#countImages(info.node, -1);
    info.setNode(undefined);
    this.#ordered = undefined;
    this.#dropIfEmpty(info);
  }

  /** Holds room for a pod before it is bound. */
  assume(pod: Pod, nodeName: string): void {
    this.nominations.delete(pod);
    this.#place({ pod, nodeName, assumed: true });
  }

  /** Binding failed: the room is free again. Does nothing for a pod that the API server has reported bound meanwhile. */
  forget(pod: Pod): void {
    if (this.#placements.get(pod.metadata.uid)?.assumed) this.#displace(pod.metadata.uid);
  }

  isAssumed(pod: Pod): boolean {
    return this.#placements.get(pod.metadata.uid)?.assumed === true;
  }

  /** A bound pod as the API server reports it: new, changed, or confirming what was assumed. */
  setPod(pod: Pod): void {
    const nodeName = pod.spec.nodeName;
    if (!nodeName) throw new Error(`pod ${keyOf(pod)} is not bound`);
    this.nominations.delete(pod);
    this.#place({ pod, nodeName, assumed: false });
  }

  /** False where the pod held no room. */
  removePod(pod: Pod): boolean {
    this.nominations.delete(pod);
    return this.#displace(pod.metadata.uid) !== undefined;
  }

  suppose(): Supposition {
    const undo: (() => void)[] = [];
    this.#suppositions++;
    let ended = false;
    return {
      add: (pod, nodeName) => {
        const before = this.#displace(pod.metadata.uid);
        this.#place({ pod, nodeName, assumed: true });
        undo.push(() => (before ? this.#place(before) : this.#displace(pod.metadata.uid)));
      },
      remove: (pod) => {
        const before = this.#displace(pod.metadata.uid);
        if (before) undo.push(() => this.#place(before));
      },
      end: () => {
        for (let last = undo.pop(); last; last = undo.pop()) last();
        if (!ended) this.#suppositions--;
        ended = true;
      },
    };
  }

  #place(placement: Placement): void {
    const { pod, nodeName } = placement;
    this.#displace(pod.metadata.uid);
    const info = this.#info(nodeName);
    const facts = podFacts(pod);
    info.addPod(facts);
    this.groups.add(facts, info);
    this.#placements.set(pod.metadata.uid, placement);
    this.columns.setUsage(info.index, info);
    this.#changed(info);
  }

  #displace(uid: string): Placement | undefined {
    const placement = this.#placements.get(uid);
    if (!placement) return undefined;
    this.#placements.delete(uid);
    const info = this.#infos.get(placement.nodeName);
    if (!info) return placement;
    info.removePod(uid);
    this.groups.remove(podFacts(placement.pod), info);
    this.columns.setUsage(info.index, info);
    this.#changed(info);
    this.#dropIfEmpty(info);
    return placement;
  }

  #changed(info: NodeInfo | undefined): void {
    if (info && this.#suppositions === 0) this.columns.changed(info.index);
  }

  #info(name: string): NodeInfo {
    let info = this.#infos.get(name);
    if (!info) {
      info = new NodeInfo(name, this.#freeIndexes.pop() ?? this.#nextIndex++);
      this.#infos.set(name, info);
    }
    return info;
  }

  #dropIfEmpty(info: NodeInfo): void {
    if (info.node || info.podCount > 0) return;
    this.#infos.delete(info.name);
    this.#freeIndexes.push(info.index);
  }

  #countImages(node: Node | undefined, by: 1 | -1): void {
    for (const image of node?.status?.images ?? []) {
      for (const name of image.names ?? []) {
        const count = (this.#imageCounts.get(name) ?? 0) + by;
        if (count > 0) this.#imageCounts.set(name, count);
        else this.#imageCounts.delete(name);
      }
    }
  }
}

function zoneOf(node: Node): string {
  const labels = node.metadata.labels;
  return `${labels?.["topology.kubernetes.io/region"] ?? ""}/${labels?.["topology.kubernetes.io/zone"] ?? ""}`;
}

/** Takes nodes from each zone in turn, so that a cycle that looks at some of them sees all zones. */
function orderByZone(infos: readonly NodeInfo[]): readonly NodeInfo[] {
  const zones = new Map<string, NodeInfo[]>();
  for (const info of infos) {
    const zone = info.node ? zoneOf(info.node) : "";
    const list = zones.get(zone);
    if (list) list.push(info);
    else zones.set(zone, [info]);
  }
  if (zones.size <= 1) return infos;
  const ordered: NodeInfo[] = [];
  const lists = [...zones.values()];
  for (let round = 0; ordered.length < infos.length; round++) {
    for (const list of lists) {
      const info = list[round];
      if (info) ordered.push(info);
    }
  }
  return ordered;
}
