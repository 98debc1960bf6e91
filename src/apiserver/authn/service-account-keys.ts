// The keys of service-account tokens: read from PEM files, and used to tell whose tokens are ours. Checking a signature is
// the expensive part of a token, so its result is remembered for a bounded number of them.
import { createPrivateKey, createPublicKey, KeyObject } from "node:crypto";
import { LruMap } from "../../base/lru-map.ts";
import { cannotDecode } from "./json-mismatch.ts";
import {
  decodeJwt,
  decodeJwtHeader,
  isOrdinaryHeader,
  isSignedWith,
  jwtMalformation,
  signingAlgorithmOf,
  type VerificationKey,
  verificationKey,
} from "./jwt.ts";

/** Claims of any service-account token; what is private to a kind stands under its own names. */
export interface TokenClaims {
  readonly iss?: string;
  readonly aud?: string | readonly string[];
  readonly exp?: number;
  readonly iat?: number;
  readonly nbf?: number;
  readonly jti?: string;
  readonly sub?: string;
  readonly [name: string]: unknown;
}

const rememberedTokens = 1024;

/** Whose tokens are ours: the keys of files, or those of an external signer. */
export interface TokenKeys {
  /** What others are told, the same list as long as nothing changes. */
  readonly published: readonly VerificationKey[];
  /** How long they may remember it. */
  readonly maxAgeSeconds: number;
  /** Undefined where the token is not of these issuers; throws (or rejects) where nobody we know signed it. */
  claimsOf(token: string, isIssuer: (issuer: string) => boolean): TokenClaims | undefined | Promise<TokenClaims | undefined>;
}

export class ServiceAccountKeys implements TokenKeys {
  readonly all: readonly VerificationKey[];
  readonly maxAgeSeconds = 3600;
  readonly #verified = new LruMap<string, TokenClaims>(rememberedTokens);

  /** Keys given twice count once; of pairs the public part. */
  constructor(keys: readonly (KeyObject | VerificationKey)[]) {
    const read = keys.map((key) => (key instanceof KeyObject ? verificationKey(key) : key));
    this.all = read.filter((key, i) => read.findIndex((other) => other.id === key.id && other.key.equals(key.key)) === i);
  }

  get published(): readonly VerificationKey[] {
    return this.all;
  }

  /** False for a token of these issuers whose key is not among these. */
  mayKnow(token: string, isIssuer: (issuer: string) => boolean): boolean {
    if (this.#verified.get(token)) return true;
    const issuer = decodeJwt(token)?.iss;
    if (typeof issuer !== "string" || !isIssuer(issuer)) return true;
    const kid = decodeJwtHeader(token)?.kid;
    return typeof kid !== "string" || kid === "" ? this.all.length > 0 : this.all.some((key) => key.id === kid);
  }

  /** Undefined where the token is not of these issuers; throws where nobody we know signed it. */
  claimsOf(token: string, isIssuer: (issuer: string) => boolean): TokenClaims | undefined {
    const known = this.#verified.get(token);
    if (known) return isIssuer(known.iss ?? "") ? known : undefined;
    if (jwtMalformation(token) !== undefined) return undefined;
    const decoded = decodeJwt(token);
    if (!decoded || typeof decoded.iss !== "string" || !isIssuer(decoded.iss)) return undefined;
    this.#verify(token);
    const claims = checkedClaims(decoded);
    this.#verified.set(token, claims);
    return claims;
  }

  /** By the keys with the id in the token's header, or all of them where it has none. */
  #verify(token: string): void {
    const header = decodeJwtHeader(token) ?? {};
    const { kid, alg } = header;
    const candidates = typeof kid === "string" && kid !== "" ? this.all.filter((key) => key.id === kid) : this.all;
    if (candidates.length === 0) throw new Error("invalid signature, no keys found");
    const isSigned = candidates.some(({ key, algorithm }) => alg === algorithm && isSignedWith(token, key, algorithm));
    if (isSigned && isOrdinaryHeader(header)) return;
    throw new Error("go-jose/go-jose: error in cryptographic primitive");
  }
}

/** Throws with upstream's texts where a claim is of another type. */
function checkedClaims(claims: Readonly<Record<string, unknown>>): TokenClaims {
  for (const name of ["sub", "jti"]) {
    const value = claims[name] ?? "";
    if (typeof value !== "string") throw new Error(cannotDecode(value, "string"));
  }
  for (const name of ["exp", "nbf", "iat"])
    if (typeof (claims[name] ?? 0) !== "number") throw new Error("go-jose/go-jose/jwt: expected number value to unmarshal NumericDate");
  const audiences: readonly unknown[] = [claims.aud ?? []].flat();
  if (!audiences.every((audience) => typeof audience === "string"))
    throw new Error("go-jose/go-jose/jwt: expected string or array value to unmarshal to Audience");
  const identity = claims["kubernetes.io"] ?? {};
  if (typeof identity !== "object" || Array.isArray(identity)) throw new Error(cannotDecode(identity, "serviceaccount.kubernetes"));
  return claims as TokenClaims; // as was just found
}

const block = /-----BEGIN ([A-Z0-9 ]+)-----[^-]+-----END \1-----/g;

/** All keys of a PEM text, public parts of private ones and of certificates too. Throws where there is none. */
export function readPublicKeys(pem: string): readonly KeyObject[] {
  const keys = (pem.match(block) ?? []).flatMap((text) => usable(() => createPublicKey(text)));
  if (keys.length === 0) throw new Error("data does not contain any valid RSA or ECDSA public keys");
  return keys;
}

/** The first private key of a PEM text. Throws where there is none. */
export function readSigningKey(pem: string): KeyObject {
  const [key] = (pem.match(block) ?? []).flatMap((text) => usable(() => createPrivateKey(text)));
  if (!key) throw new Error("data does not contain a valid RSA or ECDSA private key");
  return key;
}

/** Blocks that are no keys ("EC PARAMETERS") or keys of another kind are passed over. */
function usable(read: () => KeyObject): KeyObject[] {
  try {
    const key = read();
    signingAlgorithmOf(key);
    return [key];
  } catch {
    return [];
  }
}
