// Names in the table of network policies: base chains and sets that are always there, and for each policy, and each pod of this
// node that policies isolate, chains of their own.
import { createHash } from "node:crypto";
import { hashedName } from "../linux/packet-rules/hashed-name.ts";

/** Of the pod that a policy isolates: what it receives, or what it sends. */
export type Direction = "ingress" | "egress";

export const directions: readonly Direction[] = ["ingress", "egress"];

/** Address families, by their word in a rule. */
export type IpWord = "ip" | "ip6";

export const ipWords: readonly IpWord[] = ["ip", "ip6"];

export const wordOf = (address: string): IpWord => (address.includes(":") ? "ip6" : "ip");

export const addressType = (ip: IpWord): string => (ip === "ip" ? "ipv4_addr" : "ipv6_addr");

/** From the addresses of this node's pods to what happens to their packets: their chain, or nothing more. */
export const podMap = (direction: Direction, ip: IpWord): string => `${direction}-pods-${ip}`;

/** Addresses of this node's pods, and protocols, by which they may not ask the cluster's DNS. */
export const deniedDnsSet = (ip: IpWord): string => `dns-denied-${ip}`;

export const podChain = (direction: Direction, key: string): string => `${direction}-pod-${hashedName(key)}`;

export const policyChain = (direction: Direction, key: string): string => `${direction}-policy-${hashedName(key)}`;

/**
 * Addresses of the pods that a peer selects. Everybody who may write policies says what is in the text, so the hash is long
 * enough that nobody finds another text with the same one.
 */
export function peerSet(id: string, ip: IpWord): string {
  const hash = createHash("sha256").update(id).digest("hex").slice(0, 32);
  return `peers-${ip}-${hash}-${id.replaceAll(/[^A-Za-z0-9_./-]/g, "_")}`.slice(0, 200);
}

/** Address, protocol and port of the pods that have a rule's named ports. */
export const portSet = (direction: Direction, key: string, { rule, ip }: { readonly rule: number; readonly ip: IpWord }): string =>
  `ports-${hashedName(`${key}/${direction}/${rule}/${ip}`)}`;
