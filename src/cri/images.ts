// Images of a node, for the command line and for start-up: import from an archive, list, remove. CRI has no import, so it goes
// through `ctr`, which comes with containerd; images are then visible to CRI, which is waited for.
import type { Clock } from "../base/clock.ts";
import { findExecutable } from "../linux/find-executable.ts";
import { CommandError, runCommand } from "../linux/run-command.ts";
import type { ContainerdPaths } from "./containerd-paths.ts";
import type { CriRuntime } from "./cri.ts";
import type { Image } from "./generated/runtime-v1.ts";
import { normalizeImageName } from "./image-name.ts";
import { type ImageArchive, prepareArchive } from "./image-stream.ts";
import { buildPauseImage, pauseImageReference } from "./pause-image.ts";

export interface ImageStore {
  readonly runtime: CriRuntime;
  readonly paths: Pick<ContainerdPaths, "socket">;
  readonly clock: Clock;
}

export interface ImportOptions {
  /** The name of the image, for archives that do not name their only image in full. */
  readonly name?: string;
  /** Default 10 minutes. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const criNamespace = "k8s.io";
const visibleWithinMs = 30_000;

/** Imports every image of an archive (docker save or OCI layout, gzip or not). Resolves with their full names, usable in pods. */
export async function importImage(store: ImageStore, archive: ImageArchive, options: ImportOptions = {}): Promise<readonly string[]> {
  const prepared = prepareArchive(archive, options.name === undefined ? {} : { name: options.name });
  try {
    await ctr(store, ["images", "import", "-"], {
      input: prepared.stream,
      timeoutMs: options.timeoutMs ?? 600_000,
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (error) {
    throw new Error(`importing ${typeof archive === "string" ? archive : "an image archive"}: ${importProblem(error)}`, { cause: error });
  }
  for (const name of prepared.names()) await waitUntilVisible(store, name);
  return prepared.names();
}

export async function listImages({ runtime }: Pick<ImageStore, "runtime">): Promise<readonly Image[]> {
  return (await runtime.listImages({})).images;
}

/** By name (completed as Docker does), digest or id. Throws an Error when there is no such image. */
export async function removeImage({ runtime }: Pick<ImageStore, "runtime">, image: string): Promise<void> {
  const id = /^(sha256:)?[0-9a-f]{12,64}$/.test(image);
  const spec = { image: id ? image : normalizeImageName(image) };
  const { image: found } = await runtime.imageStatus({ image: spec });
  if (!found) throw new Error(`no image ${image} on this node`);
  await runtime.removeImage({ image: spec });
}

/** Imports the pause image where it is missing, and marks it so that image garbage collection spares it. */
export async function ensurePauseImage(store: ImageStore): Promise<void> {
  const { image } = await store.runtime.imageStatus({ image: { image: pauseImageReference } });
  if (image) return;
  await importImage(store, await buildPauseImage());
  await ctr(store, ["images", "label", pauseImageReference, "io.cri-containerd.pinned=pinned"], {});
}

async function ctr(store: ImageStore, args: readonly string[], options: Parameters<typeof runCommand>[2]): Promise<void> {
  const binary = await findExecutable("ctr");
  if (binary === undefined) throw new Error("ctr, which comes with containerd, is not installed on this machine");
  await runCommand(binary, ["--address", store.paths.socket, "--namespace", criNamespace, ...args], options);
}

/** containerd tells its CRI part of new images by events. */
async function waitUntilVisible({ runtime, clock }: ImageStore, name: string): Promise<void> {
  const deadline = clock.monotonic() + visibleWithinMs;
  for (;;) {
    const { image } = await runtime.imageStatus({ image: { image: name } });
    if (image) return;
    if (clock.monotonic() > deadline)
      throw new Error(`image ${name} was imported, but the runtime does not list it after ${visibleWithinMs} ms`);
    await clock.sleep(20);
  }
}

/** ctr's last line, without its prefix; the archive's own problem where there is one. */
function importProblem(error: unknown): string {
  if (!(error instanceof CommandError)) return error instanceof Error ? error.message : String(error);
  const line = error.stderr.trim().split("\n").at(-1) ?? "";
  return line.replace(/^ctr: /, "") || error.message;
}
