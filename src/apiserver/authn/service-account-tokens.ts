// Service-account tokens: JWTs that the API server signs for TokenRequests and accepts from clients. A token is good
// while its signature, issuer, audience and times are, and while the service account and what it is bound to (pod, secret
// or node) still exist with the same uid: deleting a pod revokes its tokens. Only signatures are remembered; everything
// else is looked at each time.
import { type KeyObject, randomUUID } from "node:crypto";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { nodes, pods, secrets, serviceaccounts } from "../../api/resources.generated.ts";
import type { ServiceAccount } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { Authentication, TokenAuthenticator } from "./authenticator.ts";
import { type BoundObjects, createBoundObjects, grantedAudiences } from "./bound-objects.ts";
import { createJwtSigner, jwkOf } from "./jwt.ts";
import { isTokenOf, type SecretTokenUse, tokenSecretType } from "./secret-tokens.ts";
import { type ObjectRef, serviceAccountUser, serviceAccountUsername } from "./service-account.ts";
import { ServiceAccountKeys, type TokenClaims, type TokenKeys } from "./service-account-keys.ts";
import type { ServiceAccountMetrics } from "./service-account-metrics.ts";

const defaultServiceAccountIssuer = "https://kubernetes.default.svc.cluster.local";

export interface ServiceAccountTokensOptions {
  /** Signs new tokens: a key, or whoever has it. */
  readonly signingKey: KeyObject | SignClaims;
  /** Whose tokens are accepted. Default: the signing key. */
  readonly keys?: TokenKeys;
  /** The first one issues; tokens of all are accepted. Default upstream's. */
  readonly issuers?: readonly string[];
  /** Audiences of the API server. Default: the issuers. */
  readonly audiences?: readonly string[];
  readonly reader: AdmissionReader;
  /** Asked about objects that the reader has not (yet): a token may be used before it has heard of the account. */
  readonly client?: Pick<Client, "get">;
  /** Told of the use of tokens that stand in secrets. */
  readonly secretUse?: SecretTokenUse;
  /** Absent: nothing is counted. */
  readonly metrics?: Pick<ServiceAccountMetrics, "extendedUsed">;
  readonly clock: Clock;
}

/** Makes a token of claims. */
export type SignClaims = (claims: object) => string | Promise<string>;

/** What a new token says. */
export interface TokenSubject {
  readonly serviceAccount: ServiceAccount;
  readonly audiences: readonly string[];
  readonly expirationSeconds: number;
  /** Seconds after which use of the token is remarked upon, where the true expiry has been extended. */
  readonly warnAfterSeconds?: number;
  readonly pod?: ObjectRef | undefined;
  readonly secret?: ObjectRef | undefined;
  readonly node?: ObjectRef | undefined;
}

export interface ServiceAccountTokens extends TokenAuthenticator {
  readonly issuer: string;
  /** Audiences of the API server. */
  readonly audiences: readonly string[];
  issue(subject: TokenSubject): string | Promise<string>;
  /** The public keys, as a JSON Web Key Set; the same as long as they are. */
  keySet(): KeySet;
  /** How long others may remember the key set. */
  readonly keysMaxAgeSeconds: number;
}

export interface KeySet {
  readonly keys: readonly Readonly<Record<string, unknown>>[];
}

interface PrivateClaims {
  readonly namespace?: string;
  readonly serviceaccount?: ObjectRef;
  readonly pod?: ObjectRef;
  readonly secret?: ObjectRef;
  readonly node?: ObjectRef;
  readonly warnafter?: number;
}

/** Clocks may differ by this much; objects deleted within it still count. */
const leewaySeconds = 60;

export function createServiceAccountTokens(options: ServiceAccountTokensOptions): ServiceAccountTokens {
  return new JwtServiceAccountTokens(options);
}

class JwtServiceAccountTokens implements ServiceAccountTokens {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly #issuers: ReadonlySet<string>;
  readonly #sign: SignClaims;
  readonly #keys: TokenKeys;
  #keySet: { readonly of: TokenKeys["published"]; readonly set: KeySet } | undefined;
  readonly #objects: BoundObjects;
  readonly #secretUse: SecretTokenUse | undefined;
  readonly #metrics: Pick<ServiceAccountMetrics, "extendedUsed"> | undefined;
  readonly #clock: Clock;

  constructor(options: ServiceAccountTokensOptions) {
    const issuers = options.issuers ?? [defaultServiceAccountIssuer];
    this.issuer = issuers[0] ?? defaultServiceAccountIssuer;
    this.#issuers = new Set(issuers);
    this.audiences = options.audiences ?? issuers;
    const { signingKey } = options;
    this.#sign = typeof signingKey === "function" ? signingKey : createJwtSigner(signingKey);
    this.#keys = options.keys ?? new ServiceAccountKeys(typeof signingKey === "function" ? [] : [signingKey]);
    this.#objects = createBoundObjects(options.reader, options.client);
    this.#secretUse = options.secretUse;
    this.#metrics = options.metrics;
    this.#clock = options.clock;
  }

  get keysMaxAgeSeconds(): number {
    return this.#keys.maxAgeSeconds;
  }

  issue(subject: TokenSubject): string | Promise<string> {
    const { namespace = "", name, uid } = subject.serviceAccount.metadata;
    const now = Math.floor(this.#clock.now() / 1000);
    return this.#sign({
      aud: subject.audiences,
      exp: now + subject.expirationSeconds,
      iat: now,
      iss: this.issuer,
      jti: randomUUID(),
      "kubernetes.io": {
        namespace,
        ...(subject.node ? { node: subject.node } : {}),
        ...(subject.pod ? { pod: subject.pod } : {}),
        ...(subject.secret ? { secret: subject.secret } : {}),
        serviceaccount: { name, uid },
        ...(subject.warnAfterSeconds === undefined ? {} : { warnafter: now + subject.warnAfterSeconds }),
      },
      nbf: now,
      sub: serviceAccountUsername({ namespace, name }),
    });
  }

  keySet(): KeySet {
    const { published } = this.#keys;
    if (this.#keySet?.of !== published) this.#keySet = { of: published, set: { keys: published.map(jwkOf) } };
    return this.#keySet.set;
  }

  async authenticateToken(token: string, audiences: readonly string[] = this.audiences): Promise<Authentication | undefined> {
    const found = this.#keys.claimsOf(token, (issuer) => this.#issuers.has(issuer));
    const claims = found instanceof Promise ? await found : found;
    if (!claims) return undefined;
    const granted = grantedAudiences(claims, { own: this.audiences, asked: audiences });
    this.#checkTimes(claims);
    const identity = (claims["kubernetes.io"] ?? {}) as PrivateClaims;
    const remarks = withAnnotations(await this.#checkObjects(identity, token), namesAudience(claims) ? undefined : legacyUse(claims));
    const stale = staleness(claims, identity, Math.floor(this.#clock.now() / 1000));
    if (identity.warnafter) this.#metrics?.extendedUsed(stale !== undefined);
    return {
      user: serviceAccountUser({
        namespace: identity.namespace ?? "",
        name: identity.serviceaccount?.name ?? "",
        uid: identity.serviceaccount?.uid ?? "",
        pod: identity.pod,
        node: identity.node,
        ...(claims.jti ? { credentialId: `JTI=${claims.jti}` } : {}),
      }),
      audiences: granted,
      ...withAnnotations(remarks, stale),
    };
  }

  #checkTimes(claims: TokenClaims): void {
    const now = this.#clock.now() / 1000;
    // Without an expiry, which keys of others may sign, it does not expire.
    if (typeof claims.exp === "number" && now > claims.exp + leewaySeconds) throw new Error("service account token has expired");
    if (typeof claims.nbf === "number" && now + leewaySeconds < claims.nbf) throw new Error("service account token is not valid yet");
    if (typeof claims.iat === "number" && now + leewaySeconds < claims.iat)
      throw new Error("service account token is issued in the future");
  }

  async #checkObjects(claims: PrivateClaims, token: string): Promise<Pick<Authentication, "warnings" | "auditAnnotations">> {
    const namespace = claims.namespace ?? "";
    const name = claims.serviceaccount?.name ?? "";
    if (name === "") throw new Error("resource name may not be empty");
    const account = await this.#objects.find(serviceaccounts, `${namespace}/${name}`, claims.serviceaccount?.uid);
    if (!account) throw new Error(`serviceaccounts "${name}" not found`);
    if (account.metadata.uid !== claims.serviceaccount?.uid)
      throw new Error(`service account UID (${account.metadata.uid}) does not match claim (${claims.serviceaccount?.uid ?? ""})`);
    if (this.#isGone(account)) throw new Error(`service account ${namespace}/${name} has been deleted`);
    const { pod, secret, node } = claims;
    const stored = secret && (await this.#checkBound(secrets, `${namespace}/${secret.name}`, secret, "secret"));
    if (pod) await this.#checkBound(pods, `${namespace}/${pod.name}`, pod, "pod");
    else if (node) await this.#checkBound(nodes, node.name, node, "node");
    if (stored?.type !== tokenSecretType || !isTokenOf(stored, token)) return {};
    return (await this.#secretUse?.note(stored, account)) ?? {};
  }

  async #checkBound<T extends KubernetesObject>(type: ResourceType<T>, key: string, bound: ObjectRef, noun: string): Promise<T> {
    const object = await this.#objects.find(type, key, bound.uid);
    if (!object) throw new Error("service account token has been invalidated");
    if (object.metadata.uid !== bound.uid)
      throw new Error(`${noun} UID (${object.metadata.uid}) does not match service account ${noun} ref claim (${bound.uid ?? ""})`);
    if (this.#isGone(object)) throw new Error("service account token has been invalidated");
    return object;
  }

  #isGone(object: KubernetesObject): boolean {
    const { deletionTimestamp } = object.metadata;
    return deletionTimestamp !== undefined && Date.parse(deletionTimestamp) < this.#clock.now() - leewaySeconds * 1000;
  }
}

type Remarks = Pick<Authentication, "warnings" | "auditAnnotations">;

const withAnnotations = (remarks: Remarks, more: Readonly<Record<string, string>> | undefined): Remarks =>
  more ? { ...remarks, auditAnnotations: { ...remarks.auditAnnotations, ...more } } : remarks;

const namesAudience = ({ aud = [] }: TokenClaims): boolean => aud.length > 0;

/** What audit is told of a token that is for no audience in particular. */
const legacyUse = ({ sub = "" }: TokenClaims): Readonly<Record<string, string>> => ({ "authentication.k8s.io/legacy-token": sub });

/** What audit is told of a token that lives longer than was asked for, so that pods that do not renew it are found. */
function staleness({ sub }: TokenClaims, { warnafter }: PrivateClaims, now: number): Readonly<Record<string, string>> | undefined {
  if (!warnafter || now <= warnafter) return undefined;
  return { "authentication.k8s.io/stale-token": `subject: ${sub}, seconds after warning threshold: ${now - warnafter}` };
}
