// Where our own containerd keeps things: everything below <data dir>/containerd, except that a data directory with a long name
// gets its state (which holds unix sockets, limited to 107 bytes) in a short directory under /run/coracle.
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";

export interface ContainerdPaths {
  /** <data dir>/containerd. */
  readonly directory: string;
  readonly config: string;
  /** Images, snapshots, metadata: kept for ever. */
  readonly root: string;
  /** Running containers' bundles, mounts and network namespaces: meaningless after a reboot. */
  readonly state: string;
  readonly socket: string;
  readonly log: string;
  /** Which process serves this data directory; see containerd-process.ts. */
  readonly pidFile: string;
  /** Holds the id of the boot that the state directory belongs to. */
  readonly bootFile: string;
  /** The directory containerd reads CNI configuration from. */
  readonly cniConfig: string;
  /** For connectCri. */
  readonly endpoint: string;
}

/** sun_path has 108 bytes with its final zero; containerd appends ".ttrpc" for a second socket. */
const longestSocket = 107 - ".ttrpc".length;

export function containerdPaths(dataDir: string): ContainerdPaths {
  const directory = join(resolve(dataDir), "containerd");
  const own = join(directory, "containerd.sock");
  const short = join("/run/coracle", dataDirHash(dataDir));
  const fits = Buffer.byteLength(own) <= longestSocket;
  const socket = fits ? own : join(short, "containerd.sock");
  return {
    directory,
    config: join(directory, "config.toml"),
    root: join(directory, "root"),
    state: fits ? join(directory, "state") : join(short, "state"),
    socket,
    log: join(directory, "containerd.log"),
    pidFile: join(directory, "containerd.pid.json"),
    bootFile: join(directory, "boot-id"),
    cniConfig: join(resolve(dataDir), "cni", "net.d"),
    endpoint: `unix://${socket}`,
  };
}

/** Eight characters that tell data directories of one machine apart: for names that all of them share, as of interfaces. */
export function dataDirHash(dataDir: string): string {
  return createHash("sha256").update(resolve(dataDir)).digest("hex").slice(0, 8);
}
