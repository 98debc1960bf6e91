// Which devices each container of the node has, and what their plugins said a container needs for them. Kept in upstream's
// checkpoint kubelet_internal_checkpoint: {Data: {PodDeviceEntries, RegisteredDevices}, Checksum}, the plugins' answers as
// protobuf.
import { createCodecs } from "../../rpc/protobuf.ts";
import type { CheckpointFormat } from "../resize/checkpoint.ts";
import { goChecksum, goList, goMap } from "../resource-managers/go-checksum.ts";
import { type ContainerAllocateResponse, devicePluginV1beta1 } from "./generated/device-plugin-v1beta1.ts";

/** Of one resource of one container. */
export interface Allocation {
  /** By NUMA node; -1 for those without one. A device of several nodes is under each. */
  readonly byNode: Readonly<Record<string, readonly string[]>>;
  readonly answer: ContainerAllocateResponse;
}

export interface PodDevicesEntry {
  readonly PodUID: string;
  readonly ContainerName: string;
  readonly ResourceName: string;
  readonly DeviceIDs: Readonly<Record<string, readonly string[]>>;
  /** Base64. */
  readonly AllocResp: string;
}

export interface DeviceCheckpoint {
  readonly PodDeviceEntries: readonly PodDevicesEntry[] | null;
  readonly RegisteredDevices: Readonly<Record<string, readonly string[]>>;
}

export const idsOf = ({ byNode }: Allocation): readonly string[] => [...new Set(Object.values(byNode).flat())];

export class DeviceAllocations {
  /** Pod → container → resource. */
  readonly #pods = new Map<string, Map<string, Map<string, Allocation>>>();

  of(podUid: string, container: string): ReadonlyMap<string, Allocation> {
    return this.#pods.get(podUid)?.get(container) ?? new Map();
  }

  /** Undefined where the container has none of the resource. */
  ids(podUid: string, container: string, resource: string): readonly string[] | undefined {
    const allocation = this.of(podUid, container).get(resource);
    return allocation && idsOf(allocation);
  }

  /** Of all containers. */
  used(resource: string): ReadonlySet<string> {
    const used = new Set<string>();
    for (const [, , allocation] of this.#entriesOf(resource)) for (const id of idsOf(allocation)) used.add(id);
    return used;
  }

  /** Whether any container has devices of the resource. */
  uses(resource: string): boolean {
    return this.used(resource).size > 0;
  }

  podsWith(resource: string, ids: readonly string[]): ReadonlySet<string> {
    const pods = new Set<string>();
    for (const [uid, , allocation] of this.#entriesOf(resource)) if (idsOf(allocation).some((id) => ids.includes(id))) pods.add(uid);
    return pods;
  }

  set(podUid: string, container: string, resource: string, allocation: Allocation): void {
    const pod = this.#pods.get(podUid) ?? new Map<string, Map<string, Allocation>>();
    const resources = pod.get(container) ?? new Map<string, Allocation>();
    this.#pods.set(podUid, pod.set(container, resources.set(resource, allocation)));
  }

  /** Whether there was anything. */
  removePod(podUid: string): boolean {
    return this.#pods.delete(podUid);
  }

  pods(): readonly string[] {
    return [...this.#pods.keys()];
  }

  entries(): readonly PodDevicesEntry[] {
    const entries: PodDevicesEntry[] = [];
    for (const [PodUID, containers] of this.#pods)
      for (const [ContainerName, resources] of containers)
        for (const [ResourceName, { byNode, answer }] of resources)
          entries.push({ PodUID, ContainerName, ResourceName, DeviceIDs: byNode, AllocResp: encodeAnswer(answer) });
    return entries;
  }

  restore(entries: readonly PodDevicesEntry[]): void {
    for (const { PodUID, ContainerName, ResourceName, DeviceIDs, AllocResp } of entries)
      this.set(PodUID, ContainerName, ResourceName, { byNode: DeviceIDs, answer: decodeAnswer(AllocResp) });
  }

  *#entriesOf(resource: string): Iterable<readonly [podUid: string, container: string, allocation: Allocation]> {
    for (const [uid, containers] of this.#pods)
      for (const [name, resources] of containers) {
        const allocation = resources.get(resource);
        if (allocation) yield [uid, name, allocation];
      }
  }
}

const answers = createCodecs(devicePluginV1beta1).of<ContainerAllocateResponse>("ContainerAllocateResponse");

const encodeAnswer = (answer: ContainerAllocateResponse): string => Buffer.from(answers.encode(answer)).toString("base64");

const decodeAnswer = (base64: string): ContainerAllocateResponse => answers.decode(Buffer.from(base64, "base64"));

export const deviceCheckpointFormat: CheckpointFormat<DeviceCheckpoint> = {
  encode: (Data) => JSON.stringify({ Data, Checksum: checksumOf(Data) }),
  decode(text) {
    const { Data, Checksum } = JSON.parse(text) as { readonly Data: DeviceCheckpoint; readonly Checksum: number };
    if (checksumOf(Data) !== Checksum) throw new Error("checkpoint is corrupted");
    return Data;
  },
};

function checksumOf({ PodDeviceEntries, RegisteredDevices }: DeviceCheckpoint): number {
  const entries = goList(PodDeviceEntries, (entry) => {
    const devices = goMap(entry.DeviceIDs, (ids) => goList(ids));
    const answer = goList([...Buffer.from(entry.AllocResp, "base64")]);
    const names = `PodUID:(string)${entry.PodUID} ContainerName:(string)${entry.ContainerName} ResourceName:(string)${entry.ResourceName}`;
    return `{${names} DeviceIDs:(checkpoint.DevicesPerNUMA)${devices} AllocResp:([]uint8)${answer}}`;
  });
  const registered = goMap(RegisteredDevices, (ids) => goList(ids));
  return goChecksum(
    `(checkpoint.checkpointData){PodDeviceEntries:([]checkpoint.PodDevicesEntry)${entries} RegisteredDevices:(map[string][]string)${registered}}`,
  );
}
