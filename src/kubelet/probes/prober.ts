// Runs one probe of a container once: a command, an HTTP request, a TCP connection or a gRPC health check, and says whether
// it succeeded, with the texts upstream puts into events.
import { connect } from "node:net";
import type { Container, Probe } from "../../api/types/core-v1.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { Dial } from "../../rpc/dial.ts";
import { dialErrorText } from "../../rpc/dial-error.ts";
import { isRpcError } from "../../rpc/rpc-error.ts";
import { goDuration } from "../configuration/duration.ts";
import { grpcHealth } from "./grpc-health.ts";
import { containerPort, type HttpGet } from "./http.ts";

export interface ProbeOutcome {
  readonly result: "success" | "warning" | "failure";
  readonly output: string;
}

export interface ProbeTarget {
  readonly container: Container;
  readonly containerId: string;
  readonly podIP: string;
}

/** Resolves with what the probe found; rejects when it could not be made at all. */
export type RunProbe = (probe: Probe, target: ProbeTarget) => Promise<ProbeOutcome>;

export interface ProberDependencies {
  readonly cri: CriRuntime;
  readonly httpGet: HttpGet;
  /** Of pods that are simulated in this process. */
  readonly dial?: Dial | undefined;
}

export function createProber(deps: ProberDependencies): RunProbe {
  return async (probe, target) => {
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
    const { container, podIP } = target;
    if (probe.exec) return await probeExec(deps.cri, probe.exec.command ?? [], target.containerId, timeoutMs);
    if (probe.httpGet) {
      const { host, port } = probe.httpGet;
      const at = { host: host || podIP, port: containerPort(port, container) };
      return await probeHttp(deps.httpGet, { ...at, action: probe.httpGet, timeoutMs, userAgent: "kube-probe" });
    }
    const { tcpSocket, grpc } = probe;
    if (tcpSocket) return await probeTcp(tcpSocket.host || podIP, containerPort(tcpSocket.port, container), { timeoutMs, dial: deps.dial });
    if (grpc) return await grpcHealth({ host: podIP, port: grpc.port, service: grpc.service ?? "", timeoutMs, dial: deps.dial });
    throw new Error(`missing probe handler for container ${container.name}`);
  };
}

const maxOutput = 10 * 1024;

async function probeExec(cri: CriRuntime, cmd: readonly string[], containerId: string, timeoutMs: number): Promise<ProbeOutcome> {
  try {
    // The runtime ends the command at its timeout; the call itself is given a little longer.
    const answer = await cri.execSync({ containerId, cmd, timeout: Math.ceil(timeoutMs / 1000) }, { timeoutMs: timeoutMs + 2_000 });
    const output = Buffer.concat([answer.stdout, answer.stderr]).toString("utf8").slice(0, maxOutput);
    return { result: answer.exitCode === 0 ? "success" : "failure", output };
  } catch (error) {
    if (!isRpcError(error, "DEADLINE_EXCEEDED")) throw error;
    const limit = goDuration(Math.ceil(timeoutMs / 1000) * 1000);
    return { result: "failure", output: `command timed out: ${JSON.stringify(cmd.join(" "))} timed out after ${limit}` };
  }
}

async function probeHttp(httpGet: HttpGet, request: Parameters<HttpGet>[0]): Promise<ProbeOutcome> {
  try {
    const { status, body, location } = await httpGet(request);
    if (status >= 200 && status < 300) return { result: "success", output: body };
    if (status >= 300 && status < 400) return await followRedirect(httpGet, request, status, location, body);
    return { result: "failure", output: `HTTP probe failed with statuscode: ${status}` };
  } catch (error) {
    return { result: "failure", output: (error as Error).message };
  }
}

/** Within the same host a redirection is followed, once; elsewhere it counts as success with a warning. */
async function followRedirect(
  httpGet: HttpGet,
  request: Parameters<HttpGet>[0],
  status: number,
  location: string | undefined,
  body: string,
): Promise<ProbeOutcome> {
  if (location === undefined) return { result: "success", output: body };
  const { action, host, port } = request;
  const target = new URL(location, `${(action.scheme ?? "HTTP").toLowerCase()}://${host}:${port}${action.path ?? "/"}`);
  if (target.hostname !== host) return { result: "warning", output: `Probe terminated redirects, Response body: ${body}` };
  const secure = target.protocol === "https:";
  const next = {
    ...request,
    port: target.port === "" ? (secure ? 443 : 80) : Number(target.port),
    action: { ...action, path: target.pathname + target.search, scheme: secure ? ("HTTPS" as const) : ("HTTP" as const) },
  };
  const answer = await httpGet(next);
  if (answer.status >= 200 && answer.status < 400) return { result: "success", output: answer.body };
  return { result: "failure", output: `HTTP probe failed with statuscode: ${answer.status === 0 ? status : answer.status}` };
}

interface ConnectOptions {
  readonly timeoutMs: number;
  readonly dial: Dial | undefined;
}

function probeTcp(host: string, port: number, { timeoutMs, dial }: ConnectOptions): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const finish = (outcome: ProbeOutcome): void => {
      socket.destroy();
      resolve(outcome);
    };
    const inside = dial?.(host, port);
    const socket = inside ?? connect({ host, port, signal: AbortSignal.timeout(timeoutMs) });
    // A connection within the process is there at once, or fails in the next turn.
    if (inside) setImmediate(() => finish({ result: "success", output: "" }));
    socket.on("connect", () => finish({ result: "success", output: "" }));
    socket.on("error", (error: NodeJS.ErrnoException) => finish({ result: "failure", output: dialErrorText(host, port, error) }));
  });
}
