// Signed JSON Web Tokens in compact form (RFC 7515, 7519) with asymmetric algorithms (RFC 7518): those of service-account
// tokens, and those that OpenID providers use. A service-account key's id is the base64url of the SHA-256 of its public part,
// as upstream computes it, so that tokens survive a change of the server.
import { constants, createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";

interface Algorithm {
  readonly keyType: "rsa" | "ec";
  readonly hash: "sha256" | "sha384" | "sha512";
  /** For elliptic keys. */
  readonly curve?: string;
  /** RSA-PSS instead of PKCS #1. */
  readonly pss?: boolean;
}

const algorithms = {
  RS256: { keyType: "rsa", hash: "sha256" },
  RS384: { keyType: "rsa", hash: "sha384" },
  RS512: { keyType: "rsa", hash: "sha512" },
  ES256: { keyType: "ec", hash: "sha256", curve: "prime256v1" },
  ES384: { keyType: "ec", hash: "sha384", curve: "secp384r1" },
  ES512: { keyType: "ec", hash: "sha512", curve: "secp521r1" },
  PS256: { keyType: "rsa", hash: "sha256", pss: true },
  PS384: { keyType: "rsa", hash: "sha384", pss: true },
  PS512: { keyType: "rsa", hash: "sha512", pss: true },
} as const satisfies Readonly<Record<string, Algorithm>>;

export type AlgorithmName = keyof typeof algorithms;
export const algorithmNames = Object.keys(algorithms) as readonly AlgorithmName[];

/** What service-account tokens are signed with by this key: RS256 for RSA, by the curve for elliptic ones. */
export function signingAlgorithmOf(key: KeyObject): AlgorithmName {
  if (key.asymmetricKeyType === "rsa") return "RS256";
  const found = algorithmNames.find((name) => curveOf(name) === key.asymmetricKeyDetails?.namedCurve && curveOf(name) !== undefined);
  if (!found) throw new Error("service-account keys must be RSA, or elliptic with curve P-256, P-384 or P-521");
  return found;
}

function curveOf(name: AlgorithmName): string | undefined {
  const algorithm: Algorithm = algorithms[name];
  return algorithm.curve;
}

function keyIdOf(publicKey: KeyObject): string {
  return createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url");
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Signs claims. The same key gives the same header, which is made once. */
export function createJwtSigner(privateKey: KeyObject): (claims: object) => string {
  const name = signingAlgorithmOf(privateKey);
  const header = encode({ alg: name, kid: keyIdOf(createPublicKey(privateKey)) });
  return (claims) => {
    const signed = `${header}.${encode(claims)}`;
    const signature = sign(algorithms[name].hash, Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  };
}

type Json = Readonly<Record<string, unknown>>;

/** The claims of a token without checking anything; undefined where it is not a compact JWT with an object as payload. */
export function decodeJwt(token: string): Json | undefined {
  const parts = token.split(".");
  return parts.length === 3 ? decodePart(parts[1] ?? "") : undefined;
}

/** The header of a token. */
export function decodeJwtHeader(token: string): Json | undefined {
  return decodePart(token.slice(0, token.indexOf(".")));
}

/** Why the token is no compact JWT, as Go says it; undefined where it can be read. */
export function jwtMalformation(token: string): string | undefined {
  for (const part of token.split(".")) {
    const at = wrongBase64Url(part);
    if (at >= 0) return `illegal base64 data at input byte ${at}`;
  }
  return undefined;
}

/** Where a text stops being base64url without padding; -1 where it does not. */
function wrongBase64Url(text: string): number {
  const wrong = text.search(/[^A-Za-z0-9_-]/);
  return wrong < 0 && text.length % 4 === 1 ? text.length - 1 : wrong;
}

/** Whether its issuer meant it to be read as we do (RFC 7515 4.1.11, RFC 7797): extensions that must be understood are not. */
export function isOrdinaryHeader({ crit = null, b64 = true }: Json): boolean {
  return b64 === true && (crit === null || (Array.isArray(crit) && crit.every((name) => name === "b64")));
}

function decodePart(text: string): Json | undefined {
  if (wrongBase64Url(text) >= 0) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined; // not a token of ours: another authenticator may know it
  }
}

/** Whether the key has signed the token with this algorithm. */
export function isSignedWith(token: string, key: KeyObject, name: AlgorithmName): boolean {
  const algorithm: Algorithm = algorithms[name];
  if (key.asymmetricKeyType !== algorithm.keyType) return false;
  if (algorithm.curve !== undefined && key.asymmetricKeyDetails?.namedCurve !== algorithm.curve) return false;
  const end = token.lastIndexOf(".");
  const pss = algorithm.pss ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {};
  const options = { key, dsaEncoding: "ieee-p1363", ...pss } as const;
  return verify(algorithm.hash, Buffer.from(token.slice(0, end)), options, Buffer.from(token.slice(end + 1), "base64url"));
}

/** A public key that service-account tokens may be signed with. */
export interface VerificationKey {
  readonly id: string;
  readonly key: KeyObject;
  readonly algorithm: AlgorithmName;
  /** Signs nothing any more, and is not told to others. */
  readonly isRetired?: boolean;
}

export function verificationKey(key: KeyObject): VerificationKey {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return { id: keyIdOf(publicKey), key: publicKey, algorithm: signingAlgorithmOf(publicKey) };
}

/** The key as a member of a JSON Web Key Set, in upstream's order. */
export function jwkOf(key: VerificationKey): Readonly<Record<string, unknown>> {
  const { kty, crv, ...parts } = key.key.export({ format: "jwk" });
  return { use: "sig", kty, kid: key.id, ...(crv === undefined ? {} : { crv }), alg: key.algorithm, ...parts };
}
