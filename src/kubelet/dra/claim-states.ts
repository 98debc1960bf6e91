// Claims that pods of this node use, or are about to: which pods, which drivers, and the devices that the drivers have
// prepared. Kept in upstream's checkpoint dra_manager_state: {Data, Checksum}, Data being JSON in a text, so that a kubelet
// that starts anew knows what is still to be undone.
import { crc32 } from "node:zlib";
import type { ResourceClaim } from "../../api/types/resource-v1.ts";
import type { CheckpointFormat } from "../resize/checkpoint.ts";

export interface PreparedDevice {
  readonly PoolName: string;
  readonly DeviceName: string;
  readonly ShareID: string | null;
  readonly RequestNames: readonly string[] | null;
  readonly CDIDeviceIDs: readonly string[] | null;
}

interface DriverState {
  readonly Devices: readonly PreparedDevice[] | null;
}

export interface ClaimState {
  readonly ClaimUID: string;
  readonly ClaimName: string;
  readonly Namespace: string;
  readonly PodUIDs: Readonly<Record<string, object>>;
  readonly DriverState: Readonly<Record<string, DriverState>>;
}

/** A claim on this node. */
export class PreparedClaim {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly pods: Set<string>;
  /** By driver: empty until it has answered. */
  readonly drivers: Map<string, readonly PreparedDevice[]>;
  /** By this kubelet: after a restart drivers are asked once more, for the next pod. */
  isPrepared = false;

  constructor({ ClaimUID, ClaimName, Namespace, PodUIDs, DriverState }: ClaimState) {
    this.uid = ClaimUID;
    this.name = ClaimName;
    this.namespace = Namespace;
    this.pods = new Set(Object.keys(PodUIDs));
    this.drivers = new Map(Object.entries(DriverState).map(([driver, { Devices }]) => [driver, Devices ?? []]));
  }

  /** Throws for a claim that is not allocated. */
  static of({ metadata, status }: ResourceClaim): PreparedClaim {
    const { uid: ClaimUID, name: ClaimName, namespace: Namespace } = metadata;
    if (!status?.allocation) throw new Error(`ResourceClaim ${ClaimName}: not allocated`);
    const drivers = (status.allocation.devices?.results ?? []).map(({ driver }) => [driver, { Devices: null }] as const);
    return new PreparedClaim({ ClaimUID, ClaimName, Namespace, PodUIDs: {}, DriverState: Object.fromEntries(drivers) });
  }

  get state(): ClaimState {
    return {
      ClaimUID: this.uid,
      ClaimName: this.name,
      Namespace: this.namespace,
      PodUIDs: Object.fromEntries([...this.pods].map((uid) => [uid, {}])),
      DriverState: Object.fromEntries(
        [...this.drivers].map(([driver, devices]) => [driver, { Devices: devices.length > 0 ? devices : null }]),
      ),
    };
  }

  /** Devices for a request, or for all; those that drivers give to no request in particular are for each. */
  devicesFor(request: string | undefined): readonly { readonly driver: string; readonly device: PreparedDevice }[] {
    const base = request?.split("/")[0];
    const found: { driver: string; device: PreparedDevice }[] = [];
    for (const [driver, devices] of this.drivers)
      for (const device of devices) {
        const names = device.RequestNames ?? [];
        if (!base || names.length === 0 || names.includes(base)) found.push({ driver, device });
      }
    return found;
  }
}

const kind = "DRACheckpoint";
const apiVersion = "checkpoint.dra.kubelet.k8s.io/v1";

export const claimCheckpointFormat: CheckpointFormat<readonly ClaimState[]> = {
  encode(list) {
    const Data = JSON.stringify({ kind, apiVersion, ClaimInfoStateList: list.length > 0 ? list : null });
    return JSON.stringify({ Data, Checksum: crc32(Data) });
  },
  decode(text) {
    const { Data, Checksum } = JSON.parse(text) as { readonly Data: string; readonly Checksum: number };
    if (crc32(Data) !== Checksum) throw new Error("checkpoint is corrupted");
    return (JSON.parse(Data) as { readonly ClaimInfoStateList: readonly ClaimState[] | null }).ClaimInfoStateList ?? [];
  },
};
