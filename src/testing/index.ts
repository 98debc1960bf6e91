// What tests of users import: `import { createCluster } from "coracle/testing"`. See docs/testing.md.
export * as resources from "../api/resources.generated.ts";
export { VirtualClock } from "../base/clock.ts";
export type { Client } from "../client/client.ts";
export type { ExecAnswer, ExecSession, ResourceUse, SimulatedProcess, StopRequest } from "../cri/simulated/process.ts";
export type { ImageBehaviour, SimulatedImage, SimulatedUsage } from "../cri/simulated/programs.ts";
export type { Stage, StageOptions } from "../cri/simulated/stages.ts";
export { type ClusterOptions, createCluster, type TestCluster, type UntilOptions } from "./cluster.ts";
export type { Manifest } from "./manifests.ts";
