// Ownership of a volume's files by the pod's fsGroup: the group owns them and may read and write them (execute directories),
// and new files inherit the group. With fsGroupChangePolicy OnRootMismatch a tree whose root is right is left alone.
import { chmod, lchown, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Pod } from "../../api/types/core-v1.ts";

export interface OwnershipOptions {
  readonly readOnly: boolean;
  /** Skip the walk when the root already has group and mode. */
  readonly onRootMismatch: boolean;
}

export async function applyFsGroup(root: string, fsGroup: number, options: OwnershipOptions): Promise<void> {
  if (options.onRootMismatch) {
    const { gid, mode } = await lstat(root);
    if (gid === fsGroup && (mode & 0o2070) === (options.readOnly ? 0o2050 : 0o2070)) return;
  }
  await walk(root, fsGroup, options.readOnly);
}

async function walk(path: string, gid: number, readOnly: boolean): Promise<void> {
  const info = await lstat(path);
  await lchown(path, info.uid, gid);
  if (info.isSymbolicLink()) return;
  const bits = (readOnly ? 0o440 : 0o660) | (info.isDirectory() ? 0o2110 : 0);
  await chmod(path, (info.mode & 0o7777) | bits);
  if (info.isDirectory()) for (const name of await readdir(path)) await walk(join(path, name), gid, readOnly);
}

/** The one user all containers run as by their specification, if there is one. */
export function fsUserOf(pod: Pod): number | undefined {
  const users = new Set<number | undefined>();
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers])
    users.add(container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser);
  const [only] = users;
  return users.size === 1 ? only : undefined;
}
