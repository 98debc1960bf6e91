// Of the bridge plugin: its configuration (upstream's fields), and what follows from it and the addresses given. Pure.
import { failed, invalidConfig } from "../../spec/cni-error.ts";
import type { CniAddress, CniResult, CniRoute } from "../../spec/result.ts";
import { familyOf, firstHost, requireCidr } from "../addresses.ts";
import { asObject, flagField, listField, numberField, textField } from "../config-fields.ts";
import { ipamType } from "../ipam.ts";
import type { CniCall } from "../plugin.ts";
import { requestedMac } from "../requested-addresses.ts";

export interface BridgeSettings {
  readonly bridge: string;
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  readonly ipMasq: boolean;
  /** 0: the kernel's default. */
  readonly mtu: number;
  readonly hairpinMode: boolean;
  readonly promiscMode: boolean;
  readonly vlan: number;
  readonly trunk: readonly number[];
  readonly preserveDefaultVlan: boolean;
  readonly macSpoofCheck: boolean;
  readonly duplicateDetection: boolean;
  readonly portIsolation: boolean;
  readonly disableContainerInterface: boolean;
  readonly mac: string | undefined;
}

const maxVlan = 4094;

/** Throws CniError. */
export function readBridgeSettings(call: CniCall): BridgeSettings {
  const { config } = call;
  const isDefaultGateway = flagField(config, "isDefaultGateway");
  const settings: BridgeSettings = {
    bridge: textField(config, "bridge") ?? "cni0",
    isGateway: isDefaultGateway || flagField(config, "isGateway"),
    isDefaultGateway,
    forceAddress: flagField(config, "forceAddress"),
    ipMasq: flagField(config, "ipMasq"),
    mtu: numberField(config, "mtu") ?? 0,
    hairpinMode: flagField(config, "hairpinMode"),
    promiscMode: flagField(config, "promiscMode"),
    vlan: numberField(config, "vlan", { max: maxVlan }) ?? 0,
    trunk: readTrunk(listField(config, "vlanTrunk")),
    preserveDefaultVlan: flagField(config, "preserveDefaultVlan"),
    macSpoofCheck: flagField(config, "macspoofchk"),
    duplicateDetection: flagField(config, "enabledad"),
    portIsolation: flagField(config, "portIsolation"),
    disableContainerInterface: flagField(config, "disableContainerInterface"),
    mac: requestedMac(call),
  };
  if (settings.hairpinMode && settings.promiscMode) throw failed("cannot set hairpin mode and promiscuous mode at the same time");
  if (settings.disableContainerInterface && ipamType(call) !== undefined)
    throw failed("cannot use IPAM when DisableContainerInterface flag is set");
  return settings;
}

/** [{ id: 5 }, { minID: 10, maxID: 12 }] → 5, 10, 11, 12. */
function readTrunk(entries: readonly unknown[]): readonly number[] {
  const ids = entries.flatMap((entry) => {
    const fields = asObject(entry, "vlanTrunk");
    const [id, min, max] = ["id", "minID", "maxID"].map((name) => numberField(fields, name, { max: maxVlan }));
    if ([id, min, max].includes(0)) throw invalidConfig("vlanTrunk: ids begin with 1");
    if ((min === undefined) !== (max === undefined)) throw invalidConfig("minID and maxID should be configured simultaneously");
    if (min !== undefined && max !== undefined && max < min) throw invalidConfig("minID is greater than maxID in trunk parameter");
    const range = min === undefined || max === undefined ? [] : Array.from({ length: max - min + 1 }, (_, i) => min + i);
    return [...(id === undefined ? [] : [id]), ...range];
  });
  return [...new Set(ids)].sort((a, b) => a - b);
}

export interface BridgeAddresses {
  readonly ips: readonly CniAddress[];
  readonly routes: readonly CniRoute[];
  /** Of the bridge itself, where it is the gateway: "10.1.0.1/16". */
  readonly gateways: readonly string[];
}

/** What the IPAM plugin gave, completed: gateways, and default routes by them where the bridge is to be that. */
export function bridgeAddresses({ ips = [], routes = [] }: CniResult, settings: BridgeSettings): BridgeAddresses {
  const completed = ips.map((ip): CniAddress => {
    const gateway = ip.gateway ?? (settings.isGateway ? firstHost(requireCidr(ip.address, "address")) : undefined);
    return { address: ip.address, ...(gateway === undefined ? {} : { gateway }), interface: 2 };
  });
  const added = [4, 6].flatMap((family): readonly CniRoute[] => {
    const first = completed.find(({ address }) => familyOf(address) === family);
    const dst = family === 4 ? "0.0.0.0/0" : "::/0";
    const given = routes.some((route) => route.dst === dst && route.gw !== undefined);
    return settings.isDefaultGateway && first?.gateway !== undefined && !given ? [{ dst, gw: first.gateway }] : [];
  });
  const gateways = settings.isGateway ? completed.map(({ address, gateway }) => `${gateway}/${address.split("/")[1]}`) : [];
  return { ips: completed, routes: [...routes, ...added], gateways };
}
