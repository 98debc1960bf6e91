// What a container is given besides what its specification says itself: devices, the CPUs it may run on, and
// the NUMA nodes its memory is on.
import type { CDIDevice } from "../../cri/generated/runtime-v1.ts";
import type { Input } from "../../rpc/protocol.ts";
import { type ContainerDevices, containerDevices } from "../devices/container-devices.ts";

export interface GivenResources {
  readonly devices?: ContainerDevices;
  /** In the kernel's notation. */
  readonly cpusetCpus?: string;
  /** NUMA nodes its memory is on: "0,1". */
  readonly cpusetMems?: string;
  /** The CPUs are its own: a quota could only keep it from using them. */
  readonly hasOwnCpus?: boolean;
}

export const nothingGiven: GivenResources = {};

/** With devices that the runtime knows by name, besides those of plugins. */
export function withCdiDevices(given: GivenResources, added: readonly Input<CDIDevice>[]): GivenResources {
  if (added.length === 0) return given;
  const devices = given.devices ?? containerDevices([]);
  const names = new Set(devices.cdiDevices.map(({ name }) => name));
  return { ...given, devices: { ...devices, cdiDevices: [...devices.cdiDevices, ...added.filter(({ name }) => !names.has(name))] } };
}
