// A CRI runtime without containers: sandboxes with addresses of a network within the process, containers whose programs are
// functions of this process, logs in real files, all on the injected clock. For tests, for many nodes in one process, and for
// machines on which no container can run. What it consists of lies in simulated/.
import type { Clock } from "../base/clock.ts";
import { callInProcess } from "../rpc/in-process.ts";
import type { Input } from "../rpc/protocol.ts";
import { RpcError } from "../rpc/rpc-error.ts";
import type { ServedService } from "../rpc/server.ts";
import { type CriRuntime, criTime } from "./cri.ts";
import {
  type ContainerStats,
  type ImageService,
  type ImageServiceHandlers,
  type RuntimeService,
  type RuntimeServiceHandlers,
  runtimeV1,
} from "./generated/runtime-v1.ts";
import type { SimulatedContainer } from "./simulated/container.ts";
import type { ExecResult } from "./simulated/process.ts";
import type { SimulatedUsage } from "./simulated/programs.ts";
import { containerStatus, type Sandbox, type SimulatedRuntimeOptions, SimulatedState, sandboxStatus } from "./simulated/state.ts";

export type { ExecResult, SimulatedProcess } from "./simulated/process.ts";
export type { ImageBehaviour, SimulatedUsage } from "./simulated/programs.ts";
export type { SimulatedRuntimeOptions } from "./simulated/state.ts";

export interface SimulatedRuntime extends CriRuntime {
  /** Ends a container as if its program had exited. Throws when no such container runs. */
  exitContainer(containerId: string, exitCode: number): void;
  /** What a container uses from now on; what it does not name stays. */
  setUsage(containerId: string, usage: Partial<SimulatedUsage>): void;
  /** The same runtime as services for serveRpc. */
  readonly services: readonly ServedService[];
}

const runtimeName = "simulated";
/** As much as other runtimes keep of a command's output, in characters. */
const maxExecOutput = 16 * 1024 * 1024;

export function createSimulatedRuntime(options: SimulatedRuntimeOptions): SimulatedRuntime {
  const state = new SimulatedState(options);
  const runtimeHandlers: RuntimeServiceHandlers = withHook(runtimeServiceHandlers(state), options.beforeCall);
  const imageHandlers: ImageServiceHandlers = state.images.handlers;
  const services = [
    { protocol: runtimeV1, service: "RuntimeService", handlers: runtimeHandlers },
    { protocol: runtimeV1, service: "ImageService", handlers: imageHandlers },
  ] as const;
  return {
    ...callInProcess<RuntimeService>(services[0], options),
    ...callInProcess<ImageService>(services[1], options),
    services,
    exitContainer(containerId, exitCode) {
      const container = state.container(containerId);
      if (container.state !== "CONTAINER_RUNNING") throw new Error(`container ${containerId} is not running`);
      container.exit(exitCode);
    },
    setUsage(containerId, usage) {
      const container = state.container(containerId);
      container.usage = { ...container.usage, ...usage };
    },
  };
}

function runtimeServiceHandlers(state: SimulatedState): RuntimeServiceHandlers {
  return {
    version: async () => ({ version: "0.1.0", runtimeName, runtimeVersion: "1.0.0", runtimeApiVersion: "v1" }),
    status: async () => ({
      status: {
        conditions: [
          { type: "RuntimeReady", status: true },
          { type: "NetworkReady", status: true },
        ],
      },
      runtimeHandlers: [{ name: "", features: {} }],
      features: {},
    }),
    runtimeConfig: async () => ({ linux: { cgroupDriver: "CGROUPFS" } }),
    updateRuntimeConfig: async ({ runtimeConfig }) => {
      const cidrs = runtimeConfig?.networkConfig?.podCidr ?? "";
      if (cidrs !== "") state.usePodCidrs(cidrs.split(","));
      return {};
    },
    ...sandboxHandlers(state),
    ...containerHandlers(state),
    ...statsHandlers(state),
    ...streamHandlers(state),
    getContainerEvents: (_, { signal }) => state.events.read(signal),
  };
}

function sandboxHandlers(state: SimulatedState): RuntimeServiceHandlers {
  return {
    runPodSandbox: async ({ config, runtimeHandler }) => {
      if (!config?.metadata) throw new RpcError("INVALID_ARGUMENT", "sandbox config must include metadata");
      return { podSandboxId: state.runSandbox(config, runtimeHandler).id };
    },
    stopPodSandbox: async ({ podSandboxId }) => {
      await state.stopSandbox(podSandboxId);
      return {};
    },
    removePodSandbox: async ({ podSandboxId }) => {
      await state.removeSandbox(podSandboxId);
      return {};
    },
    podSandboxStatus: async ({ podSandboxId }) => ({
      status: sandboxStatus(state.sandbox(podSandboxId)),
      containersStatuses: state.containersOf(podSandboxId).map(containerStatus),
      timestamp: criTime(state.clock.now()),
    }),
    listPodSandbox: async ({ filter }) => {
      const items = [...state.sandboxes.values()].filter(
        (sandbox) =>
          matchesId(sandbox.id, filter?.id) &&
          (!filter?.state || filter.state.state === sandbox.state) &&
          matchesLabels(sandbox.config.labels, filter?.labelSelector),
      );
      return { items: items.map(sandboxStatus) };
    },
    updatePodSandboxResources: async ({ podSandboxId }) => {
      state.sandbox(podSandboxId);
      return {};
    },
  };
}

function containerHandlers(state: SimulatedState): RuntimeServiceHandlers {
  return {
    createContainer: async ({ podSandboxId, config, sandboxConfig }, { signal }) => {
      if (!config?.metadata) throw new RpcError("INVALID_ARGUMENT", "container config must include metadata");
      await state.stages.pass("create", state.behaviourOf(config.image?.image ?? ""), {
        what: `container ${config.metadata.name}`,
        signal,
      });
      return { containerId: state.createContainer(podSandboxId, config, sandboxConfig?.logDirectory ?? "").id };
    },
    startContainer: async ({ containerId }, { signal }) => {
      const container = state.container(containerId);
      await state.stages.pass("start", container.behaviour, { what: `container ${container.config.metadata?.name ?? ""}`, signal });
      if (container.state !== "CONTAINER_CREATED") throw new RpcError("UNKNOWN", `container is in ${container.state} state`);
      container.start();
      state.emit("CONTAINER_STARTED_EVENT", containerId, container.sandboxId);
      return {};
    },
    stopContainer: async ({ containerId, timeout }) => {
      await state.container(containerId).stop(timeout * 1000);
      return {};
    },
    removeContainer: async ({ containerId }) => {
      await state.removeContainer(containerId);
      return {};
    },
    listContainers: async ({ filter }) => {
      const containers = [...state.containers.values()].filter(
        (container) =>
          matchesId(container.id, filter?.id) &&
          matchesId(container.sandboxId, filter?.podSandboxId) &&
          (!filter?.state || filter.state.state === container.state) &&
          matchesLabels(container.config.labels, filter?.labelSelector),
      );
      return { containers: containers.map((container) => ({ ...containerStatus(container), podSandboxId: container.sandboxId })) };
    },
    containerStatus: async ({ containerId }) => ({ status: containerStatus(state.container(containerId)) }),
    updateContainerResources: async ({ containerId, linux }) => {
      if (linux) state.container(containerId).update(linux);
      return {};
    },
    reopenContainerLog: async ({ containerId }) => {
      state.container(containerId).output.reopen();
      return {};
    },
    execSync: async ({ containerId, cmd, timeout }, { signal }) => {
      const container = state.container(containerId);
      if (container.state !== "CONTAINER_RUNNING") throw new RpcError("UNKNOWN", `container is in ${container.state} state`);
      const result = await within(runToEnd(container, cmd, signal), timeout, { clock: state.clock, signal });
      return { stdout: Buffer.from(result.stdout), stderr: Buffer.from(result.stderr), exitCode: result.exitCode };
    },
  };
}

/** What a command printed. Commands that nobody knows succeed, so that the probes of images without a program do. */
async function runToEnd(container: SimulatedContainer, command: readonly string[], signal: AbortSignal): Promise<Required<ExecResult>> {
  const { run, exec } = container.behaviour;
  if (!run && !exec) return { stdout: "", stderr: "", exitCode: 0 };
  const output = { stdout: "", stderr: "" };
  const decoder = new TextDecoder();
  const write = async (text: string | Uint8Array, stream: "stdout" | "stderr" = "stdout"): Promise<void> => {
    if (output[stream].length < maxExecOutput) output[stream] += typeof text === "string" ? text : decoder.decode(text);
  };
  const exitCode = (await container.exec({ command, stdin: nothing(), tty: false, signal, write })) ?? 0;
  return { ...output, exitCode };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function streamHandlers(state: SimulatedState): RuntimeServiceHandlers {
  const running = (id: string): SimulatedContainer => {
    const container = state.container(id);
    if (container.state !== "CONTAINER_RUNNING") throw new RpcError("UNKNOWN", `container is in ${container.state} state`);
    return container;
  };
  return {
    exec: async ({ containerId, cmd, ...streams }) => {
      const { execSession, commandProtocols } = await import("./simulated/stream-sessions.ts");
      return { url: state.streaming.urlFor("exec", commandProtocols, execSession(running(containerId), cmd, streams)) };
    },
    attach: async ({ containerId, ...streams }) => {
      const { attachSession, commandProtocols } = await import("./simulated/stream-sessions.ts");
      return { url: state.streaming.urlFor("attach", commandProtocols, attachSession(running(containerId), streams)) };
    },
    portForward: async ({ podSandboxId }) => {
      const { portForwardSession, portForwardProtocols } = await import("./simulated/stream-sessions.ts");
      const { id, addresses } = state.sandbox(podSandboxId);
      const session = portForwardSession(state.network, { id, address: addresses[0] ?? "" });
      return { url: state.streaming.urlFor("portforward", portForwardProtocols, session) };
    },
  };
}

function statsHandlers(state: SimulatedState): RuntimeServiceHandlers {
  const running = (): readonly SimulatedContainer[] => [...state.containers.values()].filter((c) => c.state === "CONTAINER_RUNNING");
  const sandboxStats = (sandbox: Sandbox) => ({
    attributes: {
      id: sandbox.id,
      metadata: sandbox.config.metadata,
      labels: sandbox.config.labels,
      annotations: sandbox.config.annotations,
    },
    linux: { containers: running().flatMap((c) => (c.sandboxId === sandbox.id ? [containerStats(c)] : [])) },
  });
  return {
    containerStats: async ({ containerId }) => ({ stats: containerStats(state.container(containerId)) }),
    listContainerStats: async ({ filter }) => ({
      stats: running()
        .filter(
          (c) =>
            matchesId(c.id, filter?.id) &&
            matchesId(c.sandboxId, filter?.podSandboxId) &&
            matchesLabels(c.config.labels, filter?.labelSelector),
        )
        .map(containerStats),
    }),
    podSandboxStats: async ({ podSandboxId }) => ({ stats: sandboxStats(state.sandbox(podSandboxId)) }),
    listPodSandboxStats: async ({ filter }) => ({
      stats: [...state.sandboxes.values()]
        .filter((s) => matchesId(s.id, filter?.id) && matchesLabels(s.config.labels, filter?.labelSelector))
        .map(sandboxStats),
    }),
  };
}

function containerStats(container: SimulatedContainer): Input<ContainerStats> {
  const timestamp = criTime(container.clock.now());
  const { cpuMillicores, memoryBytes, diskBytes = 0, diskInodes = 0 } = container.usage;
  const { id, config } = container;
  return {
    attributes: { id, metadata: config.metadata, labels: config.labels, annotations: config.annotations },
    cpu: { timestamp, usageCoreNanoSeconds: { value: container.cpuNanoseconds() }, usageNanoCores: { value: cpuMillicores * 1_000_000 } },
    memory: { timestamp, workingSetBytes: { value: memoryBytes }, usageBytes: { value: memoryBytes }, rssBytes: { value: memoryBytes } },
    writableLayer: { timestamp, fsId: { mountpoint: "/" }, usedBytes: { value: diskBytes }, inodesUsed: { value: diskInodes } },
  };
}

async function within<T>(work: Promise<T>, seconds: number, { clock, signal }: { clock: Clock; signal: AbortSignal }): Promise<T> {
  if (seconds <= 0) return work;
  const done = new AbortController();
  const limit = clock.sleep(seconds * 1000, AbortSignal.any([signal, done.signal])).then(() => {
    throw new RpcError("DEADLINE_EXCEEDED", `command timed out after ${seconds} s`);
  });
  limit.catch(() => undefined); // observed by the race, or of no interest any more
  try {
    return await Promise.race([work, limit]);
  } finally {
    done.abort();
  }
}

function withHook(handlers: RuntimeServiceHandlers, hook: SimulatedRuntimeOptions["beforeCall"]): RuntimeServiceHandlers {
  if (!hook) return handlers;
  const hooked = Object.entries(handlers).map(([name, handler]) => {
    if (name === "getContainerEvents") return [name, handler];
    const call = handler as (request: object, context: object) => Promise<object>; // all others are unary
    return [
      name,
      async (request: object, context: object) => {
        await hook(name as keyof RuntimeService);
        return call(request, context);
      },
    ];
  });
  return Object.fromEntries(hooked) as RuntimeServiceHandlers;
}

function matchesId(id: string, wanted: string | undefined): boolean {
  return wanted === undefined || wanted === "" || id.startsWith(wanted);
}

function matchesLabels(labels: Readonly<Record<string, string>>, selector: Readonly<Record<string, string>> = {}): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}
