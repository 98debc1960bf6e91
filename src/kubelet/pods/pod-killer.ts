// Stops containers and pods: the preStop hook, the signal and the grace period, sidecars after the containers they serve
// and in reverse order, the sandbox last. What stopping one container costs is taken off its grace period.
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { isRpcError } from "../../rpc/rpc-error.ts";
import type { HttpGet } from "../probes/http.ts";
import { containerReference, podReference } from "../references.ts";
import type { RuntimeContainer, RuntimePod } from "../runtime/runtime-pod.ts";
import { runHook } from "./lifecycle-hooks.ts";
import type { KillReason } from "./pod-actions.ts";
import { findContainer, isSidecar, podText } from "./pod-spec.ts";
import { runtimeErrorText } from "./start-error.ts";

export interface PodKillerDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly httpGet: HttpGet;
}

export interface KillContainerOptions {
  readonly pod: Pod;
  readonly container: Container;
  readonly id: string;
  /** Of the event; default "Stopping container x". */
  readonly message?: string;
  readonly reason?: KillReason;
  readonly graceSeconds?: number;
  readonly podIP: string;
  /** Resolves when it is this container's turn. */
  readonly turn?: Promise<unknown>;
  readonly signal?: AbortSignal;
}

const minimumGraceSeconds = 2;
/** Beyond the grace period, for the runtime to do its work. */
const stopMarginMs = 120_000;

/** How long a container is given to end, in seconds. */
export function graceSeconds(pod: Pod, container: Container, reason: KillReason = ""): number {
  if (pod.metadata.deletionGracePeriodSeconds !== undefined) return pod.metadata.deletionGracePeriodSeconds;
  const probe = reason === "StartupProbe" ? container.startupProbe : reason === "LivenessProbe" ? container.livenessProbe : undefined;
  return probe?.terminationGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? minimumGraceSeconds;
}

export class PodKiller {
  readonly #deps: PodKillerDependencies;

  constructor(deps: PodKillerDependencies) {
    this.#deps = deps;
  }

  /** Resolves when the container has ended. */
  async killContainer(options: KillContainerOptions): Promise<void> {
    const { pod, container, id, signal } = options;
    const { clock, recorder, cri } = this.#deps;
    const message = options.message ?? `Stopping container ${container.name}`;
    recorder.record(containerReference(pod, container.name), { type: "Normal", reason: "Killing", message });
    const startedMs = clock.monotonic();
    const grace = options.graceSeconds ?? graceSeconds(pod, container, options.reason);
    const leftMs = (): number => grace * 1000 - (clock.monotonic() - startedMs);
    if (container.lifecycle?.preStop && grace > 0) await this.#preStop(options, leftMs());
    if (options.turn && leftMs() > 0) await this.#within(leftMs(), options.turn, signal);
    const least = options.reason === "RestartAllContainers" ? 0 : minimumGraceSeconds;
    const timeout = Math.max(least, Math.ceil(leftMs() / 1000));
    try {
      await cri.stopContainer({ containerId: id, timeout }, { timeoutMs: timeout * 1000 + stopMarginMs, ...(signal ? { signal } : {}) });
    } catch (error) {
      if (!isRpcError(error, "NOT_FOUND")) throw error;
    }
  }

  /** Stops everything of the pod that runs. `graceSeconds` overrides what the pod says. */
  async killPod(
    pod: Pod,
    runtime: RuntimePod,
    {
      graceSeconds: override,
      signal,
      podIP = "",
    }: { readonly graceSeconds?: number; readonly signal?: AbortSignal; readonly podIP?: string } = {},
  ): Promise<void> {
    const running = runtime.containers.filter((c) => c.state === "running" || c.state === "unknown");
    const ended = new Map<string, Promise<void>>();
    const stop = (instance: RuntimeContainer, turn: Promise<unknown> | undefined): Promise<void> => {
      const container = findContainer(pod.spec, instance.name) ?? { name: instance.name };
      return this.killContainer({
        pod,
        container,
        id: instance.id,
        podIP,
        ...(override === undefined ? {} : { graceSeconds: override }),
        ...(turn ? { turn } : {}),
        ...(signal ? { signal } : {}),
      });
    };
    const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar).reverse();
    for (const instance of running) if (!sidecars.some((s) => s.name === instance.name)) ended.set(instance.id, stop(instance, undefined));
    for (const { name } of sidecars) {
      const instance = running.find((c) => c.name === name);
      if (instance) ended.set(instance.id, stop(instance, Promise.allSettled([...ended.values()])));
    }
    const results = await Promise.allSettled(ended.values());
    const failures = results.flatMap((r) => (r.status === "rejected" ? [r.reason as unknown] : []));
    for (const sandbox of runtime.sandboxes) {
      try {
        await this.#deps.cri.stopPodSandbox({ podSandboxId: sandbox.id }, signal ? { signal } : {});
      } catch (error) {
        if (!isRpcError(error, "NOT_FOUND")) failures.push(error);
      }
    }
    signal?.throwIfAborted();
    if (failures.length > 0) {
      const text = failures.map(runtimeErrorText).join(", ");
      this.#deps.recorder.record(podReference(pod), { type: "Warning", reason: "FailedKillPod", message: `error killing pod: ${text}` });
      throw new AggregateError(failures, `killing pod ${podText(pod)}: ${text}`);
    }
  }

  async #preStop({ pod, container, id, podIP, signal }: KillContainerOptions, leftMs: number): Promise<void> {
    const { recorder, logger } = this.#deps;
    const handler = container.lifecycle?.preStop;
    if (!handler) return;
    const hook = runHook(this.#deps, { pod, container, containerId: id, podIP, handler, ...(signal ? { signal } : {}) }).catch(
      (error: unknown) => {
        if (signal?.aborted) return;
        logger.warn("PreStop hook failed", { pod: podText(pod), container: container.name, error: (error as Error).message });
        // Without its text, which may hold secrets of the hook.
        recorder.record(containerReference(pod, container.name), {
          type: "Warning",
          reason: "FailedPreStopHook",
          message: "PreStopHook failed",
        });
      },
    );
    await this.#within(leftMs, hook, signal);
  }

  /** Waits for something, but not longer than this. */
  async #within(delayMs: number, wait: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
    const enough = new AbortController();
    const limit = this.#deps.clock.sleep(delayMs, signal ? AbortSignal.any([enough.signal, signal]) : enough.signal);
    try {
      await Promise.race([wait, limit]);
    } finally {
      limit.catch(() => undefined);
      enough.abort();
    }
    signal?.throwIfAborted();
  }
}
