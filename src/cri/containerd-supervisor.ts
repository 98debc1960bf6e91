// Starting a containerd process and keeping it there: waits until its CRI answers, and starts it again with growing pauses when
// it ends.
import type { Clock } from "../base/clock.ts";
import { errorText, type Logger } from "../base/log.ts";
import { isRunning } from "../linux/processes.ts";
import type { ContainerdPaths } from "./containerd-paths.ts";
import { type ContainerdProcess, endContainerd, logTail, spawnContainerd } from "./containerd-process.ts";
import { connectCri } from "./grpc-runtime.ts";

export interface ContainerdLaunch {
  readonly binary: string;
  readonly configText: string;
  readonly paths: ContainerdPaths;
  readonly clock: Clock;
  /** How long it may take until CRI answers. */
  readonly timeoutMs: number;
}

export interface ContainerdSupervisor {
  /** Ends supervision and gives the process that was last started, which goes on. */
  stop(): Promise<ContainerdProcess>;
}

const firstBackoffMs = 500;
const maxBackoffMs = 30_000;
/** A process that lived this long has its next failure treated as its first. */
const healthyAfterMs = 60_000;

/** Resolves when CRI answers; ends the process and throws when it does not. */
export async function launchContainerd({ binary, configText, paths, clock, timeoutMs }: ContainerdLaunch): Promise<ContainerdProcess> {
  const started = await spawnContainerd(binary, configText, paths);
  try {
    await waitUntilServing(started, paths, clock, timeoutMs);
  } catch (error) {
    await endContainerd(started, paths, clock);
    throw error;
  }
  started.release();
  return started;
}

/** Calls `launch` whenever the process has ended. */
export function superviseContainerd(
  first: ContainerdProcess,
  launch: () => Promise<ContainerdProcess>,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): ContainerdSupervisor {
  const abort = new AbortController();
  const { signal } = abort;
  let current = first;
  const supervise = async (): Promise<void> => {
    let backoffMs = firstBackoffMs;
    while (!signal.aborted) {
      const startedAt = clock.monotonic();
      await current.exited(signal);
      if (clock.monotonic() - startedAt > healthyAfterMs) backoffMs = firstBackoffMs;
      if (!signal.aborted) log.error("containerd ended and is started again", { afterMs: backoffMs, pid: current.identity.pid });
      await clock.sleep(backoffMs, signal).catch(() => undefined); // stopping: the next line sees it
      backoffMs = Math.min(backoffMs * 2, maxBackoffMs);
      if (signal.aborted) return;
      try {
        current = await launch();
      } catch (error) {
        log.error("Starting containerd failed", { error });
      }
    }
  };
  const supervising = supervise();
  return {
    async stop() {
      abort.abort();
      await supervising;
      return current;
    },
  };
}

/** CRI answers UNKNOWN until it has recovered its containers, and there is no socket before that. */
export async function waitUntilServing(process: ContainerdProcess, paths: ContainerdPaths, clock: Clock, timeoutMs: number): Promise<void> {
  const deadline = clock.monotonic() + timeoutMs;
  for (;;) {
    const failure = await probe(paths.endpoint);
    if (failure === undefined) return;
    if (!(await isRunning(process.identity))) throw new Error(`containerd ended during its start: ${await logTail(paths)}`);
    if (clock.monotonic() > deadline)
      throw new Error(`containerd does not serve CRI after ${timeoutMs} ms (log: ${paths.log}): ${errorText(failure)}`);
    await clock.sleep(15);
  }
}

/** A connection of its own each time: one that has failed waits before it tries again. */
async function probe(endpoint: string): Promise<unknown> {
  const runtime = connectCri({ endpoint, timeoutMs: 2000 });
  try {
    await runtime.version({});
    return undefined;
  } catch (error) {
    return error;
  } finally {
    runtime.close();
  }
}
