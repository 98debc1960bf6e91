// How plugins that make interfaces get addresses for them: from the plugin named in the configuration's `ipam` section, which is
// asked to take them back where anything fails afterwards.
import { failed } from "../spec/cni-error.ts";
import type { CniDns, CniResult } from "../spec/result.ts";
import type { CniCall, CniCommand, CniEffects } from "./plugin.ts";

export function ipamType({ config }: CniCall): string | undefined {
  const type = config.ipam?.type;
  return typeof type === "string" && type !== "" ? type : undefined;
}

/** Without an ipam section the work gets an empty result: an interface without addresses. */
export async function withAddresses<T>(call: CniCall, effects: CniEffects, work: (ipam: CniResult) => Promise<T>): Promise<T> {
  const type = ipamType(call);
  if (type === undefined) return work({});
  const result = await effects.delegate("ADD", type, call);
  try {
    if ((result.ips ?? []).length === 0) throw failed("IPAM plugin returned missing IP config");
    return await work(result);
  } catch (error) {
    await effects.delegate("DEL", type, call).catch((problem: unknown) => {
      effects.warn("Addresses of a container that could not be attached are not released", { container: call.containerId, error: problem });
    });
    throw error;
  }
}

/** DEL, CHECK, STATUS and GC go to the IPAM plugin too. */
export async function passToIpam(command: Exclude<CniCommand, "ADD">, call: CniCall, effects: CniEffects): Promise<void> {
  const type = ipamType(call);
  if (type !== undefined) await effects.delegate(command, type, call);
}

/** What the configuration says of names goes before what the IPAM plugin says. */
export function dnsOf({ config }: CniCall, ipam: CniResult): { readonly dns?: CniDns } {
  const { dns = {} } = config;
  if (Object.keys(dns).length > 0) return { dns };
  return ipam.dns === undefined ? {} : { dns: ipam.dns };
}
