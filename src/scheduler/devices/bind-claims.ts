// PreBind of a pod with claims: writes what the cycle has found for its node, claim by claim, and waits for devices that
// have to be made ready first.
import { keyOf } from "../../api/meta/object.ts";
import { isReservedFor } from "../../api/semantics/pod-claims.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { ResourceClaim } from "../../api/types/resource-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { EventSeriesRecorder } from "../../client/event-series-recorder.ts";
import type { SchedulerMetrics } from "../scheduler-metrics.ts";
import { bindingResults, hasTimedOut, readinessOf } from "./binding-conditions.ts";
import { bindClaim, type ClaimBindingDependencies, createExtendedClaim, noteExtendedClaim } from "./claim-binding.ts";
import type { DeviceClaims } from "./device-claims.ts";
import { allClaims, type NodeAllocation, type PodDeviceClaims } from "./pod-device-claims.ts";

export interface BindClaimsOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly recorder: Pick<EventSeriesRecorder, "record">;
  readonly devices: DeviceClaims;
  readonly metrics?: Pick<SchedulerMetrics, "claimCreated" | "waitedForDevices">;
  readonly bindingTimeoutMs: number;
  readonly nodeName: string;
  readonly found: NodeAllocation;
  readonly signal: AbortSignal;
}

/** How often the conditions of devices are looked at. */
const pollMs = 5_000;

/** `claims` shows what is written, so that it can be taken back. Throws what keeps the pod from being bound. */
export async function bindClaims(pod: Pod, claims: PodDeviceClaims, options: BindClaimsOptions): Promise<void> {
  const { devices, found, signal, metrics } = options;
  const deps: ClaimBindingDependencies = { ...options, created: (ok) => metrics?.claimCreated(ok) };
  for (const [i, claim] of claims.claims.entries()) {
    if (isReservedFor(claim, pod)) continue;
    const { uid } = claim.metadata;
    const allocation = found.results.get(uid);
    claims.claims[i] = await bindClaim(claim, { pod, allocation, signal }, deps);
    devices.release(uid);
  }
  if (found.extended) await bindExtended(pod, claims, { found: found.extended, options, deps });
  if (allClaims(claims).some((claim) => bindingResults(claim).length > 0)) await untilReady(pod, claims, options);
}

interface ExtendedBinding {
  readonly found: NonNullable<NodeAllocation["extended"]>;
  readonly options: BindClaimsOptions;
  readonly deps: ClaimBindingDependencies;
}

async function bindExtended(pod: Pod, claims: PodDeviceClaims, { found, options, deps }: ExtendedBinding): Promise<void> {
  const { client, devices, signal } = options;
  const { uid } = found.claim.metadata;
  const allocation = options.found.results.get(uid);
  claims.extended = await createExtendedClaim(found, deps, signal);
  claims.extended = await bindClaim(claims.extended, { pod, allocation, signal }, deps);
  devices.release(uid);
  await noteExtendedClaim(pod, { claim: claims.extended, mappings: found.mappings }, { client, signal });
}

async function untilReady(pod: Pod, claims: PodDeviceClaims, options: BindClaimsOptions): Promise<void> {
  const { clock, recorder, nodeName, signal } = options;
  const note = `waiting for binding conditions for device on node ${nodeName}`;
  recorder.record(pod, { type: "Normal", reason: "BindingConditionsPending", action: "Scheduling", note });
  const startedMs = clock.monotonic();
  try {
    while (!isReady(claims, options)) await clock.sleep(pollMs, signal);
    noteWait(pod, claims, options, { status: "success", ms: clock.monotonic() - startedMs });
  } catch (error) {
    const status = error instanceof DeviceBindingError ? error.status : "error";
    noteWait(pod, claims, options, { status, ms: clock.monotonic() - startedMs });
    throw error;
  }
}

class DeviceBindingError extends Error {
  override name = "DeviceBindingError";
  readonly status: "failed" | "timeout";

  constructor(status: "failed" | "timeout", message: string) {
    super(message);
    this.status = status;
  }
}

function isReady(claims: PodDeviceClaims, { devices, clock, bindingTimeoutMs }: BindClaimsOptions): boolean {
  const look = (claim: ResourceClaim): ResourceClaim => {
    const current = devices.get(keyOf(claim));
    if (!current) throw new Error(`could not find ResourceClaim "${keyOf(claim)}"`);
    return current;
  };
  for (const [i, claim] of claims.claims.entries()) claims.claims[i] = look(claim);
  if (claims.extended?.status?.allocation) claims.extended = look(claims.extended);
  for (const claim of allClaims(claims)) {
    const readiness = readinessOf(claim);
    if (readiness.kind === "failed") throw new DeviceBindingError("failed", readiness.message);
    if (readiness.kind === "ready" || !claim.status?.allocation) continue;
    if (hasTimedOut(claim, { nowMs: clock.now(), timeoutMs: bindingTimeoutMs }))
      throw new DeviceBindingError("timeout", `device binding timeout: claim=${claim.metadata.name}`);
    return false;
  }
  return true;
}

function noteWait(
  pod: Pod,
  claims: PodDeviceClaims,
  { metrics }: BindClaimsOptions,
  { status, ms }: { readonly status: string; readonly ms: number },
): void {
  const profile = pod.spec.schedulerName ?? "default-scheduler";
  for (const claim of allClaims(claims)) {
    const binding = new Set(bindingResults(claim));
    for (const result of claim.status?.allocation?.devices?.results ?? [])
      metrics?.waitedForDevices({ profile, driver: result.driver, status, ms, binds: binding.has(result) });
  }
}
