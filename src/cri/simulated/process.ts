// What a simulated program sees of the world: its arguments, environment and files, the clock, its network, its output, and the
// signals that it is sent. A program is a function in this process, so what it does costs what the function costs.
import type { Duplex } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import type { ContainerConfig } from "../generated/runtime-v1.ts";
import type { SimulatedContainer } from "./container.ts";
import type { SimulatedFiles } from "./files.ts";
import { healthListener } from "./grpc-health.ts";
import { fetchOver, type HttpHandler, httpListener } from "./http.ts";

export interface SimulatedPod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** One of each family. */
  readonly addresses: readonly string[];
}

/** What a container is asked to end with. */
export interface StopRequest {
  /** "SIGTERM", or what the image or pod says. */
  readonly signal: string;
  readonly number: number;
  /** It is killed after this time. */
  readonly graceMs: number;
}

/** What a container uses; what is not named stays as it was. */
export interface ResourceUse {
  readonly cpuCores?: number;
  /** Above the container's limit it is killed: exit code 137, OOMKilled. */
  readonly memoryBytes?: number;
  /** Of its own files. */
  readonly diskBytes?: number;
}

/** What answers a gRPC health check for a service; "" asks for the server as a whole. */
export type HealthHandler = (service: string) => "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

/** What a simulated program sees of the container it runs in. */
export interface SimulatedProcess {
  /** As the runtime was given it. */
  readonly config: ContainerConfig;
  /** Command and arguments. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly pod: SimulatedPod;
  /** The cluster's: time passes as it says. */
  readonly clock: Clock;
  /** Aborts when the container is asked to stop, with a StopRequest as its reason, and when it has ended. */
  readonly signal: AbortSignal;
  readonly files: SimulatedFiles;
  /** What attached clients send, where the container has stdin. */
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Writes lines to the container's log. */
  print(text: string, stream?: "stdout" | "stderr"): void;
  /** Waits by the clock; rejects when the container is asked to stop or has ended. */
  sleep(delayMs: number): Promise<void>;
  /** Serves HTTP at the pod's addresses until the container ends. */
  serve(port: number, handler: HttpHandler): void;
  /** Serves gRPC health checks (grpc.health.v1). */
  serveHealth(port: number, handler: HealthHandler): void;
  /** Accepts connections of any other protocol. */
  listen(port: number, accept: (connection: Duplex) => void): void;
  /** A request to a pod's or a service's address, or a service's name. The answer is whole when it resolves. */
  fetch(url: string | URL, init?: RequestInit): Promise<Response>;
  /** A connection within the network. */
  connect(host: string, port: number): Duplex;
  use(resources: ResourceUse): void;
  /**
   * What happens when the container is asked to stop, instead of ending at once: it ends when `handler` is done, with the code
   * that it gives or 0, or is killed after the grace period.
   */
  onStop(handler: (request: StopRequest) => Promise<number | undefined> | Promise<void> | number | undefined): void;
  /** Ends the container. Nothing happens when it has ended. */
  exit(code: number): void;
}

export interface OutputStream {
  /** Lines appear in the log when they are complete. */
  write(text: string): void;
}

/** The container as its program sees it: functions that need no object before them, so that a program may take them apart. */
export function processOf(container: SimulatedContainer): SimulatedProcess {
  const { config, pod, clock, output } = container;
  const decoder = new TextDecoder();
  const listen = (port: number, accept: (connection: Duplex) => void): void => container.listen(port, accept);
  const connect = (host: string, port: number): Duplex => container.connect(host, port);
  return {
    ...{ config, pod, clock, listen, connect },
    args: [...config.command, ...config.args],
    env: Object.fromEntries(config.envs.map(({ key, value }) => [key, decoder.decode(value)])),
    get signal() {
      return container.signal;
    },
    get files() {
      return container.files;
    },
    get stdin() {
      return container.stdin;
    },
    stdout: { write: (text) => output.write(text, "stdout") },
    stderr: { write: (text) => output.write(text, "stderr") },
    print: (text, stream = "stdout") => output.print(text, stream),
    sleep: (delayMs) => clock.sleep(delayMs, container.signal),
    serve: (port, handler) =>
      listen(
        port,
        httpListener(handler, (error) => container.printError(error)),
      ),
    serveHealth: (port, handler) => listen(port, healthListener(handler)),
    fetch: (url, init = {}) => fetchOver(connect, url, { signal: container.signal, ...init }),
    use: (resources) => container.use(resources),
    onStop: (handler) => container.onStop(handler),
    exit: (code) => container.exit(code),
  };
}

/** A command that is run in a container: `kubectl exec`, exec probes, hooks. */
export interface ExecSession {
  readonly command: readonly string[];
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Whether there is a terminal: then what is typed has to be echoed, and stderr is stdout. */
  readonly tty: boolean;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
  /** Resolves when there is room for more. */
  write(output: string | Uint8Array, stream?: "stdout" | "stderr"): Promise<void>;
}

export interface ExecResult {
  readonly stdout?: string;
  readonly stderr?: string;
  /** Default 0. */
  readonly exitCode?: number;
}

/** Undefined leaves the command to what every simulated container has: cat, echo, env, ls, tar and the like. */
export type ExecAnswer = ExecResult | number | undefined;
