// What a container is given besides what its specification says itself: devices, the CPUs it may run on, and
// the NUMA nodes its memory is on.
import type { ContainerDevices } from "../devices/container-devices.ts";

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
