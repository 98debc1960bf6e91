// What a container needs for its devices, from the answers of their plugins: the first answer that sets something wins.
import type { CDIDevice, Device, Mount } from "../../cri/generated/runtime-v1.ts";
import type { Input } from "../../rpc/protocol.ts";
import type { ContainerAllocateResponse } from "./generated/device-plugin-v1beta1.ts";

export interface ContainerDevices {
  readonly envs: ReadonlyMap<string, string>;
  readonly mounts: readonly Input<Mount>[];
  readonly devices: readonly Input<Device>[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly cdiDevices: readonly Input<CDIDevice>[];
}

export function containerDevices(answers: Iterable<ContainerAllocateResponse>): ContainerDevices {
  const envs = new Map<string, string>();
  const annotations = new Map<string, string>();
  const mounts = new Map<string, Input<Mount>>();
  const devices = new Map<string, Input<Device>>();
  const cdiDevices = new Map<string, Input<CDIDevice>>();
  const add = <T>(to: Map<string, T>, key: string, value: T): void => {
    if (!to.has(key)) to.set(key, value);
  };
  for (const answer of answers) {
    for (const [name, value] of Object.entries(answer.envs)) add(envs, name, value);
    for (const [name, value] of Object.entries(answer.annotations)) add(annotations, name, value);
    for (const { containerPath, hostPath, readOnly } of answer.mounts)
      add(mounts, containerPath, { containerPath, hostPath, readonly: readOnly });
    for (const device of answer.devices) add(devices, device.containerPath, device);
    for (const device of answer.cdiDevices) add(cdiDevices, device.name, { name: device.name });
  }
  return {
    envs,
    annotations: Object.fromEntries(annotations),
    mounts: [...mounts.values()],
    devices: [...devices.values()],
    cdiDevices: [...cdiDevices.values()],
  };
}
