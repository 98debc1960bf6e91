// Names of what belongs to one attachment (network, container, interface): always the same, so that what is left can be found
// again without having been written down. And hardware addresses, which are not.
import { createHash } from "node:crypto";
import type { CniCall, CniEffects } from "./plugin.ts";

type Attachment = Pick<CniCall, "containerId" | "ifName"> & { readonly config: { readonly name: string } };

/** 12 characters of an interface on the host. */
export function hostInterfaceName(attachment: Attachment, prefix = "veth"): string {
  return `${prefix}${hash(attachment).slice(0, 8)}`;
}

/** What a table of the packet filter is for. */
export type TableKind = "hostports" | "masq" | "spoof" | "sbr";

/** Of a table of the packet filter that is all of one attachment: "cni-hostports-<network>-<hash>". */
export function attachmentTable(kind: TableKind, attachment: Attachment): string {
  return `cni-${kind}-${attachment.config.name}-${hash(attachment).slice(0, 12)}`;
}

/** Whether it is the name of such a table, of this network. */
export function isTableOf(network: string, name: string, kind?: TableKind): boolean {
  const match = /^cni-([a-z]+)-(.+)-[0-9a-f]{12}$/.exec(name);
  return match?.[2] === network && (kind === undefined || match[1] === kind);
}

function hash({ config, containerId, ifName }: Attachment): string {
  return createHash("sha256").update(`${config.name}\0${containerId}\0${ifName}`).digest("hex");
}

/** Locally administered, of one interface. */
export function randomMac(effects: Pick<CniEffects, "randomBytes">): string {
  const bytes = effects.randomBytes(6);
  return [...bytes].map((byte, i) => (i === 0 ? (byte & 0xfc) | 2 : byte).toString(16).padStart(2, "0")).join(":");
}
