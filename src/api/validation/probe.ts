// Probes and lifecycle hooks of containers: each has one handler.
import { type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import type { IntOrString } from "../meta/int-or-string.ts";
import { isHTTPHeaderName, isPortName, isPortNumber } from "../meta/names.ts";
import type { HTTPGetAction, Lifecycle, LifecycleHandler, Probe } from "../types/core-v1.ts";
import { addProblems, checkNonNegative, checkSupported } from "./rules.ts";

type Handler = LifecycleHandler & Pick<Probe, "exec" | "httpGet" | "tcpSocket" | "grpc">;

const handlerTypes = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] as const;

/** `gracePeriod`: the pod's, in seconds; a sleep may not be longer. */
export function validateHandler(errors: FieldError[], field: string, handler: Handler, gracePeriod: number | undefined): void {
  const [first, ...others] = handlerTypes.filter((type) => handler[type] !== undefined);
  if (!first) {
    errors.push(required(field, "must specify a handler type"));
    return;
  }
  validateAction(errors, `${field}.${first}`, handler, first, gracePeriod);
  for (const type of others) errors.push(forbiddenField(`${field}.${type}`, "may not specify more than 1 handler type"));
}

function validateAction(
  errors: FieldError[],
  field: string,
  handler: Handler,
  type: (typeof handlerTypes)[number],
  gracePeriod: number | undefined,
): void {
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler;
  if (type === "exec" && (exec?.command ?? []).length === 0) errors.push(required(`${field}.command`));
  if (type === "httpGet" && httpGet) validateHTTPGet(errors, field, httpGet);
  if (type === "tcpSocket" && tcpSocket) validatePort(errors, `${field}.port`, tcpSocket.port);
  if (type === "grpc" && grpc) validatePort(errors, `${field}.port`, grpc.port);
  const seconds = sleep?.seconds ?? 0;
  if (type === "sleep" && gracePeriod !== undefined && (seconds < 0 || seconds > gracePeriod))
    errors.push(invalidValue(field, seconds, `must be non-negative and less than terminationGracePeriodSeconds (${gracePeriod})`));
}

function validateHTTPGet(errors: FieldError[], field: string, { path, port, scheme, httpHeaders }: HTTPGetAction): void {
  if (!path) errors.push(required(`${field}.path`));
  validatePort(errors, `${field}.port`, port);
  checkSupported(errors, `${field}.scheme`, scheme, ["HTTP", "HTTPS"]);
  for (const { name = "" } of httpHeaders ?? []) addProblems(errors, `${field}.httpHeaders`, name, isHTTPHeaderName(name));
}

function validatePort(errors: FieldError[], field: string, port: IntOrString = 0): void {
  addProblems(errors, field, port, typeof port === "number" ? isPortNumber(port) : isPortName(port));
}

export type ProbeKind = "livenessProbe" | "readinessProbe" | "startupProbe";
export const probeKinds: readonly ProbeKind[] = ["livenessProbe", "readinessProbe", "startupProbe"];

export function validateProbe(errors: FieldError[], field: string, kind: ProbeKind, probe: Probe): void {
  validateHandler(errors, field, probe, undefined);
  checkNonNegative(errors, `${field}.initialDelaySeconds`, probe.initialDelaySeconds);
  checkNonNegative(errors, `${field}.timeoutSeconds`, probe.timeoutSeconds);
  checkNonNegative(errors, `${field}.periodSeconds`, probe.periodSeconds);
  checkNonNegative(errors, `${field}.successThreshold`, probe.successThreshold);
  checkNonNegative(errors, `${field}.failureThreshold`, probe.failureThreshold);
  const { successThreshold = 0, terminationGracePeriodSeconds: grace } = probe;
  const graceField = `${field}.terminationGracePeriodSeconds`;
  if (grace !== undefined && grace <= 0) errors.push(invalidValue(graceField, grace, "must be greater than 0"));
  if (kind === "readinessProbe") {
    if (grace !== undefined) errors.push(invalidValue(graceField, grace, "must not be set for readinessProbes"));
  } else if (successThreshold !== 1) errors.push(invalidValue(`${field}.successThreshold`, successThreshold, "must be 1"));
}

/** Hooks of a container. (A stop signal of its own is dropped before: the feature is off by default.) */
export function validateLifecycle(
  errors: FieldError[],
  field: string,
  { postStart, preStop }: Lifecycle,
  gracePeriod: number | undefined,
): void {
  if (postStart) validateHandler(errors, `${field}.postStart`, postStart, gracePeriod);
  if (preStop) validateHandler(errors, `${field}.preStop`, preStop, gracePeriod);
}
