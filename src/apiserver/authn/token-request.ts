// The token subresource of service accounts: issues a token for an account, for certain audiences and a certain time,
// bound to a pod, a node or a secret where the request says so. A bound token dies with what it is bound to.
import { defaultTokenSeconds } from "../../api/defaults/authentication.ts";
import { invalidValue } from "../../api/meta/field-error.ts";
import { badRequest, conflict, internalError, invalid, isStatus, type StatusError } from "../../api/meta/status-error.ts";
import { nodes, pods, secrets, serviceaccounts } from "../../api/resources.generated.ts";
import type { BoundObjectReference, TokenRequest } from "../../api/types/authentication-v1.ts";
import type { ServiceAccount } from "../../api/types/core-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { CreateRequest, Creators } from "../registry/handler-types.ts";
import type { ObjectRef } from "./service-account.ts";
import type { ServiceAccountTokens, TokenSubject } from "./service-account-tokens.ts";

const group = "authentication.k8s.io";
const kind = { group, kind: "TokenRequest" };
const minimumSeconds = 600;
const maximumSeconds = 2 ** 32;

/** What the token volume of pods asks for: such tokens are good for a year, and their late use is only remarked upon. */
const warnOnlySeconds = 3607;
const extendedSeconds = 365 * 24 * 3600;

export interface TokenRequestDependencies {
  readonly tokens: ServiceAccountTokens;
  /** Reads accounts, pods, nodes and secrets as they are now. */
  readonly client: Pick<Client, "get">;
  readonly clock: Clock;
  /** --service-account-max-token-expiration; longer requests are shortened. */
  readonly maxExpirationSeconds?: number;
  /** --service-account-extend-token-expiration. Default true. */
  readonly extendExpiration?: boolean;
  /** What that makes of tokens of pods at most. Default a year. */
  readonly maxExtendedSeconds?: number;
}

export function tokenRequests(deps: TokenRequestDependencies): Creators {
  return { "/serviceaccounts/token": (request) => createToken(request, deps) };
}

interface Bound {
  readonly pod?: ObjectRef;
  readonly node?: ObjectRef;
  readonly secret?: ObjectRef;
}

async function createToken(
  create: CreateRequest,
  deps: TokenRequestDependencies,
): Promise<TokenRequest & { readonly apiVersion: string; readonly kind: string; readonly metadata: ServiceAccount["metadata"] }> {
  const { namespace, name, context } = create;
  const request = create.object as unknown as TokenRequest; // decoded by the kind of the subresource
  checkTarget(request, namespace, name);
  const account = await deps.client.get(serviceaccounts, { namespace, name });
  const { uid } = account.metadata;
  if (request.metadata?.uid && request.metadata.uid !== uid)
    throw conflict(
      { group, resource: "TokenRequest" },
      name,
      `the UID in the token request (${request.metadata.uid}) does not match the UID of the service account (${uid})`,
    );
  const nowMs = deps.clock.now();
  const audiences = request.spec?.audiences?.length ? request.spec.audiences : deps.tokens.audiences;
  const seconds = limitExpiration(request.spec?.expirationSeconds ?? defaultTokenSeconds, deps, (text) => context.warnings.push(text));
  const ref = request.spec?.boundObjectRef;
  const bound = ref ? await resolveBound(ref, namespace, name, deps.client) : {};
  const extends_ =
    deps.extendExpiration !== false &&
    bound.pod &&
    seconds === warnOnlySeconds &&
    audiences.every((a) => deps.tokens.audiences.includes(a));
  const token = await issued(deps.tokens, {
    serviceAccount: account,
    audiences,
    expirationSeconds: extends_ ? Math.min(extendedSeconds, deps.maxExtendedSeconds ?? extendedSeconds) : seconds,
    ...(extends_ ? { warnAfterSeconds: seconds } : {}),
    ...bound,
  });
  context.auditAnnotations?.set("authentication.kubernetes.io/issued-credential-id", `JTI=${idOf(token)}`);
  return {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    metadata: { ...request.metadata, name, namespace, uid, creationTimestamp: formatTime(nowMs) } as ServiceAccount["metadata"],
    spec: { ...request.spec, audiences, expirationSeconds: seconds },
    status: { token, expirationTimestamp: formatTime(nowMs + seconds * 1000) },
  };
}

/** Who signs it may be another program, which may be away. */
async function issued(tokens: ServiceAccountTokens, subject: TokenSubject): Promise<string> {
  try {
    return await tokens.issue(subject);
  } catch (error) {
    throw internalError(new Error(`failed to generate token: ${error instanceof Error ? error.message : String(error)}`, { cause: error }));
  }
}

/** The id that a token carries. */
function idOf(token: string): string {
  const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { readonly jti?: string };
  return claims.jti ?? "";
}

function checkTarget({ metadata }: TokenRequest, namespace: string, name: string): void {
  if (metadata?.name && metadata.name !== name)
    throw invalid(kind, name, [invalidValue("metadata.name", metadata.name, "must match the service account name if specified")]);
  if (metadata?.namespace && metadata.namespace !== namespace)
    throw invalid(kind, name, [
      invalidValue("metadata.namespace", metadata.namespace, "must match the service account namespace if specified"),
    ]);
}

function limitExpiration(seconds: number, deps: TokenRequestDependencies, warn: (text: string) => void): number {
  const refuse = (detail: string): StatusError => invalid(kind, "", [invalidValue("spec.expirationSeconds", seconds, detail)]);
  if (seconds < minimumSeconds) throw refuse("may not specify a duration less than 10 minutes");
  if (seconds > maximumSeconds) throw refuse("may not specify a duration larger than 2^32 seconds");
  const max = deps.maxExpirationSeconds ?? 0;
  if (max <= 0 || seconds <= max) return seconds;
  warn(`requested expiration of ${seconds} seconds shortened to ${max} seconds`);
  return max;
}

/** Looks up what the token shall be bound to. Throws 404 where it does not exist, 409 where it is another one by now. */
async function resolveBound(ref: BoundObjectReference, namespace: string, account: string, client: Pick<Client, "get">): Promise<Bound> {
  const { apiVersion = "", kind: refKind = "", name = "" } = ref;
  const isCore = !apiVersion.includes("/");
  if (isCore && name === "" && (refKind === "Pod" || refKind === "Node" || refKind === "Secret"))
    throw badRequest("Name parameter required.");
  if (isCore && refKind === "Pod") {
    const pod = await client.get(pods, { namespace, name });
    if (pod.spec?.serviceAccountName !== account)
      throw badRequest(
        `cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`,
      );
    confirmUid(ref, pod.metadata.uid);
    const nodeName = pod.spec.nodeName;
    return { pod: { name, uid: pod.metadata.uid }, ...(nodeName ? { node: await nodeRef(nodeName, client) } : {}) };
  }
  if (isCore && refKind === "Node") {
    const node = await client.get(nodes, { name });
    confirmUid(ref, node.metadata.uid);
    return { node: { name, uid: node.metadata.uid } };
  }
  if (isCore && refKind === "Secret") {
    const secret = await client.get(secrets, { namespace, name });
    confirmUid(ref, secret.metadata.uid);
    return { secret: { name, uid: secret.metadata.uid } };
  }
  const [groupPart, version] = isCore ? ["", apiVersion] : apiVersion.split("/");
  throw badRequest(`cannot bind token to object of type ${groupPart}/${version}, Kind=${refKind}`);
}

function confirmUid(ref: BoundObjectReference, uid: string): void {
  if (!ref.uid || ref.uid === uid) return;
  throw conflict(
    { group: "", resource: ref.kind ?? "" },
    ref.name ?? "",
    `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
  );
}

/** A pod may name a node that does not exist (any more): then the token carries the name alone. */
async function nodeRef(name: string, client: Pick<Client, "get">): Promise<ObjectRef> {
  try {
    return { name, uid: (await client.get(nodes, { name })).metadata.uid };
  } catch (error) {
    if (isStatus(error, "NotFound")) return { name };
    throw error;
  }
}
