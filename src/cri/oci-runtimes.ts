// Which programs make the containers: runc and crun, each a handler that a RuntimeClass may name, and one of them the default.
// crun, in C, takes a third of runc's time, so it is the default where it is installed and has run a container on this
// machine; that is tried once, and again when the program, containerd or the machine's boot is another: what containerd asks of
// the program has a version, and a program that is older refuses all of it.
import { mkdir, readFile, realpath, rename, stat, writeFile } from "node:fs/promises";
import { basename, isAbsolute, join } from "node:path";
import { errorText, type Logger } from "../base/log.ts";
import { hybridCgroups } from "../linux/cgroup-system.ts";
import { findExecutable, isExecutable } from "../linux/find-executable.ts";
import { bootId } from "../linux/processes.ts";
import { runCommand } from "../linux/run-command.ts";
import type { ContainerdPaths } from "./containerd-paths.ts";
import { crunLauncher } from "./crun-launcher.ts";
import { hostArchitecture } from "./image-archive.ts";
import { tryOciRuntime } from "./oci-probe.ts";

export interface OciRuntime {
  /** The handler, as a RuntimeClass names it: "runc". */
  readonly name: string;
  readonly binary: string;
}

export interface OciRuntimes {
  readonly defaultName: string;
  readonly all: readonly OciRuntime[];
}

/** "auto", "runc", "crun", or the path of another program. */
export type OciRuntimeChoice = string;

interface Candidate extends OciRuntime {
  /** Why it cannot be used. */
  readonly problem?: string;
}

export interface OciRuntimeUse {
  readonly paths: ContainerdPaths;
  /** The program that will call them, by its absolute path. */
  readonly containerd: string;
  readonly log: Logger;
}

/** Throws an error that says what is missing for the choice. */
export async function findOciRuntimes(choice: OciRuntimeChoice, use: OciRuntimeUse): Promise<OciRuntimes> {
  const { log } = use;
  const own = await chosenPath(choice);
  const candidates = (
    await Promise.all(["runc", "crun"].map((name) => candidateOf(name, name === own?.name ? own.binary : undefined, use)))
  )
    .filter((candidate) => candidate !== undefined)
    .concat(own && !["runc", "crun"].includes(own.name) ? [own] : []);
  const all = candidates.filter(({ problem }) => problem === undefined).map(({ name, binary }) => ({ name, binary }));
  const usable = (name: string): boolean => all.some((runtime) => runtime.name === name);
  for (const { name, problem } of candidates)
    if (problem !== undefined) log.info("An OCI runtime is not used", { name, problem }, choice === "auto" ? 0 : 2);
  const defaultName = choice === "auto" ? ["crun", "runc"].find(usable) : (own?.name ?? choice);
  if (defaultName !== undefined && usable(defaultName)) return { defaultName, all };
  const problem = candidates.find(({ name }) => name === defaultName)?.problem;
  if (problem !== undefined) throw new Error(`${defaultName} does not work on this machine: ${problem}`);
  throw new Error(`${defaultName ?? "runc"} is not installed on this machine: install the package ${defaultName ?? "runc"}`);
}

/** Whether `choice` is a program of this machine; whether it works is another question. */
export async function whyNotOciRuntime(choice: OciRuntimeChoice): Promise<string | undefined> {
  if (choice === "auto") return undefined;
  if (choice === "runc" || choice === "crun") return (await findExecutable(choice)) === undefined ? "it is not installed" : undefined;
  if (!isAbsolute(choice)) return "expected auto, runc, crun or the absolute path of a program";
  if (!(await isExecutable(choice))) return "there is no such program";
  return /^[A-Za-z0-9_-]+$/.test(basename(choice)) ? undefined : "the program's name cannot be that of a handler";
}

/** What `choice` names by its path, if it does. */
async function chosenPath(choice: OciRuntimeChoice): Promise<OciRuntime | undefined> {
  if (["auto", "runc", "crun"].includes(choice)) return undefined;
  const problem = await whyNotOciRuntime(choice);
  if (problem !== undefined) throw new Error(`OCI runtime ${choice}: ${problem}`);
  return { name: basename(choice), binary: choice };
}

/** Undefined where it is not installed. */
async function candidateOf(name: string, path: string | undefined, use: OciRuntimeUse): Promise<Candidate | undefined> {
  const program = path ?? (await findExecutable(name));
  if (program === undefined) return undefined;
  // What every containerd comes with needs no trial.
  if (name !== "crun") return { name, binary: program };
  try {
    const binary = await startableCrun(program, use.paths);
    const problem = await triedBefore(program, binary, use);
    return { name, binary, ...(problem === "" ? {} : { problem }) };
  } catch (error) {
    return { name, binary: program, problem: errorText(error) };
  }
}

/** crun itself, or what starts it where control groups are a hybrid. */
async function startableCrun(program: string, { directory }: ContainerdPaths): Promise<string> {
  const hidden = await hybridCgroups();
  if (hidden === undefined) return program;
  const launcher = join(directory, "crun");
  const bytes = Buffer.from(crunLauncher(hostArchitecture(), { program: await realpath(program), hidden }));
  const before = await readFile(launcher).catch(() => undefined);
  if (before?.equals(bytes)) return launcher;
  await mkdir(directory, { recursive: true });
  // Not over the old one, which may be running.
  await writeFile(`${launcher}.new`, bytes, { mode: 0o755 });
  await rename(`${launcher}.new`, launcher);
  return launcher;
}

/** What a trial said, now or before, of this very program in this boot: empty when it works. */
async function triedBefore(program: string, binary: string, { paths: { directory }, containerd }: OciRuntimeUse): Promise<string> {
  const file = join(directory, "oci-runtime.json");
  const what = JSON.stringify([binary, await fileState(program), await fileState(containerd), await bootId()]);
  const known = await readFile(file, "utf8").then(parseTrial, () => undefined);
  if (known?.what === what) return known.problem;
  await mkdir(directory, { recursive: true });
  const ociVersion = await writtenVersion(containerd);
  const problem = await tryOciRuntime(binary, { ociVersion, directory }).then(() => "", errorText);
  await writeFile(`${file}.new`, JSON.stringify({ what, problem } satisfies Trial));
  await rename(`${file}.new`, file);
  return problem;
}

async function fileState(path: string): Promise<readonly unknown[]> {
  const { size, mtimeMs } = await stat(path);
  return [path, size, mtimeMs];
}

/** The version of the runtime specification that a containerd writes: 1.0 until 1.6, 1.1 in 1.7, later ones since. */
async function writtenVersion(containerd: string): Promise<string> {
  // containerd github.com/containerd/containerd/v2 2.1.9+unknown
  const [, major, minor] = / v?(\d+)\.(\d+)/.exec((await runCommand(containerd, ["--version"])).stdout) ?? [];
  if (Number(major) >= 2) return "1.2.1";
  return Number(major) === 1 && Number(minor) >= 7 ? "1.1.0" : "1.0.2";
}

interface Trial {
  readonly what: string;
  readonly problem: string;
}

function parseTrial(text: string): Trial | undefined {
  try {
    return JSON.parse(text) as Trial; // written above
  } catch {
    return undefined;
  }
}
