// What every write needs: the stores, admission, the clock, the hooks of resources with state of their own (services), and
// facts about the request that writes.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { GroupVersionKind, ResourceType } from "../../api/resource-type.ts";
import type { Clock } from "../../base/clock.ts";
import type { AdmissionRequest } from "../admission/admission.ts";
import type { RequestContext } from "../request.ts";
import type { AdmissionChain } from "./admission-chain.ts";
import type { StrategyContext } from "./resource-definition.ts";
import type { ResourceStores } from "./stores.ts";

export interface WriteEnvironment {
  readonly stores: ResourceStores;
  readonly admission: AdmissionChain;
  readonly clock: Clock;
  /** By "group/resource". */
  readonly hooks: Readonly<Record<string, WriteHook>>;
}

/** Takes part in the writes of one resource: allocates what the object needs from state outside it. */
export interface WriteHook {
  /** Before validation. What it reserves is kept or given back when the write has succeeded or not. Throws StatusError. */
  reserve(object: KubernetesObject, old: KubernetesObject | undefined, dryRun: boolean): Promise<Reservation> | Reservation;
  /** The object is gone. */
  release(object: KubernetesObject): void;
}

export interface Reservation {
  /** The object with what was allocated. */
  readonly object: KubernetesObject;
  /** Called once. */
  settle(succeeded: boolean): void;
}

/** One write: who asks, for what. */
export interface WriteRequest {
  readonly context: RequestContext;
  readonly namespace: string;
  /** Of the path; "" for a create in a collection. */
  readonly name: string;
  readonly subresource: string;
  readonly dryRun: boolean;
  /** CreateOptions, UpdateOptions, PatchOptions or DeleteOptions. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Recorded in managedFields. */
  readonly manager: string;
}

export function strategyContext(env: WriteEnvironment, request: WriteRequest): StrategyContext {
  const { user } = request.context;
  return { nowMs: env.clock.now(), userName: user.name, user };
}

export function warn(request: WriteRequest, text: string): void {
  const { warnings } = request.context;
  if (!warnings.includes(text)) warnings.push(text);
}

export interface AdmissionSubject {
  readonly operation: AdmissionRequest["operation"];
  readonly type: ResourceType;
  readonly name: string;
  readonly object?: KubernetesObject | undefined;
  readonly oldObject?: KubernetesObject | undefined;
  /** Where it is not the resource's. */
  readonly kind?: GroupVersionKind;
}

export function admissionRequest(request: WriteRequest, subject: AdmissionSubject): AdmissionRequest {
  const { operation, type, name, object, oldObject } = subject;
  return {
    operation,
    resource: type,
    subresource: request.subresource,
    kind: subject.kind ?? { group: type.group, version: type.version, kind: type.kind },
    namespace: request.namespace,
    name,
    ...(object ? { object } : {}),
    ...(oldObject ? { oldObject } : {}),
    options: request.options,
    user: request.context.user,
    dryRun: request.dryRun,
    warn: (text) => warn(request, text),
    // Hardly a plugin waits: the signal is made for the one that does.
    get signal() {
      return request.context.request.signal;
    },
  };
}

/** The hook of a resource that has one. */
export function hookOf(env: WriteEnvironment, type: ResourceType): WriteHook | undefined {
  return env.hooks[`${type.group}/${type.resource}`];
}
