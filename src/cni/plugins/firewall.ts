// The firewall plugin: packets from and to a container are let through where the host drops forwarded ones. In iptables, since
// what nftables accepts another table may still drop; or as sources of a zone of firewalld. Chains and rules are upstream's.
import { CommandError } from "../../linux/run-command.ts";
import { failed, invalidConfig } from "../spec/cni-error.ts";
import type { CniResult } from "../spec/result.ts";
import { type Family, familyOf, splitCidr } from "./addresses.ts";
import { textField } from "./config-fields.ts";
import { requirePreviousResult } from "./container-interface.ts";
import { acceptanceRules, addRules, isolationRules, missingRules, removeRules } from "./firewall-rules.ts";
import type { CniCall, CniEffects, CniPlugin } from "./plugin.ts";

interface FirewallSettings {
  readonly backend: "iptables" | "firewalld";
  readonly adminChain: string;
  readonly zone: string;
  readonly policy: "open" | "same-bridge" | "isolated";
}

const lock = "/run/coracle/cni-firewall";

export const firewall: CniPlugin = {
  async add(call, effects) {
    const result = requirePreviousResult(call);
    const settings = await readSettings(call, effects);
    if (settings.backend === "firewalld") await zoneSources("--add-source", settings, addressesOf(result), effects);
    await eachFamily(
      result,
      async (family, addresses) => {
        const saved = await save(family, effects);
        const wanted = [
          ...isolationRules(settings.policy, bridgeOf(result, settings.policy)),
          ...(settings.backend === "iptables" ? acceptanceRules(addresses, settings.adminChain) : []),
        ];
        await restore(family, addRules(saved, wanted), effects);
      },
      effects,
    );
    return result;
  },
  async del(call, effects) {
    const { prevResult } = call.config;
    if (!prevResult) return; // nothing says which addresses it had
    const settings = await readSettings(call, effects);
    if (settings.backend === "firewalld") return zoneSources("--remove-source", settings, addressesOf(prevResult), effects);
    await eachFamily(
      prevResult,
      async (family, addresses) => {
        await restore(family, removeRules(await save(family, effects), addresses), effects);
      },
      effects,
    );
  },
  async check(call, effects) {
    const result = requirePreviousResult(call);
    const settings = await readSettings(call, effects);
    if (settings.backend === "firewalld") return zoneSources("--query-source", settings, addressesOf(result), effects);
    await eachFamily(
      result,
      async (family, addresses) => {
        const [missing] = missingRules(await save(family, effects), acceptanceRules(addresses, settings.adminChain));
        if (missing !== undefined) throw failed(`expected rule ${missing} not found`);
      },
      effects,
    );
  },
};

async function readSettings({ config }: CniCall, effects: CniEffects): Promise<FirewallSettings> {
  const backend = textField(config, "backend") ?? ((await firewalldRuns(effects)) ? "firewalld" : "iptables");
  if (backend !== "iptables" && backend !== "firewalld") throw invalidConfig(`unrecognized firewall backend ${JSON.stringify(backend)}`);
  const policy = textField(config, "ingressPolicy") ?? "open";
  if (policy !== "open" && policy !== "same-bridge" && policy !== "isolated")
    throw invalidConfig(`unknown ingress policy: ${JSON.stringify(policy)}`);
  return {
    backend,
    policy,
    adminChain: textField(config, "iptablesAdminChainName") ?? "CNI-ADMIN",
    zone: textField(config, "firewalldZone") ?? "trusted",
  };
}

async function firewalldRuns(effects: CniEffects): Promise<boolean> {
  try {
    await effects.run("firewall-cmd", ["--state"]);
    return true;
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

async function zoneSources(action: string, { zone }: FirewallSettings, addresses: readonly string[], effects: CniEffects): Promise<void> {
  for (const address of addresses) await effects.run("firewall-cmd", [`--zone=${zone}`, `${action}=${address}`]);
}

/** "10.1.0.5/32". */
const addressesOf = ({ ips = [] }: CniResult): readonly string[] =>
  ips.map(({ address }) => `${splitCidr(address).address}/${familyOf(address) === 4 ? 32 : 128}`);

function bridgeOf({ interfaces = [] }: CniResult, policy: string): string {
  const name = interfaces[0]?.name;
  if (policy !== "open" && name === undefined)
    throw failed(`interface needs to be set for ingress policy "${policy}", make sure to chain "firewall" plugin with "bridge"`);
  return name ?? "";
}

/** One change of the rules at a time: what is saved is what is added to. */
async function eachFamily(
  result: CniResult,
  work: (family: Family, addresses: readonly string[]) => Promise<void>,
  effects: CniEffects,
): Promise<void> {
  for (const family of [4, 6] as const) {
    const addresses = addressesOf(result).filter((address) => familyOf(address) === family);
    if (addresses.length > 0) await effects.locked(lock, () => work(family, addresses));
  }
}

const toolOf = (family: Family): string => (family === 4 ? "iptables" : "ip6tables");

async function save(family: Family, effects: CniEffects): Promise<string> {
  return (await effects.run(`${toolOf(family)}-save`, ["-t", "filter"])).stdout;
}

async function restore(family: Family, input: string | undefined, effects: CniEffects): Promise<void> {
  if (input !== undefined) await effects.run(`${toolOf(family)}-restore`, ["--noflush", "--wait"], { input });
}
