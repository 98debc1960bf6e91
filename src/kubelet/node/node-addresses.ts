// The addresses a node reports and answers to.
import { type HostAddress, hostAddresses } from "../../linux/system-info.ts";

export interface NodeAddressOptions {
  readonly nodeIPs?: readonly string[] | undefined;
  /** Default both. */
  readonly addressFamilies?: readonly number[] | undefined;
}

/** Those given; else one address of each family that is wanted, IPv4 first: what pods and other nodes use. */
export async function nodeHostAddresses({ nodeIPs, addressFamilies = [4, 6] }: NodeAddressOptions): Promise<readonly HostAddress[]> {
  if (nodeIPs) return nodeIPs.map((address) => ({ interface: "", address, family: address.includes(":") ? 6 : 4 }));
  const found = await hostAddresses();
  const firsts = [4, 6].flatMap((family) => found.filter((a) => a.family === family).slice(0, 1));
  const wanted = firsts.filter((a) => addressFamilies.includes(a.family));
  return wanted.length > 0 ? wanted : firsts;
}
