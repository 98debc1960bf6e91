// The static plugin: addresses, gateways and routes as they are written in the configuration, or asked for by the runtime.

import { parseCIDR } from "../../api/meta/ip.ts";
import { CniError, cniErrorCodes, failed, invalidConfig } from "../spec/cni-error.ts";
import type { CniAddress, CniDns, CniResult, CniRoute } from "../spec/result.ts";
import { versionHas } from "../spec/versions.ts";
import { cidrContains, familyOf, requireAddress, requireCidr } from "./addresses.ts";
import { asObject, listField, textField, textList } from "./config-fields.ts";
import { requirePreviousResult } from "./container-interface.ts";
import type { CniCall, CniPlugin } from "./plugin.ts";

export const staticPlugin: CniPlugin = {
  async add(call) {
    const ipam = ipamOf(call);
    const routes = listField(ipam, "routes") as readonly CniRoute[]; // handed on as they are
    const dns = (ipam.dns ?? {}) as CniDns;
    const result: CniResult = {
      ips: addressesOf(call, ipam),
      ...(routes.length > 0 ? { routes } : {}),
      ...(Object.keys(dns).length > 0 ? { dns } : {}),
    };
    return result;
  },
  del: async () => undefined,
  async check(call) {
    const { ips = [] } = requirePreviousResult(call);
    for (const { address, gateway } of addressesOf(call, ipamOf(call))) {
      const found = ips.find((ip) => ip.address === address);
      if (!found || (gateway !== undefined && found.gateway !== gateway))
        throw failed(`static: Failed to match addr ${address} on interface ${call.ifName}`);
    }
  },
};

function ipamOf({ config }: CniCall): Readonly<Record<string, unknown>> {
  if (!config.ipam) throw new CniError(cniErrorCodes.invalidConfig, "IPAM config missing 'ipam' key");
  return config.ipam;
}

/** The capability `ips` and args replace those of the configuration; CNI_ARGS adds to them. */
function addressesOf(call: CniCall, ipam: Readonly<Record<string, unknown>>): readonly CniAddress[] {
  const { config, args } = call;
  const written = listField(ipam, "addresses").map((entry) => readAddress(asObject(entry, "addresses")));
  const fromArgs = (args.IP ?? "").split(",").flatMap((text) => (text.trim() === "" ? [] : [plain(text.trim(), "ip")]));
  const gateways = (args.GATEWAY ?? "")
    .split(",")
    .flatMap((text) => (text.trim() === "" ? [] : [requireAddress(text.trim(), "gateway").text]));
  const cni = (config.args?.cni ?? {}) as Readonly<Record<string, unknown>>;
  const replacing = [textList(config.runtimeConfig ?? {}, "ips"), textList(cni, "ips")].find((list) => list.length > 0);
  const addresses = replacing ? replacing.map((text) => plain(text, "ips")) : withGateways([...written, ...fromArgs], gateways);
  requireOneOfEach(addresses, config.cniVersion);
  return addresses;
}

function readAddress(entry: Readonly<Record<string, unknown>>): CniAddress {
  const gateway = textField(entry, "gateway");
  const address = plain(textField(entry, "address") ?? "", "address");
  return { ...address, ...(gateway === undefined ? {} : { gateway: requireAddress(gateway, "gateway").text }) };
}

function plain(text: string, field: string): CniAddress {
  const cidr = parseCIDR(text);
  if (!cidr) throw invalidConfig(`the '${field}' field is expected to be in CIDR notation, got: '${text}'`);
  return { address: `${cidr.ip.canonical}/${cidr.prefixLength}` };
}

function withGateways(addresses: readonly CniAddress[], gateways: readonly string[]): readonly CniAddress[] {
  return addresses.map((ip) => {
    const own = gateways.find((gateway) => cidrContains(requireCidr(ip.address, "address"), gateway));
    return own === undefined ? ip : { ...ip, gateway: own };
  });
}

function requireOneOfEach(addresses: readonly CniAddress[], version: string): void {
  if (versionHas(version, "previous result")) return;
  for (const family of [4, 6] as const)
    if (addresses.filter(({ address }) => familyOf(address) === family).length > 1)
      throw invalidConfig(`CNI version ${version} does not support more than 1 address per family`);
}
