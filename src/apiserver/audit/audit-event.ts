// One audited request on its way: what is known of it by now, as events of audit.k8s.io/v1. Request and response objects are
// those that the server has decoded or made anyway; managed fields are taken out of copies.

import { isIP } from "node:net";
import type { StatusError } from "../../api/meta/status-error.ts";
import { builtInResources } from "../../api/resources.generated.ts";
import { formatMicroTime } from "../../base/clock.ts";
import { formatDuration } from "../../base/duration.ts";
import type { UserInfo } from "../authn/user.ts";
import { acceptsErrors, negotiationOf } from "../http/negotiate.ts";
import type { RequestInfo } from "../http/request-info.ts";
import { type ApiResponse, type RequestContext, requestUri } from "../request.ts";
import type { AuditDecision, AuditLevel, AuditStage } from "./audit-policy.ts";

export interface AuditUser {
  /** Absent where nobody has been authenticated. */
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface AuditEvent {
  readonly kind: "Event";
  readonly apiVersion: "audit.k8s.io/v1";
  readonly level: AuditLevel;
  readonly auditID: string;
  readonly stage: AuditStage;
  readonly requestURI: string;
  readonly verb: string;
  readonly user: AuditUser;
  readonly impersonatedUser?: AuditUser;
  /** Which constrained mode of impersonation allowed it. */
  readonly authenticationMetadata?: { readonly impersonationConstraint: string };
  readonly sourceIPs?: readonly string[];
  readonly userAgent?: string;
  readonly objectRef?: Readonly<Record<string, string>>;
  readonly responseStatus?: Readonly<Record<string, unknown>>;
  readonly requestObject?: unknown;
  readonly responseObject?: unknown;
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What takes longer is told of with its durations. */
const slowMs = 500;

interface Outcome {
  readonly code: number;
  readonly object?: unknown;
}

export class AuditedRequest {
  readonly decision: AuditDecision;
  readonly #context: RequestContext;
  /** Before impersonation. */
  readonly #user: UserInfo;
  #outcome: Outcome | undefined = undefined;

  constructor(context: RequestContext, decision: AuditDecision) {
    this.#context = context;
    this.decision = decision;
    this.#user = context.user;
  }

  answered(response: ApiResponse): void {
    if (response.kind === "watch") this.#outcome = { code: 200 };
    else if (response.kind === "upgrade") this.#outcome = { code: 101 };
    else this.#outcome = { code: response.status, object: objectOf(response, this.decision.level, this.#context.info) };
  }

  /** What is sent in a form that nobody asked for is not told of. */
  refused({ code, status }: StatusError): void {
    this.#outcome = acceptsErrors(negotiationOf(this.#context)) ? { code, object: status } : { code };
  }

  failed(outcome: Outcome): void {
    this.#outcome = outcome;
  }

  /** Of a slow request, before its last event: how long it has taken, and how much of that others have. */
  tellDurations(nowMs: number): void {
    const { receivedAtMs, stageMs = [], auditAnnotations, info } = this.#context;
    // Of a watch nothing is measured: it lasts as long as it shall.
    if (nowMs - receivedAtMs <= slowMs || !auditAnnotations || info.verb === "watch") return;
    for (const [part, ms] of [...stageMs, ["total", nowMs - receivedAtMs] as const]) {
      const key = `apiserver.latency.k8s.io/${part}`;
      if (!auditAnnotations.has(key)) auditAnnotations.set(key, formatDuration(ms));
    }
  }

  event(stage: AuditStage, nowMs: number): AuditEvent {
    const { request, info, auditId, receivedAtMs, impersonator, impersonationConstraint, user, auditAnnotations, auditBody } =
      this.#context;
    const { level } = this.decision;
    const userAgent = request.headers["user-agent"];
    const sourceIPs = sourcesOf(this.#context);
    const sent = auditBody?.value;
    const objects = level === "Request" || level === "RequestResponse";
    const responded = level === "RequestResponse" && stage !== "RequestReceived" ? this.#outcome?.object : undefined;
    return {
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level,
      auditID: auditId ?? "",
      stage,
      requestURI: requestUri(request),
      verb: info.verb,
      user: auditUser(this.#user),
      ...(impersonator ? { impersonatedUser: auditUser(user) } : {}),
      ...(impersonationConstraint === undefined ? {} : { authenticationMetadata: { impersonationConstraint } }),
      ...(sourceIPs.length > 0 ? { sourceIPs } : {}),
      ...(userAgent === undefined ? {} : { userAgent: shortened(userAgent) }),
      ...(info.isResourceRequest ? { objectRef: objectRef(this.#context, info.verb === "patch" ? undefined : sent) } : {}),
      ...(this.#outcome && stage !== "RequestReceived" ? { responseStatus: statusOf(this.#outcome) } : {}),
      ...(objects && sent !== undefined ? { requestObject: this.#shown(sent) } : {}),
      ...(responded === undefined ? {} : { responseObject: this.#shown(responded) }),
      requestReceivedTimestamp: formatMicroTime(receivedAtMs),
      stageTimestamp: formatMicroTime(nowMs),
      ...(auditAnnotations && auditAnnotations.size > 0 ? { annotations: Object.fromEntries(auditAnnotations) } : {}),
    };
  }

  #shown(object: unknown): unknown {
    return this.decision.omitManagedFields ? withoutManagedFields(object) : object;
  }
}

const maxUserAgentLength = 1024;

const shortened = (userAgent: string): string =>
  userAgent.length > maxUserAgentLength ? `${userAgent.slice(0, maxUserAgentLength)}...TRUNCATED` : userAgent;

function objectOf(response: Exclude<ApiResponse, { kind: "watch" | "upgrade" }>, level: AuditLevel, info: RequestInfo): unknown {
  const object = response.kind === "object" ? response.object : level === "RequestResponse" ? response.object?.() : undefined;
  return level === "RequestResponse" ? withPlainItems(object, info) : object;
}

/** What is in a list does not say what it is, unless it is custom or metadata alone. */
function withPlainItems(object: unknown, { apiGroup, resource }: RequestInfo): unknown {
  const { kind, apiVersion, items } = (object ?? {}) as { readonly kind?: string; readonly apiVersion?: string; readonly items?: unknown };
  if (!Array.isArray(items) || !kind?.endsWith("List") || kind === "PartialObjectMetadataList") return object;
  if (!builtInResources.some((type) => type.group === apiGroup && type.resource === resource)) return object;
  const named = (item: { readonly kind?: string; readonly apiVersion?: string }): boolean =>
    item.apiVersion === apiVersion && `${item.kind}List` === kind;
  return { ...(object as object), items: items.map((item) => (named(item) ? withoutType(item) : item)) };
}

function withoutType({ kind: _1, apiVersion: _2, ...rest }: Readonly<Record<string, unknown>>): unknown {
  return rest;
}

function auditUser({ name, uid, groups, extra }: UserInfo): AuditUser {
  return {
    ...(name === "" ? {} : { username: name }),
    ...(uid === undefined ? {} : { uid }),
    ...(groups.length > 0 ? { groups } : {}),
    ...(extra ? { extra } : {}),
  };
}

/** Proxies' headers first, as they claim, then the address of the connection. */
function sourcesOf({ request }: RequestContext): readonly string[] {
  const claimed = request.headers["x-forwarded-for"]?.split(",") ?? [];
  const found = claimed.map((address) => address.trim()).filter((address) => isIP(address) !== 0);
  const real = request.headers["x-real-ip"] ?? "";
  if (isIP(real) !== 0 && !found.includes(real)) found.push(real);
  if (isIP(request.remoteAddress) !== 0 && found.at(-1) !== request.remoteAddress) found.push(request.remoteAddress);
  return found;
}

interface Meta {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
}

function objectRef({ info }: RequestContext, sent: unknown): Readonly<Record<string, string>> {
  const meta = ((sent as { readonly metadata?: Meta } | undefined)?.metadata ?? {}) as Meta;
  const fields = {
    resource: info.resource,
    namespace: info.namespace || meta.namespace,
    name: info.name || meta.name,
    uid: meta.uid,
    apiGroup: info.apiGroup,
    apiVersion: info.apiVersion,
    resourceVersion: meta.resourceVersion,
    subresource: info.subresource,
  };
  return Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, string] => !!entry[1]));
}

/** Of a Status what matters; of other answers the code alone. */
function statusOf({ code, object }: Outcome): Readonly<Record<string, unknown>> {
  const status = object as { readonly kind?: string; readonly apiVersion?: string; readonly status?: string } | undefined;
  if (status?.kind !== "Status" || status.apiVersion !== "v1") return { metadata: {}, code };
  const { status: result, message: text, reason, details } = object as Readonly<Record<string, unknown>>;
  const all = { metadata: {}, status: result, message: text, reason, details, code };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

interface Shown {
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly items?: unknown;
  readonly rows?: unknown;
}

/** Of an object, of those of a list, or of those in a table's rows. */
function withoutManagedFields(object: unknown): unknown {
  if (typeof object !== "object" || object === null) return object;
  const { metadata, items, rows } = object as Shown;
  if (Array.isArray(items)) return { ...object, items: items.map(withoutManagedFields) };
  if (Array.isArray(rows))
    return { ...object, rows: rows.map((row: { object?: unknown }) => ({ ...row, object: withoutManagedFields(row.object) })) };
  if (metadata?.managedFields === undefined) return object;
  const { managedFields: _, ...rest } = metadata;
  return { ...object, metadata: rest };
}
