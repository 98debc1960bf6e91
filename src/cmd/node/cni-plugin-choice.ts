// --cni-plugins: whose CNI plugins attach the pods of a node.
import { flag, oneOf } from "../../base/flags.ts";

export type CniPluginChoice = "coracle" | "system";

export const cniPluginFlags = {
  "cni-plugins": flag(oneOf("coracle", "system"), "coracle", "whose plugins attach pods: ours, or those of the system's packages"),
};
