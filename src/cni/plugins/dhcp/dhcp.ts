// The dhcp plugin: addresses from a DHCP server of the network the container's interface is on. Leases are kept by the process of
// the node, and taken up again by the next one: upstream's daemon is a part of the plugin host.
import { existsSync } from "node:fs";
import { realClock } from "../../../base/clock.ts";
import { CniError, cniErrorCodes, failed } from "../../spec/cni-error.ts";
import { asObject, listField, textField } from "../config-fields.ts";
import { findLink } from "../container-interface.ts";
import type { CniCall, CniEffects, CniPlugin } from "../plugin.ts";
import { DhcpClient, type DhcpLink, type Lease, leaseResult } from "./dhcp-client.ts";
import { dhcpOptions } from "./dhcp-message.ts";
import { openDhcpRelay } from "./dhcp-relay.ts";
import { type LeaseHolder, LeaseRecords } from "./lease-records.ts";

interface KeptLease {
  readonly holder: LeaseHolder;
  readonly client: DhcpClient;
  readonly link: DhcpLink;
  readonly abort: AbortController;
  lease: Lease;
  lost?: string;
}

type Warn = CniEffects["warn"];

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

export interface DhcpOptions {
  /** Where leases are written down. Default nowhere: they end with the process. */
  readonly directory?: string;
}

export function createDhcp({ directory }: DhcpOptions = {}): CniPlugin {
  /** As many as there are containers with an address by DHCP. */
  const leases = new Map<string, KeptLease>();
  const records = directory === undefined ? undefined : new LeaseRecords(directory, realClock);
  const keep = (kept: KeptLease, warn: Warn): void => {
    const { key } = kept.holder;
    leases.set(key, kept);
    const renewed = async (lease: Lease): Promise<void> => {
      kept.lease = lease;
      if (leases.get(key) === kept) await records?.save(kept);
    };
    void kept.client.keep(kept.lease, kept.abort.signal, renewed).catch((error: unknown) => {
      if (kept.abort.signal.aborted) return;
      kept.lost = (error as Error).message;
      warn("A container has lost its address", { lease: key, error: kept.lost });
    });
  };
  const drop = async (key: string, why: string): Promise<KeptLease | undefined> => {
    const kept = leases.get(key);
    leases.delete(key);
    kept?.abort.abort(new Error(why));
    await records?.remove(key);
    return kept;
  };
  return {
    async restore(warn) {
      for (const record of (await records?.all()) ?? []) {
        const { key, netns } = record.holder;
        if (leases.has(key)) continue;
        try {
          // A namespace that is gone has taken the container with it.
          if (!existsSync(netns)) await records?.remove(key);
          else keep({ ...(await clientOf(record.holder)), lease: record.lease }, warn);
        } catch (error) {
          warn("The lease of a container cannot be renewed any more", { lease: key, error: (error as Error).message });
        }
      }
    },
    async add(call, effects) {
      if (!effects.lasting)
        throw new CniError(cniErrorCodes.notAvailable, "dhcp: leases need a process that keeps them (coracle cni host)");
      if (leases.has(keyOf(call))) throw failed(`dhcp: container ${call.containerId} has a lease for ${call.ifName} already`);
      const kept = await acquire(call, effects);
      await records?.save(kept);
      keep(kept, effects.warn);
      return leaseResult(kept.lease);
    },
    async del(call) {
      const kept = await drop(keyOf(call), "the container is detached");
      if (!kept) return;
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
      for (const key of [...leases.keys()])
        if (!valid.has(key) && key.split("/")[1] === config.name) (await drop(key, "the container is gone"))?.link.close();
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
  const started = await clientOf({
    ...{ key: keyOf(call), netns, ifName },
    hardwareAddress: Buffer.from(device.address.replaceAll(":", ""), "hex"),
    options: providedOptions(call),
    requested: requestedOptions(call),
  });
  try {
    return { ...started, lease: await started.client.acquire(effects.signal) };
  } catch (error) {
    started.link.close();
    throw error;
  }
}

async function clientOf(holder: LeaseHolder): Promise<Omit<KeptLease, "lease">> {
  const { netns, ifName, hardwareAddress, options, requested } = holder;
  const link = await openDhcpRelay({ netns, ifName }, realClock);
  const client = new DhcpClient({ link, clock: realClock, hardwareAddress, options, requested });
  return { holder, client, link, abort: new AbortController() };
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
