// The host-local plugin: addresses of this host's own ranges, given out in turn. Options, files and messages are upstream's.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseResolvConf } from "../../../base/resolv-conf.ts";
import { CniError, cniErrorCodes, failed } from "../../spec/cni-error.ts";
import type { CniAddress, CniDns, CniRoute } from "../../spec/result.ts";
import { addressOf, requireAddress } from "../addresses.ts";
import { listField, textField } from "../config-fields.ts";
import type { CniCall, CniEffects, CniPlugin } from "../plugin.ts";
import { requestedAddresses } from "../requested-addresses.ts";
import { type AddressRange, candidates, describeSet, type RangeSet, rangeOf, readRangeSets } from "./address-ranges.ts";
import { AddressStore } from "./address-store.ts";

const defaultDataDir = "/var/lib/cni/networks";

export function createHostLocal(): CniPlugin {
  /** As many as there are networks. */
  const stores = new Map<string, AddressStore>();
  const storeOf = (directory: string): AddressStore => {
    const store = stores.get(directory) ?? new AddressStore(directory);
    stores.set(directory, store);
    return store;
  };
  const withStore = <T>(call: CniCall, effects: CniEffects, use: (store: AddressStore) => T): Promise<T> => {
    const directory = directoryOf(call);
    return effects.locked(directory, async () => {
      const store = storeOf(directory);
      store.refresh();
      return use(store);
    });
  };
  return {
    async add(call, effects) {
      const ipam = ipamOf(call);
      const sets = readRangeSets(ipam, call.config.runtimeConfig?.ipRanges);
      const dns = await readDns(textField(ipam, "resolvConf"));
      const ips = await withStore(call, effects, (store) => allocate(call, sets, store));
      const routes = listField(ipam, "routes") as readonly CniRoute[]; // handed on as they are
      return { ips, ...(routes.length > 0 ? { routes } : {}), ...(dns ? { dns } : {}) };
    },
    async del(call, effects) {
      await withStore(call, effects, (store) => store.release(store.heldBy(call)));
    },
    async check(call, effects) {
      const held = await withStore(call, effects, (store) => store.heldBy(call));
      if (held.length === 0) throw failed(`host-local: Failed to find address added by container ${call.containerId}`);
    },
    async status(call, effects) {
      const sets = readRangeSets(ipamOf(call), call.config.runtimeConfig?.ipRanges);
      await withStore(call, effects, (store) => {
        for (const set of sets) {
          const [free] = firstFree(set, store, store.lastGiven(sets.indexOf(set)));
          if (free === undefined)
            throw new CniError(cniErrorCodes.notAvailable, `no IP addresses available in range set: ${describeSet(set)}`);
        }
      });
    },
    async gc(call, effects) {
      const valid = new Set(call.config["cni.dev/valid-attachments"]?.map(({ containerID, ifname }) => `${containerID} ${ifname}`));
      await withStore(call, effects, (store) => {
        const stale = [...store.addresses].filter(([, { containerId, ifName }]) => !valid.has(`${containerId} ${ifName}`));
        store.release(stale.map(([address]) => address));
      });
    },
  };
}

function ipamOf({ config }: CniCall): Readonly<Record<string, unknown>> {
  const { ipam } = config;
  if (!ipam) throw new CniError(cniErrorCodes.invalidConfig, "IPAM config missing 'ipam' key");
  return ipam;
}

function directoryOf(call: CniCall): string {
  return join(textField(ipamOf(call), "dataDir") ?? defaultDataDir, call.config.name);
}

/** One address of each set; none where one of them has none. */
function allocate(call: CniCall, sets: readonly RangeSet[], store: AddressStore): readonly CniAddress[] {
  const holder = { containerId: call.containerId, ifName: call.ifName };
  const already = store.heldBy(holder);
  const requested = new Set(requestedAddresses(call).map((text) => requireAddress(text.split("/")[0] ?? "", "ips").text));
  const given: CniAddress[] = [];
  const taken: string[] = [];
  try {
    for (const [index, set] of sets.entries()) {
      const twice = already.find((address) => rangeOf(set, address) !== undefined);
      if (twice !== undefined)
        throw failed(
          `failed to allocate for range ${index}: ${twice} has been allocated to ${call.containerId}, duplicate allocation is not allowed`,
        );
      const wanted = [...requested].find((address) => rangeOf(set, address) !== undefined);
      const { address, range } = wanted === undefined ? next(index, set, holder, store) : exactly(wanted, { index, set, holder, store });
      taken.push(address);
      requested.delete(address);
      given.push({ address: `${address}/${range.prefixLength}`, gateway: addressOf(range.gateway, range.family) });
    }
    if (requested.size > 0) throw failed(`failed to allocate all requested IPs: ${[...requested].join(",")}`);
    return given;
  } catch (error) {
    store.release(taken);
    throw error;
  }
}

interface Found {
  readonly address: string;
  readonly range: AddressRange;
}

interface Allocation {
  readonly index: number;
  readonly set: RangeSet;
  readonly holder: { readonly containerId: string; readonly ifName: string };
  readonly store: AddressStore;
}

function exactly(address: string, { index, set, holder, store }: Allocation): Found {
  const range = rangeOf(set, address);
  const problem = (text: string): CniError => failed(`failed to allocate for range ${index}: ${text}`);
  if (range === undefined) throw problem(`requested IP ${address} not in range set ${describeSet(set)}`);
  if (requireAddress(address, "ips").number === range.gateway) throw problem(`requested ip ${address} is subnet's gateway`);
  if (!store.take(address, holder, index))
    throw problem(`requested IP address ${address} is not available in range set ${describeSet(set)}`);
  return { address, range };
}

function next(index: number, set: RangeSet, holder: Allocation["holder"], store: AddressStore): Found {
  for (const candidate of candidates(set, store.lastGiven(index))) {
    if (!store.addresses.has(candidate.address) && store.take(candidate.address, holder, index)) return candidate;
  }
  throw failed(`failed to allocate for range ${index}: no IP addresses available in range set: ${describeSet(set)}`);
}

function firstFree(set: RangeSet, store: AddressStore, last: string | undefined): readonly string[] {
  for (const { address } of candidates(set, last)) if (!store.addresses.has(address)) return [address];
  return [];
}

async function readDns(file: string | undefined): Promise<CniDns | undefined> {
  if (file === undefined) return undefined;
  const { servers, searches, options } = parseResolvConf(await readFile(file, "utf8"));
  return {
    ...(servers.length > 0 ? { nameservers: servers } : {}),
    ...(searches.length > 0 ? { search: searches } : {}),
    ...(options.length > 0 ? { options } : {}),
  };
}
