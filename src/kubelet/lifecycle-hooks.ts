// postStart and preStop hooks: a command in the container, an HTTP request to it, or a pause.
import type { Container, LifecycleHandler, Pod } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { CriRuntime } from "../cri/cri.ts";
import { podText } from "./pod-spec.ts";
import { containerPort, type HttpGet } from "./probes/http.ts";
import { runtimeErrorText } from "./start-error.ts";

export interface HookDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly httpGet: HttpGet;
}

export interface HookRequest {
  readonly pod: Pod;
  readonly container: Container;
  readonly containerId: string;
  readonly podIP: string;
  readonly handler: LifecycleHandler;
  readonly signal?: AbortSignal;
}

const httpTimeoutMs = 30_000;

/** Throws an Error with upstream's text when the hook fails. */
export async function runHook(deps: HookDependencies, request: HookRequest): Promise<void> {
  const { pod, container, handler, signal } = request;
  const failed = (what: string, error: unknown, tail = ""): Error => {
    const text = runtimeErrorText(error);
    return new Error(`${what} for Container "${container.name}" in Pod "${podText(pod)}" failed - error: ${text}${tail}`, { cause: error });
  };
  if (handler.exec) {
    const command = handler.exec.command ?? [];
    let output = "";
    try {
      const answer = await deps.cri.execSync({ containerId: request.containerId, cmd: command }, signal ? { signal } : {});
      output = Buffer.concat([answer.stdout, answer.stderr]).toString("utf8");
      if (answer.exitCode !== 0) throw new Error(`command '${command.join(" ")}' exited with ${answer.exitCode}: ${output}`);
    } catch (error) {
      throw failed(`Exec lifecycle hook ([${command.join(" ")}])`, error, `, message: ${JSON.stringify(output)}`);
    }
  } else if (handler.httpGet) {
    const action = handler.httpGet;
    try {
      const port = containerPort(action.port, container);
      const host = action.host || request.podIP;
      await deps.httpGet({ action, host, port, timeoutMs: httpTimeoutMs, userAgent: "kube-lifecycle", ...(signal ? { signal } : {}) });
    } catch (error) {
      throw failed(`HTTP lifecycle hook (${action.path ?? ""})`, error);
    }
  } else if (handler.sleep) {
    await deps.clock.sleep(handler.sleep.seconds * 1000, signal);
  }
}
