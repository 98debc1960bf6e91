// Controllers under test: over an API in memory and a virtual clock, with every cached object frozen.
import { keyOf } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { events } from "../api/resources.generated.ts";
import type { Event } from "../api/types/core-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import { createLogger, type Logger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create-client.ts";
import { createEventRecorder, type RunningEventRecorder } from "../client/event-recorder.ts";
import type { InformerFactory } from "../client/informer.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { Controller } from "../controllers/controller.ts";
import { ControllerMetrics } from "../controllers/controller-metrics.ts";
import type { ControllerOptions } from "../controllers/controller-options.ts";
import { startController } from "../controllers/start-controllers.ts";
import { createFakeApi, type FakeApi } from "./fake-api.ts";

export interface ControllerFixture extends AsyncDisposable {
  readonly api: FakeApi;
  readonly client: Client;
  readonly clock: VirtualClock;
  readonly informers: InformerFactory;
  readonly recorder: RunningEventRecorder;
  /** Warnings and errors that were logged. */
  readonly problems: readonly string[];
  /** What /metrics would tell. */
  figures(): string;
  start(...controllers: Controller[]): void;
  /** Lets a little time pass, in which all loops do what they have to. */
  settle(): Promise<void>;
  /** "Reason: message" of the events about an object, in order of their names, each with its count where that is not 1. */
  eventsOf(name: string): Promise<readonly string[]>;
}

/** `served`: resources besides those that are on by default. */
export function createControllerFixture(options: ControllerOptions = {}, served: readonly ResourceType[] = []): ControllerFixture {
  const clock = new VirtualClock();
  const api = createFakeApi(clock, served);
  const client = createClient(api);
  const problems: string[] = [];
  const logger: Logger = createLogger("test", { write: (line) => void (/^[WE]/.test(line) && problems.push(line)) });
  const informers = createInformerFactory(client, { clock, logger, deepFreeze: true });
  const recorder = createEventRecorder({ client, clock, logger, component: "test" });
  const registry = new MetricsRegistry();
  const metrics = new ControllerMetrics(registry);
  const running: { stop(): Promise<void> }[] = [];
  return {
    api,
    client,
    clock,
    informers,
    recorder,
    problems,
    figures: () => registry.text(),
    start(...controllers) {
      for (const controller of controllers)
        running.push(startController(controller, { client, informers, clock, recorder, logger, metrics }, options));
    },
    async settle() {
      // Several short stretches: a change that one loop makes reaches the next one through a watch.
      for (let i = 0; i < 10; i++) await clock.advance(20);
    },
    async eventsOf(name) {
      await recorder.flushed();
      const list = await client.list(events);
      const about = list.items.filter((event: Event) => event.involvedObject.name === name);
      about.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
      return about.map((event) => `${event.reason}: ${event.message}${event.count === 1 ? "" : ` (${event.count})`}`);
    },
    async [Symbol.asyncDispose]() {
      const stops = [...running, recorder, informers].map((part) => part.stop());
      await clock.advance(10_000);
      await Promise.all(stops);
      await api.close();
    },
  };
}
