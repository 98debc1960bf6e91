// Addresses the runtime asks for by name, in the three ways the conventions know: the capability `ips`, `args.cni.ips`, and IP in
// CNI_ARGS. With or without a length.
import { textList } from "./config-fields.ts";
import type { CniCall } from "./plugin.ts";

export function requestedAddresses({ config, args }: CniCall): readonly string[] {
  const byCapability = textList(config.runtimeConfig ?? {}, "ips");
  const cni = (config.args?.cni ?? {}) as Readonly<Record<string, unknown>>;
  const byArgs = textList(cni, "ips");
  const byEnvironment = args.IP === undefined ? [] : args.IP.split(",");
  return [...new Set([...byEnvironment, ...byArgs, ...byCapability])].filter((text) => text !== "");
}

/** The hardware address the runtime asks for: the capability `mac`, `args.cni.mac`, MAC in CNI_ARGS, then the configuration's. */
export function requestedMac({ config, args }: CniCall): string | undefined {
  const cni = (config.args?.cni ?? {}) as Readonly<Record<string, unknown>>;
  const given = [config.runtimeConfig?.mac, cni.mac, args.MAC, config.mac].find((mac) => typeof mac === "string" && mac !== "");
  return given as string | undefined;
}
