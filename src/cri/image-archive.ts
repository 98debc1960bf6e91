// Packs files into a container image, in memory: a single-layer archive in the format of `docker save`, which every runtime
// imports. Used for images this project makes itself; large images are not its purpose.
import { createHash } from "node:crypto";
import { arch } from "node:process";
import { pack } from "tar-stream";

export interface ImageFile {
  /** Absolute within the image, "/bin/sh". Parent directories are made. */
  readonly path: string;
  /** Exactly one of `content`, `linkTo` (a symbolic link) and `directory` is given. */
  readonly content?: Uint8Array | string;
  readonly linkTo?: string;
  readonly directory?: true;
  /** Default 0o644 for files, 0o755 for directories. */
  readonly mode?: number;
}

/** The parts of an image's configuration that a runtime acts on; see the OCI image specification, config.md. */
export interface ImageConfig {
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  /** "NAME=value". */
  readonly env?: readonly string[];
  readonly workingDir?: string;
  /** "65535:65535", "nobody". */
  readonly user?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly stopSignal?: string;
}

export type Architecture = "amd64" | "arm64";

export interface ImageArchiveOptions {
  /** With tag: "registry.example/app:1". */
  readonly name: string;
  readonly files: readonly ImageFile[];
  readonly config: ImageConfig;
  /** Default: this machine's. */
  readonly architecture?: Architecture;
}

/** This machine's architecture in the words of OCI. Throws on others than x86-64 and arm64. */
export function hostArchitecture(): Architecture {
  if (arch === "x64") return "amd64";
  if (arch === "arm64") return "arm64";
  throw new Error(`architecture ${arch} is not supported: expected x64 or arm64`);
}

/** The archive's bytes; the same input gives the same bytes. */
export async function buildImageArchive(options: ImageArchiveOptions): Promise<Uint8Array> {
  const layer = await packTar(withParents(options.files));
  const { config } = options;
  const image = {
    architecture: options.architecture ?? hostArchitecture(),
    os: "linux",
    config: {
      Entrypoint: config.entrypoint,
      Cmd: config.cmd,
      Env: config.env ?? ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      WorkingDir: config.workingDir ?? "/",
      User: config.user,
      Labels: config.labels,
      StopSignal: config.stopSignal,
    },
    rootfs: { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] },
  };
  const configBytes = Buffer.from(JSON.stringify(image));
  const configName = `${sha256(configBytes)}.json`;
  const layerName = `${sha256(layer)}/layer.tar`;
  const manifest = [{ Config: configName, RepoTags: [options.name], Layers: [layerName] }];
  return packTar([
    { path: configName, content: configBytes },
    { path: layerName, content: layer },
    { path: "manifest.json", content: JSON.stringify(manifest) },
  ]);
}

/** The files with every directory on the way to them, each once, parents first. */
function withParents(files: readonly ImageFile[]): readonly ImageFile[] {
  const seen = new Set(files.filter((file) => file.directory).map((file) => file.path));
  const result: ImageFile[] = [];
  for (const file of files) {
    const parts = file.path.split("/").filter((part) => part !== "");
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = `/${parts.slice(0, depth).join("/")}`;
      if (seen.has(parent)) continue;
      seen.add(parent);
      result.push({ path: parent, directory: true });
    }
    result.push(file);
  }
  return result;
}

async function packTar(files: readonly ImageFile[]): Promise<Uint8Array> {
  const tar = pack();
  for (const file of files) {
    const name = file.path.replace(/^\//, "");
    const header = { name, mode: file.mode ?? (file.directory ? 0o755 : 0o644), mtime: new Date(0), uid: 0, gid: 0 };
    if (file.directory) tar.entry({ ...header, type: "directory" });
    else if (file.linkTo !== undefined) tar.entry({ ...header, type: "symlink", linkname: file.linkTo });
    else tar.entry(header, Buffer.from(file.content ?? ""));
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
