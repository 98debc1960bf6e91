// Removes what is left of containers and sandboxes that ended: of each container the newest dead one is kept, for its log
// and its last state; of sandboxes the newest. Pods that are gone are cleaned up by their worker.
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { CriRuntime } from "../../cri/cri.ts";
import { isRpcError } from "../../rpc/rpc-error.ts";
import type { RuntimeContainer, RuntimePod, RuntimeSandbox } from "./runtime-pod.ts";

/** What may be removed, oldest last as in the listing. */
function deadOf(pod: RuntimePod): {
  readonly containers: readonly RuntimeContainer[];
  readonly sandboxes: readonly RuntimeSandbox[];
} {
  const kept = new Set<string>();
  const containers = pod.containers.filter((c) => {
    if (c.state !== "exited") return false;
    if (kept.has(c.name)) return true;
    kept.add(c.name);
    return false;
  });
  // The container before the running one stays; removed sandboxes would take their containers with them.
  const sandboxes = containers.length === 0 ? pod.sandboxes.slice(1).filter((s) => !s.ready) : [];
  return { containers, sandboxes };
}

/** Returns whether anything was removed. */
export async function removeDead(cri: CriRuntime, pod: RuntimePod): Promise<boolean> {
  const { containers, sandboxes } = deadOf(pod);
  for (const container of containers) {
    await ignoringGone(() => cri.removeContainer({ containerId: container.id }));
    await removeLogs(container.logPath);
  }
  for (const { id } of sandboxes) {
    const { containers: held } = await cri.listContainers({ filter: { podSandboxId: id } });
    if (held.length === 0) await ignoringGone(() => cri.removePodSandbox({ podSandboxId: id }));
  }
  return containers.length > 0;
}

/** Of a call about something that may be gone already. */
export async function ignoringGone(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!isRpcError(error, "NOT_FOUND")) throw error;
  }
}

/** The log and what rotation made of it. */
export async function removeLogs(path: string): Promise<void> {
  if (path === "") return;
  const names = await readdir(dirname(path)).catch(() => []);
  for (const name of names)
    if (name === basename(path) || name.startsWith(`${basename(path)}.`)) await rm(join(dirname(path), name), { force: true });
}
