// The host-device plugin: one of the host's interfaces, as it is, becomes the container's, and comes back with DEL. The name it
// had is kept in its alias meanwhile.
import { readdir, readlink, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import { failed, invalidConfig } from "../spec/cni-error.ts";
import type { CniResult } from "../spec/result.ts";
import { textField } from "./config-fields.ts";
import { checkContainerInterface, configureInterface, gone } from "./container-interface.ts";
import { hostInterfaceName } from "./container-names.ts";
import { dnsOf, passToIpam, withAddresses } from "./ipam.ts";
import type { CniCall, CniEffects, CniPlugin } from "./plugin.ts";

interface Device {
  readonly ifname: string;
  readonly address?: string;
  readonly ifalias?: string;
  readonly flags?: readonly string[];
}

/** Drivers that take a device away from the kernel's network: there is no interface to move. */
const userSpaceDrivers = ["vfio-pci", "uio_pci_generic", "igb_uio"];

export const hostDevice: CniPlugin = {
  async add(call, effects) {
    const pci = await pciAddress(call);
    if (pci !== undefined && (await hasUserSpaceDriver(pci)))
      return withAddresses(call, effects, async (ipam) => resultOf(call, undefined, ipam));
    const device = await findDevice(call, effects, pci);
    const temporary = await moveIn(call, effects, device);
    try {
      return await withAddresses(call, effects, async (ipam) => {
        const { netns, ifName } = call;
        const rename = configureInterface({ netns, ifName, ips: ipam.ips ?? [], routes: ipam.routes ?? [], renamedFrom: temporary });
        await effects.ip(rename);
        return resultOf(call, device, ipam);
      });
    } catch (error) {
      await bringBack(call, effects, temporary).catch((problem: unknown) => {
        effects.warn("A device of the host does not come back from a container", { device: device.ifname, error: problem });
      });
      throw error;
    }
  },
  async del(call, effects) {
    await passToIpam("DEL", call, effects);
    if (await effects.namespaceExists(call.netns)) await bringBack(call, effects, call.ifName);
  },
  async check(call, effects) {
    await passToIpam("CHECK", call, effects);
    await checkContainerInterface(call, effects);
  },
  status: (call, effects) => passToIpam("STATUS", call, effects),
  gc: (call, effects) => passToIpam("GC", call, effects),
};

function resultOf(call: CniCall, device: Device | undefined, ipam: CniResult): CniResult {
  const { ips = [], routes = [] } = ipam;
  return {
    interfaces: [{ name: call.ifName, ...(device?.address === undefined ? {} : { mac: device.address }), sandbox: call.netns }],
    ...(ips.length > 0 ? { ips: ips.map((ip) => ({ ...ip, interface: 0 })) } : {}),
    ...(routes.length > 0 ? { routes } : {}),
    ...dnsOf(call, ipam),
  };
}

/** Of `pciBusID`, or of the runtime's `deviceID`. */
async function pciAddress({ config }: CniCall): Promise<string | undefined> {
  const id = config.runtimeConfig?.deviceID;
  if (typeof id !== "string" || id === "") return textField(config, "pciBusID");
  const known = await realpath(join("/sys/bus/pci/devices", id)).catch(() => undefined);
  if (known === undefined) throw failed(`runtime config DeviceID ${id} not found or unsupported`);
  return id;
}

async function hasUserSpaceDriver(pci: string): Promise<boolean> {
  const driver = await readlink(join("/sys/bus/pci/devices", pci, "driver")).catch(() => "");
  return userSpaceDrivers.includes(basename(driver));
}

async function findDevice(call: CniCall, effects: CniEffects, pci: string | undefined): Promise<Device> {
  const { config } = call;
  const [name, mac, path] = ["device", "hwaddr", "kernelpath"].map((field) => textField(config, field));
  if (name === undefined && mac === undefined && path === undefined && pci === undefined)
    throw invalidConfig('specify either "device", "hwaddr", "kernelpath" or "pciBusID"');
  const directory = path !== undefined ? path : pci !== undefined ? join("/sys/bus/pci/devices", pci) : undefined;
  const names = name !== undefined ? [name] : directory === undefined ? undefined : await readdir(join(directory, "net")).catch(() => []);
  const links = await effects.ipList<Device>(["link", "show"]);
  const found = links.find((link) => (names === undefined ? link.address === mac?.toLowerCase() : names.includes(link.ifname)));
  if (!found) throw failed(`failed to find host device: no such device ${name ?? mac ?? directory}`);
  return found;
}

/** Under a name of its own: the container may have an interface of the device's name. */
async function moveIn(call: CniCall, effects: CniEffects, { ifname, flags = [] }: Device): Promise<string> {
  const temporary = hostInterfaceName(call, "hdev");
  try {
    await effects.ip({
      commands: [
        `link set dev ${ifname} down`,
        `link set dev ${ifname} alias ${ifname}`,
        `link set dev ${ifname} name ${temporary}`,
        `link set dev ${temporary} netns ${call.netns}`,
      ],
    });
  } catch (error) {
    await effects.ip({
      commands: [
        { command: `link set dev ${temporary} name ${ifname}`, unless: gone },
        `link set dev ${ifname} ${flags.includes("UP") ? "up" : "down"}`,
      ],
    });
    throw error;
  }
  return temporary;
}

/** To the host, under the name it had there. */
async function bringBack(call: CniCall, effects: CniEffects, name: string): Promise<void> {
  const { netns } = call;
  const links = await effects.ipList<Device>(["link", "show"], { netns });
  const device = links.find(({ ifname }) => ifname === name) ?? links.find(({ ifname }) => ifname === call.ifName);
  if (!device?.ifalias) return; // it has gone back already, or is none of ours
  const temporary = hostInterfaceName(call, "hdev");
  await effects.ip({
    netns,
    commands: [
      `link set dev ${device.ifname} down`,
      ...(device.ifname === temporary ? [] : [`link set dev ${device.ifname} name ${temporary}`]),
      `link set dev ${temporary} netns /proc/${process.pid}/ns/net`,
    ],
  });
  await effects.ip({
    commands: [`link set dev ${temporary} name ${device.ifalias}`, `link set dev ${device.ifalias} alias ""`],
  });
}
