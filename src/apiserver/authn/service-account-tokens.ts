// Service-account tokens: JWTs that the API server signs for TokenRequests and accepts from clients. A token is good
// while its signature, issuer, audience and times are, and while the service account and what it is bound to (pod, secret
// or node) still exist with the same uid: deleting a pod revokes its tokens. Checking a signature is the expensive part,
// so its result is remembered for a bounded number of tokens; everything else is looked at each time.
import { type KeyObject, randomUUID } from "node:crypto";
import { type KubernetesObject, parseKey } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { nodes, pods, secrets, serviceaccounts } from "../../api/resources.generated.ts";
import type { ServiceAccount } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { Authentication, TokenAuthenticator } from "./authenticator.ts";
import { createJwtSigner, decodeJwt, isSignedBy, jwkOf, type VerificationKey, verificationKey } from "./jwt.ts";
import { quoteList } from "./quote-list.ts";
import { type ObjectRef, serviceAccountUser, serviceAccountUsername } from "./service-account.ts";

const defaultServiceAccountIssuer = "https://kubernetes.default.svc.cluster.local";

export interface ServiceAccountTokensOptions {
  /** Signs new tokens. */
  readonly signingKey: KeyObject;
  /** Further keys whose tokens are accepted: earlier signing keys. */
  readonly verificationKeys?: readonly KeyObject[];
  /** The first one issues; tokens of all are accepted. Default upstream's. */
  readonly issuers?: readonly string[];
  /** Audiences of the API server. Default: the first issuer. */
  readonly audiences?: readonly string[];
  readonly reader: AdmissionReader;
  /** Asked about objects that the reader has not (yet): a token may be used before it has heard of the account. */
  readonly client?: Pick<Client, "get">;
  readonly clock: Clock;
}

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
  issue(subject: TokenSubject): string;
  /** The public keys, as a JSON Web Key Set. */
  keySet(): { readonly keys: readonly Readonly<Record<string, unknown>>[] };
}

interface PrivateClaims {
  readonly namespace?: string;
  readonly serviceaccount?: ObjectRef;
  readonly pod?: ObjectRef;
  readonly secret?: ObjectRef;
  readonly node?: ObjectRef;
  readonly warnafter?: number;
}

interface Claims {
  readonly iss?: string;
  readonly aud?: string | readonly string[];
  readonly exp?: number;
  readonly iat?: number;
  readonly nbf?: number;
  readonly jti?: string;
  readonly sub?: string;
  readonly "kubernetes.io"?: PrivateClaims;
}

/** Clocks may differ by this much; objects deleted within it still count. */
const leewaySeconds = 60;
const rememberedTokens = 1024;

export function createServiceAccountTokens(options: ServiceAccountTokensOptions): ServiceAccountTokens {
  return new JwtServiceAccountTokens(options);
}

class JwtServiceAccountTokens implements ServiceAccountTokens {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly #issuers: ReadonlySet<string>;
  readonly #sign: (claims: object) => string;
  readonly #keys: readonly VerificationKey[];
  readonly #reader: AdmissionReader;
  readonly #client: Pick<Client, "get"> | undefined;
  readonly #clock: Clock;
  /** Claims of tokens whose signature has been found good, the least recently used first. */
  readonly #verified = new Map<string, Claims>();

  constructor(options: ServiceAccountTokensOptions) {
    const issuers = options.issuers ?? [defaultServiceAccountIssuer];
    this.issuer = issuers[0] ?? defaultServiceAccountIssuer;
    this.#issuers = new Set(issuers);
    this.audiences = options.audiences ?? [this.issuer];
    this.#sign = createJwtSigner(options.signingKey);
    const keys = [options.signingKey, ...(options.verificationKeys ?? [])].map(verificationKey);
    this.#keys = [...new Map(keys.map((k) => [k.id, k])).values()];
    this.#reader = options.reader;
    this.#client = options.client;
    this.#clock = options.clock;
  }

  issue(subject: TokenSubject): string {
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

  keySet(): { readonly keys: readonly Readonly<Record<string, unknown>>[] } {
    return { keys: this.#keys.map(jwkOf) };
  }

  async authenticateToken(token: string, audiences: readonly string[] = this.audiences): Promise<Authentication | undefined> {
    const claims = this.#claimsOf(token);
    if (!claims) return undefined;
    const own = typeof claims.aud === "string" ? [claims.aud] : (claims.aud ?? []);
    const granted = (own.length > 0 ? own : this.audiences).filter((a) => audiences.includes(a));
    if (granted.length === 0)
      throw new Error(`token audiences ${quoteList(own)} is invalid for the target audiences ${quoteList(audiences)}`);
    this.#checkTimes(claims);
    const identity = claims["kubernetes.io"] ?? {};
    await this.#checkObjects(identity);
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
    };
  }

  /** Undefined where the token is not of our issuers; throws where nobody we know signed it. */
  #claimsOf(token: string): Claims | undefined {
    const known = this.#verified.get(token);
    if (known) {
      this.#verified.delete(token);
      this.#verified.set(token, known);
      return known;
    }
    const claims = decodeJwt(token) as Claims | undefined;
    if (!claims || typeof claims.iss !== "string" || !this.#issuers.has(claims.iss)) return undefined;
    if (!isSignedBy(token, this.#keys)) throw new Error("invalid signature, no keys found");
    const oldest = this.#verified.keys().next();
    if (this.#verified.size >= rememberedTokens && !oldest.done) this.#verified.delete(oldest.value);
    this.#verified.set(token, claims);
    return claims;
  }

  #checkTimes(claims: Claims): void {
    const now = this.#clock.now() / 1000;
    if (typeof claims.exp !== "number" || now > claims.exp + leewaySeconds) throw new Error("service account token has expired");
    if (typeof claims.nbf === "number" && now + leewaySeconds < claims.nbf) throw new Error("service account token is not valid yet");
    if (typeof claims.iat === "number" && now + leewaySeconds < claims.iat)
      throw new Error("service account token is issued in the future");
  }

  async #checkObjects(claims: PrivateClaims): Promise<void> {
    const namespace = claims.namespace ?? "";
    const name = claims.serviceaccount?.name ?? "";
    const account = await this.#find(serviceaccounts, `${namespace}/${name}`, claims.serviceaccount?.uid);
    if (!account) throw new Error(`serviceaccounts "${name}" not found`);
    if (account.metadata.uid !== claims.serviceaccount?.uid)
      throw new Error(`service account UID (${account.metadata.uid}) does not match claim (${claims.serviceaccount?.uid ?? ""})`);
    if (this.#isGone(account)) throw new Error(`service account ${namespace}/${name} has been deleted`);
    const { pod, secret, node } = claims;
    if (secret) await this.#checkBound(secrets, `${namespace}/${secret.name}`, secret, "secret");
    if (pod) await this.#checkBound(pods, `${namespace}/${pod.name}`, pod, "pod");
    else if (node) await this.#checkBound(nodes, node.name, node, "node");
  }

  async #checkBound<T extends KubernetesObject>(type: ResourceType<T>, key: string, bound: ObjectRef, noun: string): Promise<void> {
    const object = await this.#find(type, key, bound.uid);
    if (!object) throw new Error("service account token has been invalidated");
    if (object.metadata.uid !== bound.uid)
      throw new Error(`${noun} UID (${object.metadata.uid}) does not match service account ${noun} ref claim (${bound.uid ?? ""})`);
    if (this.#isGone(object)) throw new Error("service account token has been invalidated");
  }

  /** From the reader where it has the right one; otherwise from the store, in case the reader is behind. */
  async #find<T extends KubernetesObject>(type: ResourceType<T>, key: string, uid: string | undefined): Promise<T | undefined> {
    const known = this.#reader.informer(type).get(key);
    if (known?.metadata.uid === uid || !this.#client) return known;
    try {
      return await this.#client.get(type, parseKey(key));
    } catch (error) {
      if (isStatus(error, "NotFound")) return undefined;
      throw error;
    }
  }

  #isGone(object: KubernetesObject): boolean {
    const { deletionTimestamp } = object.metadata;
    return deletionTimestamp !== undefined && Date.parse(deletionTimestamp) < this.#clock.now() - leewaySeconds * 1000;
  }
}
