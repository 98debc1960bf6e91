// What has happened to containers, from the events that every containerd has, for those whose CRI does not tell (before 1.7): a
// container or sandbox whose first process has ended. CRI learns it from the same events, so an event is handed on when CRI shows
// the end too. Everything else that happens to a pod is done by the kubelet itself.
import type { Clock } from "../base/clock.ts";
import { connectRpc, type RpcConnectionOptions } from "../rpc/client.ts";
import { createCodecs } from "../rpc/protobuf.ts";
import type { CallOptions, ProtocolTable } from "../rpc/protocol.ts";
import { isRpcError } from "../rpc/rpc-error.ts";
import type { CriConnection, CriRuntime } from "./cri.ts";
import type { ContainerEventResponse } from "./generated/runtime-v1.ts";
import { criOver } from "./grpc-runtime.ts";

/** Of containerd.services.events.v1 what is used here. */
export const containerdEventsV1: ProtocolTable = {
  package: "containerd.services.events.v1",
  services: { Events: { Subscribe: "SubscribeRequest -> stream Envelope" } },
  enums: {},
  messages: {
    SubscribeRequest: "1 filters string[]",
    Envelope: "2 namespace string; 3 topic string; 4 event Any",
    Any: "1 typeUrl string; 2 value bytes",
    TaskExit: "1 containerId string; 2 id string",
  },
};

export interface EventsService {
  subscribe(request: { readonly filters: readonly string[] }, options?: CallOptions): AsyncIterable<Envelope>;
}

interface Envelope {
  readonly topic: string;
  readonly event?: { readonly typeUrl: string; readonly value: Uint8Array };
}

interface TaskExit {
  readonly containerId: string;
  readonly id: string;
}

export interface ContainerdEventsDependencies {
  readonly runtime: CriRuntime;
  readonly events: EventsService;
  readonly clock: Clock;
}

const firstLookMs = 5;
/** CRI may have been told late; whoever listens looks for itself anyway, in time. */
const lastLookMs = 640;
const taskExit = createCodecs(containerdEventsV1).of<TaskExit>("TaskExit");

/** To a containerd's CRI, as connectCri() does, with events whatever its version. */
export function connectContainerd(options: RpcConnectionOptions, clock: Clock): CriConnection {
  const connection = connectRpc(options);
  const cri = criOver(connection);
  const events = connection.service<EventsService>(containerdEventsV1, "Events");
  return { ...cri, getContainerEvents: withContainerEvents({ runtime: cri, events, clock }) };
}

/** CRI's own events where it has them, else what containerd says. */
export function withContainerEvents(deps: ContainerdEventsDependencies): CriRuntime["getContainerEvents"] {
  return async function* (request, options) {
    try {
      yield* deps.runtime.getContainerEvents(request, options);
      return;
    } catch (error) {
      if (!isRpcError(error, "UNIMPLEMENTED")) throw error;
    }
    yield* endsOf(deps, options);
  };
}

async function* endsOf(deps: ContainerdEventsDependencies, options: CallOptions = {}): AsyncGenerator<ContainerEventResponse> {
  const envelopes = deps.events.subscribe({ filters: ['namespace=="k8s.io",topic=="/tasks/exit"'] }, options);
  // Of no pod: it only says that from now on ends are told.
  yield eventOf("");
  for await (const { event } of envelopes) {
    if (!event) continue;
    const { containerId, id } = taskExit.decode(event.value);
    // Also commands in containers end.
    if (containerId !== id) continue;
    const labels = await labelsOfEnded(deps, id);
    if (labels) yield eventOf(id, labels);
  }
}

/** Once CRI shows the end; undefined for what it does not know, or no longer. */
async function labelsOfEnded(
  { runtime, clock }: ContainerdEventsDependencies,
  id: string,
): Promise<Readonly<Record<string, string>> | undefined> {
  for (let pauseMs = firstLookMs; ; pauseMs *= 2) {
    const seen = (await ended(runtime, id)) ?? { over: true, labels: undefined };
    if (seen.over || pauseMs > lastLookMs) return seen.labels;
    await clock.sleep(pauseMs);
  }
}

async function ended(
  runtime: CriRuntime,
  id: string,
): Promise<{ readonly over: boolean; readonly labels: Readonly<Record<string, string>> } | undefined> {
  const container = await known(runtime.containerStatus({ containerId: id }));
  if (container?.status) return { over: container.status.state !== "CONTAINER_RUNNING", labels: container.status.labels };
  const sandbox = await known(runtime.podSandboxStatus({ podSandboxId: id }));
  if (sandbox?.status) return { over: sandbox.status.state !== "SANDBOX_READY", labels: sandbox.status.labels };
  return undefined;
}

async function known<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isRpcError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

function eventOf(containerId: string, labels?: Readonly<Record<string, string>>): ContainerEventResponse {
  const event = { containerId, containerEventType: "CONTAINER_STOPPED_EVENT", createdAt: 0n, containersStatuses: [] } as const;
  return labels ? { ...event, podSandboxStatus: { ...nothing, labels } } : event;
}

const nothing = { id: "", state: "SANDBOX_NOTREADY", createdAt: 0n, annotations: {}, runtimeHandler: "" } as const;
