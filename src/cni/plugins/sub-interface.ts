// What macvlan, ipvlan and vlan have in common: an interface of the container upon one of the host's, the "master".
import { CommandError } from "../../linux/run-command.ts";
import { failed, invalidConfig } from "../spec/cni-error.ts";
import type { CniInterface, CniResult } from "../spec/result.ts";
import { flagField, numberField, textField } from "./config-fields.ts";
import { checkContainerInterface, configureInterface, deleteContainerInterface, findLink, gone } from "./container-interface.ts";
import { hostInterfaceName } from "./container-names.ts";
import { dnsOf, passToIpam, withAddresses } from "./ipam.ts";
import type { CniCall, CniEffects, CniPlugin, InNamespace } from "./plugin.ts";

export interface SubInterfaceKind {
  /** Begins the names such interfaces have until they have the container's. */
  readonly prefix: string;
  /** Of the configuration, without `master`, as the end of a command: "type macvlan mode bridge". Throws CniError. */
  readonly type: (call: CniCall) => string;
  /** Further attributes: " address 02:…". Default none. */
  readonly attributes?: (call: CniCall) => string;
  /** Whether `master` may be left out: then it is the interface of the default route. Default true. */
  readonly masterIsOptional?: boolean;
}

export function createSubInterfacePlugin(kind: SubInterfaceKind): CniPlugin {
  return {
    async add(call, effects) {
      const type = kind.type(call);
      const made = await makeInterface(call, effects, { ...kind, type: () => type });
      try {
        await effects.ip(configureInterface({ netns: call.netns, ifName: call.ifName, renamedFrom: made }));
        return await withAddresses(call, effects, (ipam) => configure(call, effects, ipam));
      } catch (error) {
        await remove(call, effects, made);
        throw error;
      }
    },
    async del(call, effects) {
      await passToIpam("DEL", call, effects);
      await deleteContainerInterface(call, effects);
    },
    async check(call, effects) {
      await passToIpam("CHECK", call, effects);
      await checkContainerInterface(call, effects);
    },
    status: (call, effects) => passToIpam("STATUS", call, effects),
    gc: (call, effects) => passToIpam("GC", call, effects),
  };
}

/** Its name is another one until it is in the container's namespace: the host may have an interface of the container's name. */
async function makeInterface(call: CniCall, effects: CniEffects, kind: SubInterfaceKind): Promise<string> {
  const { config, netns } = call;
  const name = hostInterfaceName(call, kind.prefix);
  const inside = flagField(config, "linkInContainer");
  const place: InNamespace = inside ? { netns } : {};
  const master = await masterOf(call, effects, { place, optional: kind.masterIsOptional ?? true });
  const mtu = numberField(config, "mtu") ?? 0;
  if (mtu > 0) {
    const link = await findLink(master, effects, place.netns);
    const most = link?.mtu ?? 0;
    if (link && mtu > most) throw invalidConfig(`invalid MTU ${mtu}, must be [0, master MTU(${most})]`);
  }
  const attributes = `${mtu > 0 ? ` mtu ${mtu}` : ""}${kind.attributes?.(call) ?? ""}`;
  const target = inside ? "" : ` netns ${netns}`;
  await effects.ip({ ...place, commands: [`link add link ${master} name ${name}${attributes}${target} ${kind.type(call)}`] });
  return name;
}

interface MasterChoice {
  readonly place: InNamespace;
  readonly optional: boolean;
}

async function masterOf({ config }: CniCall, effects: CniEffects, { place, optional }: MasterChoice): Promise<string> {
  const written = textField(config, "master");
  if (written !== undefined) return written;
  if (!optional) throw invalidConfig('"master" field is required. It specifies the host interface name to create the VLAN for');
  for (const family of ["-4", "-6"]) {
    const [route] = await effects.ipList<{ readonly dev?: string }>([family, "route", "show", "default"], place);
    if (route?.dev !== undefined) return route.dev;
  }
  throw failed("no default route interface found");
}

async function configure(call: CniCall, effects: CniEffects, ipam: CniResult): Promise<CniResult> {
  const { netns, ifName } = call;
  const ips = (ipam.ips ?? []).map((ip) => ({ ...ip, interface: 0 }));
  const { routes = [] } = ipam;
  if (ips.length > 0) await effects.ip(configureInterface({ netns, ifName, ips, routes }));
  const link = await findLink(ifName, effects, netns);
  const attached: CniInterface = { name: ifName, ...(link?.address === undefined ? {} : { mac: link.address }), sandbox: netns };
  return { interfaces: [attached], ...(ips.length > 0 ? { ips } : {}), ...(routes.length > 0 ? { routes } : {}), ...dnsOf(call, ipam) };
}

/** Under either name. Another interface of the container's name, which was in the way, stays. */
async function remove({ netns, ifName }: CniCall, effects: CniEffects, made: string): Promise<void> {
  try {
    const link = await findLink(made, effects, netns);
    await effects.ip({ netns, commands: [{ command: `link delete dev ${link ? made : ifName}`, unless: gone }] });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    effects.warn("A container's interface is not removed", { interface: ifName, error });
  }
}
