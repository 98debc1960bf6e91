// The macvlan plugin: the container has an interface with a hardware address of its own on the network of one of the host's.
import { invalidConfig } from "../spec/cni-error.ts";
import { numberField, textField } from "./config-fields.ts";
import { requestedMac } from "./requested-addresses.ts";
import { createSubInterfacePlugin } from "./sub-interface.ts";

const modes = ["bridge", "private", "vepa", "passthru"];

export const macvlan = createSubInterfacePlugin({
  prefix: "macv",
  type({ config }) {
    const mode = textField(config, "mode") ?? "bridge";
    if (!modes.includes(mode)) throw invalidConfig(`unknown macvlan mode: ${JSON.stringify(mode)}`);
    const queue = numberField(config, "bcqueuelen") ?? 0;
    return `type macvlan mode ${mode}${queue > 0 ? ` bcqueuelen ${queue}` : ""}`;
  },
  attributes(call) {
    const mac = requestedMac(call);
    return mac === undefined ? "" : ` address ${mac}`;
  },
});
