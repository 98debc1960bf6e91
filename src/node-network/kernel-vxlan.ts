// Whether this node's kernel makes VXLAN devices: small and hardened kernels do not, nor do some containers. Found out by making
// one, as no list of what a kernel was built with can be relied on.
import type { IpTool } from "../linux/ip-tool.ts";
import { CommandError } from "../linux/run-command.ts";

/** `device`: the name that the VXLAN of this node has, or would have. */
export async function kernelMakesVxlan(
  ip: Pick<IpTool, "vxlan" | "apply">,
  { device, vni }: { readonly device: string; readonly vni: number },
): Promise<boolean> {
  if (await ip.vxlan(device)) return true;
  try {
    await ip.apply([`link add name ${device} type vxlan id ${vni} dstport 0`, `link delete dev ${device}`]);
  } catch (error) {
    // Whatever else it refuses, it knows what was asked for, and says so again when the device is needed.
    if (error instanceof CommandError) return !/unknown device type|not supported/i.test(error.stderr);
    throw error;
  }
  return true;
}
