// What a container is given besides what its specification says itself: devices, and the CPUs it may run on.
import type { ContainerDevices } from "../devices/container-devices.ts";

export interface GivenResources {
  readonly devices?: ContainerDevices;
  /** In the kernel's notation. */
  readonly cpusetCpus?: string;
  /** The CPUs are its own: a quota could only keep it from using them. */
  readonly hasOwnCpus?: boolean;
}

export const nothingGiven: GivenResources = {};
