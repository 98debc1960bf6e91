// The loopback plugin: brings the container's lo up.
import { failed } from "../spec/cni-error.ts";
import type { CniResult } from "../spec/result.ts";
import { findLink } from "./container-interface.ts";
import type { CniPlugin } from "./plugin.ts";

export const loopback: CniPlugin = {
  async add({ config, netns, ifName }, effects) {
    await effects.ip({ netns, commands: [`link set dev ${ifName} up`] });
    // Where the container has addresses already, what is said of them is passed on.
    if (config.prevResult) return config.prevResult;
    const result: CniResult = {
      interfaces: [{ name: ifName, mac: "00:00:00:00:00:00", sandbox: netns }],
      ips: [
        { address: "127.0.0.1/8", interface: 0 },
        { address: "::1/128", interface: 0 },
      ],
    };
    return result;
  },
  async del({ netns, ifName }, effects) {
    if (await effects.namespaceExists(netns)) await effects.ip({ netns, commands: [`link set dev ${ifName} down`] });
  },
  async check({ netns, ifName }, effects) {
    const link = await findLink(ifName, effects, netns);
    if (!link?.flags?.includes("UP")) throw failed(`loopback interface ${ifName} is down`);
  },
};
