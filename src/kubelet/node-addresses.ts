// The addresses a node reports and answers to.
import { type HostAddress, hostAddresses } from "../linux/system-info.ts";

/** Those given; else one address of each family, IPv4 first: what pods and other nodes use. */
export async function nodeHostAddresses(nodeIPs: readonly string[] | undefined): Promise<readonly HostAddress[]> {
  if (nodeIPs) return nodeIPs.map((address) => ({ interface: "", address, family: address.includes(":") ? 6 : 4 }));
  const found = await hostAddresses();
  return [4, 6].flatMap((family) => found.filter((a) => a.family === family).slice(0, 1));
}
