// Container images for tests, built on the spot from the machine's static busybox and the files given: nothing is pulled, and
// nothing is kept in the repository.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { buildImageArchive, type ImageConfig, type ImageFile } from "../cri/image-archive.ts";
import { findExecutable } from "../linux/find-executable.ts";

export interface TestImage extends ImageConfig {
  /** With tag: "example.test/web:1". */
  readonly name: string;
  /** Path in the image → contents. Programs and scripts that begin with #! become executable. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Whether the image has busybox, with all its commands in /bin. Default true. */
  readonly busybox?: boolean;
}

/** The image as a docker archive, for importImage() or `coracle image import`. Needs the package busybox-static. */
export async function buildImage({ name, files = {}, busybox = true, ...config }: TestImage): Promise<Uint8Array> {
  const own = Object.entries(files).map(([path, content]): ImageFile => ({ path, content, mode: isExecutable(content) ? 0o755 : 0o644 }));
  const base: readonly ImageFile[] = [
    { path: "/tmp", directory: true, mode: 0o1777 },
    { path: "/etc/passwd", content: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n" },
    { path: "/etc/group", content: "root:x:0:\nnobody:x:65534:\n" },
  ];
  return buildImageArchive({ name, files: [...base, ...(busybox ? await busyboxFiles() : []), ...own], config });
}

async function busyboxFiles(): Promise<readonly ImageFile[]> {
  const path = await findExecutable("busybox");
  if (path === undefined) throw new Error("busybox is not installed on this machine: install the package busybox-static");
  const { stdout } = await promisify(execFile)(path, ["--list"]);
  const commands = stdout.split("\n").filter((command) => command !== "" && command !== "busybox");
  return [
    { path: "/bin/busybox", content: await readFile(path), mode: 0o755 },
    ...commands.map((command): ImageFile => ({ path: `/bin/${command}`, linkTo: "busybox" })),
  ];
}

/** A script, or a program in the ELF format. */
function isExecutable(content: string | Uint8Array): boolean {
  if (typeof content === "string") return content.startsWith("#!");
  const starts = (...bytes: readonly number[]): boolean => bytes.every((byte, i) => content[i] === byte);
  return starts(0x23, 0x21) || starts(0x7f, 0x45, 0x4c, 0x46);
}

/** A program of this machine with the libraries it needs, as files of an image. */
export async function programFiles(path: string, inImage: string): Promise<Readonly<Record<string, Uint8Array>>> {
  const { stdout } = await promisify(execFile)("ldd", [path]);
  // "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)" and "/lib64/ld-linux-x86-64.so.2 (0x…)".
  const libraries = [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, library = ""]) => library);
  const files = await Promise.all([path, ...libraries].map((file) => readFile(file)));
  return Object.fromEntries([inImage, ...libraries].map((name, i) => [name, files[i] ?? new Uint8Array()]));
}
