// postStart and preStop hooks: a command in the container, an HTTP request to it, or a pause.
import type { Container, LifecycleHandler, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { containerPort, type HttpGet, type HttpGetRequest } from "../probes/http.ts";
import { containerReference } from "../references.ts";
import { podText } from "./pod-spec.ts";
import { runtimeErrorText } from "./start-error.ts";

export interface HookDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly httpGet: HttpGet;
  readonly recorder: EventRecorder;
  /** An HTTPS hook was answered over HTTP. */
  readonly onHookFallback?: () => void;
  /** A pause was cut short. */
  readonly onSleepCutShort?: () => void;
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
      await getWithFallback(deps, request, {
        action,
        host,
        port,
        timeoutMs: httpTimeoutMs,
        userAgent: "kube-lifecycle",
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      throw failed(`HTTP lifecycle hook (${action.path ?? ""})`, error);
    }
  } else if (handler.sleep) {
    await deps.clock.sleep(handler.sleep.seconds * 1000, signal).catch((error: unknown) => {
      deps.onSleepCutShort?.();
      throw error;
    });
  }
}

/** Hooks said HTTPS for years and were asked over HTTP: a container that answers so still gets its hook. */
async function getWithFallback(deps: HookDependencies, { container, pod }: HookRequest, get: HttpGetRequest): Promise<void> {
  try {
    await deps.httpGet(get);
  } catch (error) {
    if (get.action.scheme !== "HTTPS" || !isPlainAnswer(error)) throw error;
    await deps.httpGet({ ...get, action: { ...get.action, scheme: "HTTP" } });
    deps.onHookFallback?.();
    const message = `request to HTTPS lifecycle hook ${get.action.path ?? ""} got HTTP response, retry with HTTP succeeded`;
    deps.recorder.record(containerReference(pod, container.name), { type: "Warning", reason: "LifecycleHTTPFallback", message });
  }
}

/** No TLS, but a protocol of another version: an HTTP answer. */
function isPlainAnswer(error: unknown): boolean {
  const { cause } = error as { readonly cause?: { readonly code?: string } };
  return cause?.code === "EPROTO" || cause?.code === "ERR_SSL_WRONG_VERSION_NUMBER" || cause?.code === "ERR_SSL_PACKET_LENGTH_TOO_LONG";
}
