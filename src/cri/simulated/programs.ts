// The images of simulated runtimes: which program an image name means. Shared by all nodes of a process; modules with programs
// may be loaded again while containers run, which keep the program they were started with.
import { normalizeImageName } from "../image-name.ts";
import type { ExecAnswer, ExecSession, SimulatedProcess } from "./process.ts";
import type { StageOptions } from "./stages.ts";

/** How containers of an image behave. Without any of it they run until they are stopped. */
export interface ImageBehaviour extends StageOptions {
  /** Lines printed at the start. */
  readonly output?: readonly string[];
  /** Ends by itself after this time. */
  readonly exitAfterMs?: number;
  /** With `exitAfterMs`; default 0. */
  readonly exitCode?: number;
  /** The exit code on SIGTERM, default 143; "ignore" makes the container live on until it is killed. */
  readonly onTerminate?: number | "ignore";
  /**
   * The program, called at every start. The container ends with the number it gives, at once or later; when it gives none, the
   * container runs until it is stopped or calls exit(). What it throws goes to stderr, and ends the container with 1.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a program may return nothing
  readonly run?: (process: SimulatedProcess) => Promise<number | void> | number | void;
  /** Answers exec, and so exec probes. Default: the commands every simulated container has. */
  readonly exec?: (command: readonly string[], process: SimulatedProcess, session: ExecSession) => ExecAnswer | Promise<ExecAnswer>;
  /** What the container reports as its use until the program says otherwise. Default 1 millicore and 10 MiB. */
  readonly usage?: SimulatedUsage;
}

export interface SimulatedUsage {
  readonly cpuMillicores: number;
  readonly memoryBytes: number;
  /** Of the writable layer. Default 0. */
  readonly diskBytes?: number;
  readonly diskInodes?: number;
}

/** An image as users register it. */
export interface SimulatedImage extends ImageBehaviour {
  /** "example.test/web:1"; without a tag it stands for all tags that are not named. */
  readonly name: string;
}

export interface ProgramOptions {
  /** Of images that are not registered. Default: run until stopped. */
  readonly defaultBehaviour?: ImageBehaviour;
  /** Whether images that are not registered cannot be pulled. Default false. */
  readonly refuseUnknown?: boolean;
}

export class SimulatedPrograms {
  readonly #default: ImageBehaviour;
  readonly #refuseUnknown: boolean;
  #byName: ReadonlyMap<string, ImageBehaviour> = new Map();

  constructor(images: readonly SimulatedImage[] = [], { defaultBehaviour = {}, refuseUnknown = false }: ProgramOptions = {}) {
    this.#default = defaultBehaviour;
    this.#refuseUnknown = refuseUnknown;
    this.replace(images);
  }

  /** Throws an Error where a name is not valid or is given twice. */
  replace(images: readonly SimulatedImage[]): void {
    const byName = new Map<string, ImageBehaviour>();
    for (const image of images) {
      const name = hasTag(image.name) ? normalizeImageName(image.name) : repositoryOf(normalizeImageName(image.name));
      if (byName.has(name)) throw new Error(`image ${image.name}: given twice`);
      byName.set(name, image);
    }
    this.#byName = byName;
  }

  /** By a name that is complete, with registry and tag. */
  behaviourOf(image: string): ImageBehaviour {
    return this.#find(image) ?? this.#default;
  }

  canPull(image: string): boolean {
    return !this.#refuseUnknown || this.#find(image) !== undefined;
  }

  #find(image: string): ImageBehaviour | undefined {
    return this.#byName.get(image) ?? this.#byName.get(repositoryOf(image));
  }
}

const hasTag = (name: string): boolean => name.includes("@") || name.lastIndexOf(":") > name.lastIndexOf("/");
export const repositoryOf = (name: string): string => name.replace(/@.*$/, "").replace(/:[^/:]*$/, "");

/** What a module exports by default: one image or several. Throws an Error that says what is wrong. */
export function checkedImages(exported: unknown): readonly SimulatedImage[] {
  if (exported === undefined) throw new Error("expected a default export with an image or an array of them");
  const images = (Array.isArray(exported) ? exported : [exported]).map(checkedImage);
  if (images.length === 0) throw new Error("expected at least one image, found an empty array");
  new SimulatedPrograms(images); // says what is wrong with names
  return images;
}

function checkedImage(value: unknown): SimulatedImage {
  const { name, run, exec } = (value ?? {}) as Partial<Record<keyof SimulatedImage, unknown>>;
  if (typeof name !== "string" || name === "") throw new Error("name: expected the name of an image");
  for (const [field, given] of Object.entries({ run, exec }))
    if (given !== undefined && typeof given !== "function") throw new Error(`image ${name}: ${field}: expected a function`);
  return value as SimulatedImage;
}
