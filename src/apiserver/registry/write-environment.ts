// What every write needs: the stores, admission, the clock, the hooks of resources with state of their own (services), and
// facts about the request that writes.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { GroupVersionKind, ResourceType } from "../../api/resource-type.ts";
import type { Clock } from "../../base/clock.ts";
import type { AdmissionRequest } from "../admission/admission.ts";
import { Reinvocation } from "../admission/reinvocation.ts";
import type { UserInfo } from "../authn/user.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import { noteDuration } from "../http/stage-durations.ts";
import { addWarning } from "../http/warnings.ts";
import type { RequestContext } from "../request.ts";
import type { AdmissionChain } from "./admission-chain.ts";
import type { FieldWriter } from "./field-management.ts";
import { ownerVersions } from "./owner-versions.ts";
import type { StrategyContext } from "./resource-definition.ts";
import type { Companions, ResourceStore } from "./resource-store.ts";
import type { ResourceStores } from "./stores.ts";

export interface WriteEnvironment {
  readonly stores: ResourceStores;
  readonly admission: AdmissionChain;
  /** Asked where a request creates what its verb was not create for. */
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  /** How long a watch lasts at least that does not say for how long. */
  readonly minWatchTimeoutMs: number;
  /** By "group/resource". */
  readonly hooks: Readonly<Record<string, WriteHook>>;
}

/** Takes part in the writes of one resource: allocates what the object needs from state outside it. */
export interface WriteHook {
  /** Before validation. What it reserves is kept or given back when the write has succeeded or not. Throws StatusError. */
  reserve(object: KubernetesObject, old: KubernetesObject | undefined, dryRun: boolean): Promise<Reservation>;
  /** What is removed with the object. */
  removal(object: KubernetesObject): Companions;
}

export interface Reservation {
  /** The object with what was allocated. */
  readonly object: KubernetesObject;
  /** What is to be written with it. */
  companions(): Promise<Companions>;
  /** Called once. `contestedAt`: the write has failed because what was reserved was another's at that revision of the store. */
  settle(succeeded: boolean, contestedAt?: number): void;
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
  const { user, warnings } = request.context;
  return { nowMs: env.clock.now(), userName: user.name, user, warnings };
}

/** Who comes to own what the request writes, and since when. */
export function fieldWriter(env: WriteEnvironment, store: ResourceStore, { manager, subresource }: WriteRequest): FieldWriter {
  return { manager, subresource, nowMs: env.clock.now(), otherVersions: ownerVersions(env.stores, store, subresource) };
}

export function warn(request: WriteRequest, text: string): void {
  addWarning(request.context.warnings, text);
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

export function admissionRequest(request: WriteRequest, subject: AdmissionSubject): WriteAdmission {
  return new WriteAdmission(request, subject, subject.object);
}

/** A class for its getter: hardly a plugin waits, and the signal is made for the one that does. */
export class WriteAdmission implements AdmissionRequest {
  readonly operation: AdmissionRequest["operation"];
  readonly resource: ResourceType;
  readonly subresource: string;
  readonly kind: GroupVersionKind;
  readonly namespace: string;
  readonly name: string;
  readonly object?: KubernetesObject;
  readonly oldObject?: KubernetesObject;
  readonly options: Readonly<Record<string, unknown>>;
  readonly user: UserInfo;
  readonly dryRun: boolean;
  readonly #request: WriteRequest;
  readonly #subject: AdmissionSubject;
  /** The request as it was before plugins changed its object: what is remembered lies there. */
  readonly #first: WriteAdmission;
  #reinvocation: Reinvocation | undefined = undefined;

  constructor(request: WriteRequest, subject: AdmissionSubject, object: KubernetesObject | undefined, first?: WriteAdmission) {
    this.operation = subject.operation;
    this.resource = subject.type;
    this.subresource = request.subresource;
    this.kind = subject.kind ?? { group: subject.type.group, version: subject.type.version, kind: subject.type.kind };
    this.namespace = request.namespace;
    this.name = subject.name;
    if (object) this.object = object;
    if (subject.oldObject) this.oldObject = subject.oldObject;
    this.options = request.options;
    this.user = request.context.user;
    this.dryRun = request.dryRun;
    this.#request = request;
    this.#subject = subject;
    this.#first = first ?? this;
  }

  get reinvocation(): Reinvocation {
    this.#first.#reinvocation ??= new Reinvocation();
    return this.#first.#reinvocation;
  }

  /** Whether a plugin has asked for a second round. */
  get needsSecondRound(): boolean {
    return this.#first.#reinvocation?.isNeeded === true;
  }

  get signal(): AbortSignal {
    return this.#request.context.request.signal;
  }

  get endsAtMs(): number | undefined {
    return this.#request.context.endsAtMs;
  }

  warn(text: string): void {
    warn(this.#request, text);
  }

  waited(ms: number, part: "mutating-webhook" | "validating-webhook"): void {
    const { context } = this.#request;
    context.waitedMs = (context.waitedMs ?? 0) + ms;
    noteDuration(context, part, ms);
  }

  annotate(key: string, value: string, { tellsContent = false } = {}): void {
    const { auditAnnotations, auditBody } = this.#request.context;
    if (!auditAnnotations || auditAnnotations.has(key) || (tellsContent && !auditBody?.whole)) return;
    auditAnnotations.set(key, value);
  }

  /** The same request about the object as a plugin has left it. */
  withObject(object: KubernetesObject): WriteAdmission {
    return new WriteAdmission(this.#request, this.#subject, object, this.#first);
  }
}

/** The hook of a resource that has one. */
export function hookOf(env: WriteEnvironment, type: ResourceType): WriteHook | undefined {
  return env.hooks[`${type.group}/${type.resource}`];
}
