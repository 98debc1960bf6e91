// The vlan plugin: the container's interface is in a VLAN (802.1Q) of one of the host's.
import { invalidConfig } from "../spec/cni-error.ts";
import { createSubInterfacePlugin } from "./sub-interface.ts";

const maxId = 4094;

export const vlan = createSubInterfacePlugin({
  prefix: "vlan",
  masterIsOptional: false,
  type({ config }) {
    const { vlanId: id = 0 } = config;
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > maxId)
      throw invalidConfig(`invalid VLAN ID ${JSON.stringify(id)} (must be between 0 and 4095 inclusive)`);
    return `type vlan id ${id}`;
  },
});
