// Removes dead containers and sandboxes once a minute, and at once everything that can be spared when the disk is short.
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import { type CriRuntime, criTimeMs } from "../../cri/cri.ts";
import { nodeReference } from "../references.ts";
import { ignoringGone, removeLogs } from "../runtime/dead-containers.ts";
import { label } from "../runtime/labels.ts";
import {
  deadContainers,
  deadSandboxes,
  defaultContainerPolicy,
  type GarbageContainer,
  type GarbageSandbox,
  type PodPresence,
} from "./container-garbage.ts";

export interface ContainerCollectorDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly nodeName: string;
  readonly presence: (podUid: string) => PodPresence;
}

const periodMs = 60_000;
const callTimeoutMs = 120_000;

export class ContainerCollector implements Running {
  readonly #deps: ContainerCollectorDependencies;
  readonly #abort = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(deps: ContainerCollectorDependencies) {
    this.#deps = deps;
  }

  start(): void {
    this.#running = this.#run(this.#abort.signal);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  /** One round. `evenOfEnded`: also the containers of pods that have ended, whose logs are lost with them. */
  async collect({ evenOfEnded = false }: { readonly evenOfEnded?: boolean } = {}, signal: AbortSignal = this.#abort.signal): Promise<void> {
    const { cri, clock, presence } = this.#deps;
    const call = { signal, timeoutMs: callTimeoutMs };
    const containers = await this.#containers(signal);
    const about = { presence, evenOfEnded };
    const removed = deadContainers({ containers, ...about, policy: defaultContainerPolicy, nowMs: clock.now() });
    const failures: unknown[] = [];
    const left = new Set(containers);
    for (const container of removed) {
      try {
        await this.#remove(container, signal);
        left.delete(container);
      } catch (error) {
        if (signal.aborted) throw error;
        failures.push(error);
      }
    }
    for (const { id } of deadSandboxes(await this.#sandboxes(signal), [...left], about)) {
      await ignoringGone(() => cri.stopPodSandbox({ podSandboxId: id }, call));
      await ignoringGone(() => cri.removePodSandbox({ podSandboxId: id }, call));
    }
    if (failures.length > 0) throw new AggregateError(failures, `removing dead containers: ${failures.map(errorText).join(", ")}`);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger, recorder, nodeName } = this.#deps;
    while (!signal.aborted) {
      await clock.sleep(periodMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.collect();
      } catch (error) {
        if (signal.aborted) return;
        logger.error("Container garbage collection failed", { error });
        recorder.record(nodeReference(nodeName), { type: "Warning", reason: "ContainerGCFailed", message: errorText(error) });
      }
    }
  }

  async #remove({ id }: GarbageContainer, signal: AbortSignal): Promise<void> {
    const { cri } = this.#deps;
    const call = { signal, timeoutMs: callTimeoutMs };
    await ignoringGone(async () => {
      const { status } = await cri.containerStatus({ containerId: id }, call);
      // Nobody knows whether it runs: it must not, before it is removed.
      if (status?.state === "CONTAINER_UNKNOWN") await cri.stopContainer({ containerId: id, timeout: 2 }, call);
      await cri.removeContainer({ containerId: id }, call);
      await removeLogs(status?.logPath ?? "");
    });
  }

  async #containers(signal: AbortSignal): Promise<readonly GarbageContainer[]> {
    const { containers } = await this.#deps.cri.listContainers({}, { signal, timeoutMs: callTimeoutMs });
    return containers.flatMap(({ id, labels, podSandboxId, createdAt, state }) => {
      const [podUid, name] = [labels[label.podUid], labels[label.containerName]];
      if (podUid === undefined || name === undefined) return [];
      const running = state === "CONTAINER_RUNNING";
      return [{ id, podUid, name, sandboxId: podSandboxId, createdAtMs: criTimeMs(createdAt), running }];
    });
  }

  async #sandboxes(signal: AbortSignal): Promise<readonly GarbageSandbox[]> {
    const { items } = await this.#deps.cri.listPodSandbox({}, { signal, timeoutMs: callTimeoutMs });
    return items.flatMap(({ id, labels, createdAt, state }) => {
      const podUid = labels[label.podUid];
      return podUid === undefined ? [] : [{ id, podUid, createdAtMs: criTimeMs(createdAt), ready: state === "SANDBOX_READY" }];
    });
  }
}
