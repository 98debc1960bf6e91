// What a module with plugins needs to be typed: `import type { UserPlugin } from "coracle/scheduler"`.
export type { ExtensionPoint } from "../configuration/plugin-names.ts";
export type { NodeFilter, NodeScorer, Plugin, QueueingHint, Rejection, SchedulingCycle } from "../framework.ts";
export type { NodeInfo } from "../node-info.ts";
export type { UserPlugin, UserPluginContext } from "./user-plugin.ts";
