// What the kubelet's server asks of the kubelet: its pods, their logs, and the runtime's streaming addresses.
import type { Pod } from "../../api/types/core-v1.ts";
import type { StatsEndpoints } from "../stats/endpoints.ts";

export interface ContainerReference {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  /** Set when the caller wants this very pod, not another one of the same name. */
  readonly podUid?: string;
}

export interface RemoteCommandOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

export interface LogOptions {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  readonly tailLines?: number;
  readonly limitBytes?: number;
  readonly sinceSeconds?: number;
  /** Milliseconds since the epoch. */
  readonly sinceTimeMs?: number;
  readonly stream?: "All" | "Stdout" | "Stderr";
}

/** Failures are StatusErrors: NotFound for an unknown pod or container, BadRequest for one that is not running (yet). */
export interface KubeletServerHost {
  pods(): readonly Pod[];
  /** Those the runtime has, whatever the API server wants. */
  runningPods(): Promise<readonly Pod[]>;
  /** Runs a command to its end; what it printed. */
  run(at: ContainerReference, command: readonly string[]): Promise<string>;
  /** Writes a checkpoint of the container; where it lies. 0 seconds: as long as the runtime allows. */
  checkpoint(at: ContainerReference, timeoutSeconds: number): Promise<string>;
  /** /stats/summary, /metrics and what is below it; undefined for other paths. */
  stats: StatsEndpoints;
  /** Address of the runtime's streaming server for this call. */
  execUrl(at: ContainerReference, command: readonly string[], options: RemoteCommandOptions): Promise<URL>;
  attachUrl(at: ContainerReference, options: RemoteCommandOptions): Promise<URL>;
  portForwardUrl(at: Omit<ContainerReference, "container">): Promise<URL>;
  /** Resolves when the log can be read; the iteration ends with the log, or when the signal aborts. */
  containerLog(at: ContainerReference, options: LogOptions, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}
