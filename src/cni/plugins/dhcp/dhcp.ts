// The dhcp plugin: addresses from a DHCP server of the network the container's interface is on. Leases are kept by the process of
// the node: upstream's daemon is a part of the plugin host.
import { realClock } from "../../../base/clock.ts";
import { CniError, cniErrorCodes, failed } from "../../spec/cni-error.ts";
import { asObject, listField, textField } from "../config-fields.ts";
import { findLink } from "../container-interface.ts";
import type { CniCall, CniEffects, CniPlugin } from "../plugin.ts";
import { DhcpClient, type DhcpLink, type Lease, leaseResult } from "./dhcp-client.ts";
import { dhcpOptions } from "./dhcp-message.ts";
import { openDhcpRelay } from "./dhcp-relay.ts";

interface KeptLease {
  readonly client: DhcpClient;
  readonly link: DhcpLink;
  readonly abort: AbortController;
  readonly lease: Lease;
  lost?: string;
}

const optionNames: Readonly<Record<string, number>> = {
  "host-name": dhcpOptions.hostName,
  "dhcp-client-identifier": dhcpOptions.clientId,
  "vendor-class-identifier": dhcpOptions.vendorClass,
  "user-class": dhcpOptions.userClass,
  "subnet-mask": dhcpOptions.subnetMask,
  "interface-mtu": dhcpOptions.mtu,
  routers: dhcpOptions.router,
  "domain-name-servers": dhcpOptions.nameServers,
  "domain-name": dhcpOptions.domainName,
  "static-routes": dhcpOptions.staticRoutes,
  "classless-static-routes": dhcpOptions.classlessRoutes,
};

export function createDhcp(): CniPlugin {
  /** As many as there are containers with an address by DHCP. */
  const leases = new Map<string, KeptLease>();
  return {
    async add(call, effects) {
      if (!effects.lasting)
        throw new CniError(cniErrorCodes.notAvailable, "dhcp: leases need a process that keeps them (coracle cni host)");
      if (leases.has(keyOf(call))) throw failed(`dhcp: container ${call.containerId} has a lease for ${call.ifName} already`);
      const kept = await acquire(call, effects);
      leases.set(keyOf(call), kept);
      void kept.client.keep(kept.lease, kept.abort.signal).catch((error: unknown) => {
        if (kept.abort.signal.aborted) return;
        kept.lost = (error as Error).message;
        effects.warn("A container has lost its address", { container: call.containerId, error: kept.lost });
      });
      return leaseResult(kept.lease);
    },
    async del(call) {
      const kept = leases.get(keyOf(call));
      if (!kept) return;
      leases.delete(keyOf(call));
      kept.abort.abort(new Error("the container is detached"));
      kept.client.release(kept.lease);
      kept.link.close();
    },
    async check(call) {
      const kept = leases.get(keyOf(call));
      if (!kept) throw failed(`dhcp: lease not found for ${keyOf(call)}`);
      if (kept.lost !== undefined) throw failed(`dhcp: ${kept.lost}`);
    },
    async status(_call, effects) {
      if (!effects.lasting) throw new CniError(cniErrorCodes.notAvailable, "dhcp: leases need a process that keeps them");
    },
    async gc({ config }) {
      const valid = new Set(
        config["cni.dev/valid-attachments"]?.map(({ containerID, ifname }) => `${containerID}/${config.name}/${ifname}`),
      );
      for (const [key, kept] of leases) {
        if (valid.has(key) || key.split("/")[1] !== config.name) continue;
        leases.delete(key);
        kept.abort.abort(new Error("the container is gone"));
        kept.link.close();
      }
    },
  };
}

/** Also what the server knows the client by. */
const keyOf = ({ containerId, config, ifName }: CniCall): string => `${containerId}/${config.name}/${ifName}`;

async function acquire(call: CniCall, effects: CniEffects): Promise<KeptLease> {
  const { netns, ifName } = call;
  const device = await findLink(ifName, effects, netns);
  if (!device?.address) throw failed(`dhcp: the container has no interface ${ifName} with a hardware address`);
  await effects.setLink({ netns, name: ifName, up: true });
  const link = await openDhcpRelay({ netns, ifName }, realClock);
  try {
    const client = new DhcpClient({
      link,
      clock: realClock,
      hardwareAddress: Buffer.from(device.address.replaceAll(":", ""), "hex"),
      options: providedOptions(call),
      requested: requestedOptions(call),
    });
    return { client, link, abort: new AbortController(), lease: await client.acquire(effects.signal) };
  } catch (error) {
    link.close();
    throw error;
  }
}

/** `provide`: { option, value } or { option, fromArg }, the name of one of CNI_ARGS. */
function providedOptions(call: CniCall): ReadonlyMap<number, Buffer> {
  const options = new Map<number, Buffer>([[dhcpOptions.clientId, clientId(keyOf(call))]]);
  for (const entry of listField(call.config.ipam ?? {}, "provide")) {
    const fields = asObject(entry, "provide");
    const code = optionCode(textField(fields, "option") ?? "");
    const fromArg = textField(fields, "fromArg");
    const value = fromArg === undefined ? textField(fields, "value") : call.args[fromArg];
    if (value !== undefined) options.set(code, code === dhcpOptions.clientId ? clientId(value) : Buffer.from(value).subarray(0, 255));
  }
  return options;
}

/** Of type 0: a text that is no hardware address. */
const clientId = (text: string): Buffer => Buffer.concat([Buffer.from([0]), Buffer.from(text)]).subarray(0, 255);

function requestedOptions({ config }: CniCall): readonly number[] {
  return listField(config.ipam ?? {}, "request").flatMap((entry) => {
    const option = textField(asObject(entry, "request"), "option");
    return option === undefined ? [] : [optionCode(option)];
  });
}

function optionCode(name: string): number {
  const code = optionNames[name] ?? Number(name);
  if (!Number.isInteger(code) || code < 1 || code > 254) throw failed(`dhcp: unknown option ${JSON.stringify(name)}`);
  return code;
}
