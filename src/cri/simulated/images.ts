// The image service of the simulated runtime: every name can be pulled, unless it is to be refused, and takes no space on disk.
import { createHash } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { criTime } from "../cri.ts";
import type { Image, ImageServiceHandlers } from "../generated/runtime-v1.ts";
import { normalizeImageName } from "../image-name.ts";
import type { SimulatedPrograms } from "./programs.ts";
import type { Stages } from "./stages.ts";

export interface SimulatedImages {
  readonly handlers: ImageServiceHandlers;
  /** By name, digest or id. */
  find(reference: string): Image | undefined;
}

export interface SimulatedImageOptions {
  readonly clock: Clock;
  /** Images that are there from the start. */
  readonly present: readonly string[];
  readonly programs: SimulatedPrograms;
  readonly stages: Stages;
  /** Throws to refuse a pull. */
  readonly beforePull?: ((image: string) => void | Promise<void>) | undefined;
  /** On whose file system images and containers are said to lie. */
  readonly directory: string;
}

const imageBytes = 1_000_000;

export function createSimulatedImages(options: SimulatedImageOptions): SimulatedImages {
  const images = new Map<string, Image>();
  const add = (reference: string): Image => {
    const name = fullName(reference);
    const image = describeImage(name);
    images.set(name, image);
    return image;
  };
  const find = (reference: string): Image | undefined =>
    images.get(fullName(reference)) ??
    [...images.values()].find(
      (image) => image.id === reference || image.id === `sha256:${reference}` || image.repoDigests.includes(reference),
    );
  for (const name of options.present) add(name);
  const list = (filter: string): readonly Image[] => {
    if (filter === "") return [...images.values()];
    const image = find(filter);
    return image ? [image] : [];
  };
  const handlers: ImageServiceHandlers = {
    listImages: async ({ filter }) => ({ images: list(filter?.image?.image ?? "") }),
    imageStatus: async ({ image }) => {
      const found = find(image?.image ?? "");
      return found ? { image: found } : {};
    },
    pullImage: async ({ image }, { signal }) => {
      const name = fullName(image?.image ?? "");
      await options.beforePull?.(image?.image ?? "");
      if (!options.programs.canPull(name))
        throw new RpcError(
          "NOT_FOUND",
          `failed to pull and unpack image "${name}": failed to resolve reference "${name}": ${name}: not found`,
        );
      await options.stages.pass("pull", options.programs.behaviourOf(name), { what: name, signal });
      return { imageRef: add(name).id };
    },
    removeImage: async ({ image }) => {
      const found = find(image?.image ?? "");
      for (const [name, candidate] of images) if (candidate.id === found?.id) images.delete(name);
      return {};
    },
    imageFsInfo: async () => {
      const usage = {
        timestamp: criTime(options.clock.now()),
        fsId: { mountpoint: options.directory },
        usedBytes: { value: images.size * imageBytes },
        inodesUsed: { value: images.size },
      };
      return { imageFilesystems: [usage], containerFilesystems: [usage] };
    },
  };
  return { handlers, find };
}

function describeImage(name: string): Image {
  const digest = `sha256:${createHash("sha256").update(name).digest("hex")}`;
  const repository = name.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
  return {
    id: digest,
    repoTags: name.includes("@") ? [] : [name],
    repoDigests: [name.includes("@") ? name : `${repository}@${digest}`],
    size: imageBytes,
    username: "",
    pinned: false,
  };
}

/** Names that are not valid are refused as a registry client would. */
function fullName(reference: string): string {
  if (/^sha256:[0-9a-f]{64}$/.test(reference)) return reference;
  try {
    return normalizeImageName(reference);
  } catch (error) {
    throw new RpcError("INVALID_ARGUMENT", error instanceof Error ? error.message : String(error));
  }
}
