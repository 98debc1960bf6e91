// `ipMasq`: a container's packets to other networks carry the host's address. One table of the packet filter for each attachment.
import type { CniAddress } from "../spec/result.ts";
import { familyOf, networkOf, splitCidr } from "./addresses.ts";
import { deleteTable, putTable } from "./packet-tables.ts";
import type { CniCall, CniEffects } from "./plugin.ts";

const table = { family: "inet", kind: "masq" } as const;

export function masqueradeChains(ips: readonly CniAddress[]): readonly string[] {
  const rules = ips.flatMap(({ address }) => {
    const [word, multicast] = familyOf(address) === 4 ? ["ip", "224.0.0.0/4"] : ["ip6", "ff00::/8"];
    const source = `${word} saddr ${splitCidr(address).address}`;
    return [`${source} ${word} daddr != ${networkOf(address)} ${word} daddr != ${multicast} masquerade`];
  });
  return ["chain postrouting {", "  type nat hook postrouting priority srcnat; policy accept;", ...rules.map((rule) => `  ${rule}`), "}"];
}

export async function addMasquerade(ips: readonly CniAddress[], call: CniCall, effects: CniEffects): Promise<void> {
  await putTable(table, masqueradeChains(ips), call, effects);
}

export async function deleteMasquerade(call: CniCall, effects: CniEffects): Promise<void> {
  await deleteTable(table, call, effects);
}
