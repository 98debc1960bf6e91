// Mounts of this mount namespace: listed from /proc/self/mountinfo (proc(5)), made and removed with the system's mount and
// umount.
import { mkdir, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { runCommand } from "./run-command.ts";

export interface MountInfo {
  readonly id: number;
  readonly parentId: number;
  /** The directory within the file system that is mounted here: not "/" for bind mounts. */
  readonly root: string;
  readonly mountPoint: string;
  /** Per-mount options: "rw", "nosuid", "relatime". */
  readonly options: readonly string[];
  /** Propagation: "shared:5", "master:2". */
  readonly propagation: readonly string[];
  readonly fileSystem: string;
  readonly source: string;
  /** Options of the file system: "size=64k", "lowerdir=…". */
  readonly superOptions: readonly string[];
}

export interface MountOptions {
  /** "tmpfs", "overlay", "ext4"; absent for bind mounts. */
  readonly fileSystem?: string;
  /** As for mount -o: ["bind", "ro"], ["size=64m"]. */
  readonly options?: readonly string[];
}

/** All mounts, in the order they were made. */
export async function listMounts(): Promise<readonly MountInfo[]> {
  return parseMountInfo(await readFile("/proc/self/mountinfo", "utf8"));
}

export function parseMountInfo(text: string): readonly MountInfo[] {
  const mounts: MountInfo[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const fields = line.split(" ");
    const dash = fields.indexOf("-", 6);
    const [id = "", parentId = "", , root = "", mountPoint = "", options = ""] = fields;
    const [fileSystem = "", source = "", superOptions = ""] = fields.slice(dash + 1);
    mounts.push({
      id: Number(id),
      parentId: Number(parentId),
      root: unescapePath(root),
      mountPoint: unescapePath(mountPoint),
      options: options.split(","),
      propagation: fields.slice(6, dash),
      fileSystem,
      source: unescapePath(source),
      superOptions: superOptions.split(","),
    });
  }
  return mounts;
}

/** The topmost mount at exactly this path. */
export async function mountAt(path: string): Promise<MountInfo | undefined> {
  const target = resolve(path);
  return (await listMounts()).findLast((mount) => mount.mountPoint === target);
}

/** Makes the mount point where it is missing. */
export async function mount(source: string, target: string, { fileSystem, options = [] }: MountOptions = {}): Promise<void> {
  await mkdir(target, { recursive: true });
  const type = fileSystem === undefined ? [] : ["-t", fileSystem];
  await runCommand("mount", [...type, ...(options.length > 0 ? ["-o", options.join(",")] : []), "--", source, target]);
}

/** A memory file system; `sizeBytes` bounds it (the kernel's default is half of memory). */
export async function mountTmpfs(
  target: string,
  { sizeBytes, mode = "0755" }: { readonly sizeBytes?: number; readonly mode?: string } = {},
): Promise<void> {
  const size = sizeBytes === undefined ? [] : [`size=${sizeBytes}`];
  await mount("tmpfs", target, { fileSystem: "tmpfs", options: [`mode=${mode}`, ...size] });
}

/** A file system on huge pages of this size: what is written to it takes from the machine's. */
export async function mountHugePages(target: string, pageBytes: number): Promise<void> {
  await mount("nodev", target, { fileSystem: "hugetlbfs", options: [`pagesize=${pageBytes}`] });
}

/** Bind mounts are made read-only by a second mount, which is the only way the kernel offers. */
export async function bindMount(source: string, target: string, { readOnly = false } = {}): Promise<void> {
  await mount(source, target, { options: ["bind"] });
  if (readOnly) await mount(source, target, { options: ["remount", "bind", "ro"] });
}

/** Does nothing when nothing is mounted there. `lazy` detaches a busy mount now and releases it when its users are gone. */
export async function unmount(target: string, { lazy = false } = {}): Promise<void> {
  if (!(await mountAt(target))) return;
  await runCommand("umount", [...(lazy ? ["-l"] : []), "--", resolve(target)]);
}

/** Unmounts everything at and below a directory, deepest and newest first, busy or not. */
export async function unmountBelow(directory: string): Promise<void> {
  const base = resolve(directory);
  const below = (await listMounts()).filter((m) => m.mountPoint === base || m.mountPoint.startsWith(`${base}/`));
  for (const { mountPoint } of below.toReversed()) await runCommand("umount", ["-l", "--", mountPoint]);
}

/** mountinfo writes blanks, tabs, newlines and backslashes as octal escapes. */
function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
