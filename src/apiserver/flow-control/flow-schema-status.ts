// Keeps the condition Dangling of every flow schema: whether the priority level it refers to exists. Follows both kinds by
// the server's own caches; each schema is a key of a queue, so that a failed write is tried again with back-off. Servers that
// disagree about a schema (as while they are upgraded) must not write for ever what the others write back: each writes a schema
// six times a minute at most, as upstream's do.
import { isStatus } from "../../api/meta/status-error.ts";
import { flowschemas, prioritylevelconfigurations } from "../../api/resources.generated.ts";
import type { FlowSchema, FlowSchemaCondition } from "../../api/types/flowcontrol-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import type { AdmissionReader } from "../admission/admission.ts";

export interface FlowSchemaStatusDeps {
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
  readonly reader: AdmissionReader;
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

const fieldManager = "api-priority-and-fairness-config-consumer-v1";
const backoff = { baseMs: 100, maxMs: 30_000 };
const minuteMs = 60_000;
const writesPerMinute = 6;
/** A schema that has been written too often waits so long, and up to `spreadMs` more. */
const pauseMs = 30_000;
const spreadMs = 45_000;

export function startFlowSchemaStatus({ reader, client, clock, logger, queues }: FlowSchemaStatusDeps): Running {
  const schemas = reader.informer(flowschemas);
  const levels = reader.informer(prioritylevelconfigurations);
  /** When each schema was written within the last minute. */
  const written = new Map<string, readonly number[]>();
  const work = async (name: string, signal: AbortSignal): Promise<KeyOutcome> => {
    const schema = schemas.get(name);
    if (!schema) written.delete(name);
    const condition = schema && danglingCondition(schema, levels.get(levelOf(schema)) !== undefined, clock.now());
    if (!condition) return { kind: "done" };
    const nowMs = clock.monotonic();
    const recently = (written.get(name) ?? []).filter((atMs) => nowMs - atMs <= minuteMs);
    if (recently.length >= writesPerMinute) return { kind: "after", delayMs: pauseMs + clock.random() * spreadMs };
    written.set(name, [...recently, nowMs]);
    const { apiVersion, kind } = schema;
    const applied = { apiVersion, kind, metadata: { name }, status: { conditions: [condition] } };
    try {
      await client.patch(flowschemas, { name }, applied, { type: "apply", subresource: "status", force: true, signal, fieldManager });
      return { kind: "done" };
    } catch (error) {
      // The cache is behind: the event that is on its way brings the schema back here, and so does the back-off.
      if (!isStatus(error, "Conflict", "NotFound")) logger.warn("Status of a flow schema not written", { flowSchema: name, error });
      return { kind: "retry" };
    }
  };
  const name = "priority_and_fairness_config_queue";
  const metrics = queues?.hooks(name);
  const queue = new KeyedQueue({ clock, work, backoff, ...(metrics ? { metrics } : {}) });
  queues?.measure(name, queue);
  const add = ({ metadata }: FlowSchema): void => queue.add(metadata.name);
  const addReferring = (level: string): void => {
    for (const schema of schemas.list()) if (levelOf(schema) === level) add(schema);
  };
  const handlers = [
    schemas.addHandler({ onAdd: add, onUpdate: add }),
    levels.addHandler({ onAdd: (level) => addReferring(level.metadata.name), onDelete: (level) => addReferring(level.metadata.name) }),
  ];
  schemas.start();
  levels.start();
  void Promise.all([schemas.synced(), levels.synced()]).then(
    () => queue.start(),
    // The caches stop with the server.
    () => undefined,
  );
  return {
    async stop() {
      for (const handler of handlers) handler.remove();
      await queue.stop();
    },
  };
}

const levelOf = ({ spec }: FlowSchema): string => spec.priorityLevelConfiguration.name;

/** The condition as it should be; undefined where the schema has it already. */
export function danglingCondition(schema: FlowSchema, levelExists: boolean, nowMs: number): FlowSchemaCondition | undefined {
  const wanted = {
    type: "Dangling",
    status: levelExists ? "False" : "True",
    reason: levelExists ? "Found" : "NotFound",
    message: `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(levelOf(schema))} ${levelExists ? "and it exists" : "but there is no such object"}`,
  };
  const found = schema.status?.conditions?.find(({ type }) => type === wanted.type);
  if (found?.status === wanted.status && found.reason === wanted.reason && found.message === wanted.message) return undefined;
  const lastTransitionTime = found?.status === wanted.status ? found.lastTransitionTime : undefined;
  return { ...wanted, lastTransitionTime: lastTransitionTime ?? formatTime(nowMs) };
}
