// Whether and where the API server serves profiles and takes the verbosity of its log: --profiling, --debug-socket-path.
import type { EndpointSource } from "../../apiserver/http/endpoints.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { Running } from "../../base/lifecycle.ts";
import { LogLevel } from "../../base/log.ts";
import type { DebuggingDeps } from "./debugging.ts";

export interface DebugEndpoints extends Running {
  /** What is served at the secure port. */
  readonly atPort: readonly EndpointSource[];
}

/** The level that can be set while the server runs; undefined where nobody could. */
export const logLevelFor = ({ operations: { profiling, debugSocketPath } }: ApiServerSettings): LogLevel | undefined =>
  profiling || debugSocketPath !== undefined ? new LogLevel() : undefined;

/** Throws CommandError. */
export async function openDebugEndpoints({ operations }: ApiServerSettings, deps: DebuggingDeps): Promise<DebugEndpoints> {
  const { openDebugging } = await import("./debugging.ts");
  const { endpoints, stop } = await openDebugging(deps, operations.debugSocketPath);
  return { atPort: operations.profiling ? [endpoints] : [], stop };
}
