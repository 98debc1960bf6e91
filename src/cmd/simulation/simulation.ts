// What the simulated nodes of a process share: the network of their pods, the programs of their images, and how long things take.
// Flags say it for commands; modules with programs are loaded again when they change.
import type { Clock } from "../../base/clock.ts";
import { parseDuration } from "../../base/duration.ts";
import { limitHeapGrowth } from "../../base/engine.ts";
import { type FlagType, flag, integer, list, oneOf } from "../../base/flags.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { SimulatedNetwork } from "../../cri/simulated/network.ts";
import { checkedImages, type SimulatedImage, SimulatedPrograms } from "../../cri/simulated/programs.ts";
import { type Stage, type StageOptions, stageNames } from "../../cri/simulated/stages.ts";
import { CommandError } from "../command-error.ts";

/** "pull=200ms,start=50ms": a value for each stage of a container's life. */
function perStage(
  placeholder: string,
  expected: string,
  parseValue: (text: string) => number | undefined,
): FlagType<StageOptions["delays"] & object> {
  return {
    placeholder,
    parse(text, previous = {}) {
      const given = text.split(",").map((part) => {
        const [name = "", value = ""] = part.split("=");
        const number = parseValue(value);
        if (!(stageNames as readonly string[]).includes(name) || number === undefined)
          throw new Error(`expected ${expected}, with ${stageNames.join(", ")} as stages`);
        return [name, number] as const;
      });
      return { ...previous, ...(Object.fromEntries(given) as Partial<Record<Stage, number>>) };
    },
  };
}

function probability(text: string): number | undefined {
  const number = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  return number >= 0 && number <= 1 ? number : undefined;
}

export const simulationFlags = {
  "simulated-images": flag(
    list,
    [],
    "with --runtime simulated: module with programs of images, in TypeScript or JavaScript; may be repeated",
  ),
  "simulated-unknown-images": flag(
    oneOf("run", "refuse"),
    "run",
    "with --runtime simulated: whether images without a program run until they are stopped, or cannot be pulled",
  ),
  "simulated-delays": flag(
    perStage("stage=duration,…", 'durations such as "pull=200ms,start=50ms"', parseDuration),
    {},
    "with --runtime simulated: how long the stages of a container's life take: pull, create, start, stop",
  ),
  "simulated-failures": flag(
    perStage("stage=probability,…", 'probabilities from 0 to 1 such as "pull=0.1,start=0.05"', probability),
    {},
    "with --runtime simulated: how often the stages fail",
  ),
  "simulated-seed": flag(
    integer({ min: 0, max: 2 ** 32 - 1 }),
    1,
    "with --runtime simulated: what failures follow: the same seed, the same failures",
  ),
};

export interface SimulationOptions extends StageOptions {
  readonly images?: readonly SimulatedImage[];
  /** Whether images without a program cannot be pulled. Default false. */
  readonly refuseUnknownImages?: boolean;
  /** Default 1. */
  readonly seed?: number;
}

export interface Simulation extends StageOptions {
  readonly network: SimulatedNetwork;
  readonly programs: SimulatedPrograms;
  /** Of the next node: nodes that fail at the same moments in the same way would be one node. */
  nextSeed(): number;
}

export function createSimulation({
  images = [],
  refuseUnknownImages = false,
  seed = 1,
  delays,
  failures,
}: SimulationOptions = {}): Simulation {
  let next = seed;
  return {
    network: new SimulatedNetwork(),
    programs: new SimulatedPrograms(images, { refuseUnknown: refuseUnknownImages }),
    nextSeed: () => next++,
    ...(delays ? { delays } : {}),
    ...(failures ? { failures } : {}),
  };
}

export interface SimulationValues {
  readonly "simulated-images": readonly string[];
  readonly "simulated-unknown-images": "run" | "refuse";
  readonly "simulated-delays": StageOptions["delays"] & object;
  readonly "simulated-failures": StageOptions["failures"] & object;
  readonly "simulated-seed": number;
}

/** As the flags say; their modules are followed until it is stopped. Throws CommandError. */
export async function openSimulation(
  values: SimulationValues,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<Simulation & Running> {
  const paths = values["simulated-images"];
  const options = {
    refuseUnknownImages: values["simulated-unknown-images"] === "refuse",
    ...{ delays: values["simulated-delays"], failures: values["simulated-failures"], seed: values["simulated-seed"] },
  };
  const stack = new StopStack();
  if (paths.length === 0) return { ...createSimulation(options), stop: () => stack.stop() };
  const { followUserModules, loadUserModules } = await import("../../base/user-modules.ts");
  try {
    const modules = await loadUserModules(paths, checkedImages);
    const simulation = createSimulation({ ...options, images: modules.exported });
    const follower = {
      ...{ clock, check: checkedImages },
      async changed(images: readonly SimulatedImage[]) {
        simulation.programs.replace(images);
        logger.info("Simulated images loaded again", { images: images.map(({ name }) => name).join(",") });
      },
      failed: (error: unknown) => logger.error("The simulated images stay as they were", { error: errorText(error) }),
    };
    stack.add(followUserModules(paths, modules, follower));
    return { ...simulation, stop: () => stack.stop() };
  } catch (error) {
    throw new CommandError("--simulated-images", { cause: error });
  }
}

/** Of so many nodes' objects the garbage would take as much memory again. */
const manyNodes = 100;
const heapGrowthPercent = 25;

/** Keeps the memory of a process with many simulated nodes near what they need. */
export function boundMemory(nodes: number): void {
  if (nodes >= manyNodes) limitHeapGrowth(heapGrowthPercent);
}

/** More nodes than that do not fit into the usual ranges: a /24 of pods for each node of 10.244.0.0/16. */
const usualNodes = 250;
const usualPodRange = "10.244.0.0/16";
const wideRanges = { "cluster-cidr": ["10.128.0.0/14"], "node-cidr": ["172.29.0.0/16"] };

/** Wider ranges where there are many nodes and nothing else is said. */
export function roomForNodes(
  values: { readonly "cluster-cidr": readonly string[]; readonly "node-cidr": readonly string[] },
  count: number,
): { readonly "cluster-cidr": readonly string[]; readonly "node-cidr": readonly string[] } {
  const { "cluster-cidr": pods, "node-cidr": nodes } = values;
  if (count <= usualNodes) return { "cluster-cidr": pods, "node-cidr": nodes };
  return {
    "cluster-cidr": pods.join() === usualPodRange ? wideRanges["cluster-cidr"] : pods,
    "node-cidr": nodes.length === 0 ? wideRanges["node-cidr"] : nodes,
  };
}
