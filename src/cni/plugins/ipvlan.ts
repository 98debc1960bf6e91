// The ipvlan plugin: the container's interface shares the hardware address of one of the host's.
import { invalidConfig } from "../spec/cni-error.ts";
import { textField } from "./config-fields.ts";
import { createSubInterfacePlugin } from "./sub-interface.ts";

const modes = ["l2", "l3", "l3s"];

export const ipvlan = createSubInterfacePlugin({
  prefix: "ipvl",
  type({ config }) {
    const mode = textField(config, "mode") ?? "l2";
    if (!modes.includes(mode)) throw invalidConfig(`unknown ipvlan mode: ${JSON.stringify(mode)}`);
    return `type ipvlan mode ${mode}`;
  },
});
