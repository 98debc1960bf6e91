// Where others reach an API server that was not told its --advertise-address: the address it listens on, unless that is
// every address or one that means something else on another machine. Then it is the machine's own, as upstream chooses it:
// the one of the interface that packets leave by, of the family of the bound address where it has one.
import { parseIP } from "../../api/meta/ip.ts";
import { isLoopback } from "../../api/validation/addresses.ts";
import { type HostAddress, hostAddresses } from "../../linux/system-info.ts";

/** `addresses`: of this machine, best first. A machine without a network is reached by itself alone, at a loopback address. */
export async function advertiseAddressFor(
  bindAddress: string,
  addresses: () => Promise<readonly HostAddress[]> = hostAddresses,
): Promise<string> {
  const bound = parseIP(bindAddress);
  if (bound && !isLoopback(bound) && bound.bytes.some((byte) => byte !== 0)) return bindAddress;
  const family = bound?.family ?? 4;
  const own = await addresses();
  return (own.find((a) => a.family === family) ?? own[0])?.address ?? (family === 4 ? "127.0.0.1" : "::1");
}
