// Where a cluster keeps everything it has on a machine.
import { homedir } from "node:os";
import { join } from "node:path";

/** /var/lib/coracle for root; the user's data directory for others. */
export function defaultDataDir(): string {
  if (process.getuid?.() === 0) return "/var/lib/coracle";
  return join(process.env.XDG_DATA_HOME ?? join(homedir(), ".local", "share"), "coracle");
}

/** Name of the file that shows which process runs the cluster of a data directory. */
export const clusterLock = "up.lock";
