// Signed JSON Web Tokens in compact form (RFC 7515, 7519) with the algorithms Kubernetes signs service-account tokens
// with: RS256 for RSA keys, ES256, ES384 and ES512 for elliptic curves. A key's id is the base64url of the SHA-256 of its
// public part, as upstream computes it, so that tokens survive a change of the server.
import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";

interface Algorithm {
  readonly name: "RS256" | "ES256" | "ES384" | "ES512";
  readonly hash: "sha256" | "sha384" | "sha512";
}

const curves: Readonly<Record<string, Algorithm>> = {
  prime256v1: { name: "ES256", hash: "sha256" },
  secp384r1: { name: "ES384", hash: "sha384" },
  secp521r1: { name: "ES512", hash: "sha512" },
};

function algorithmOf(key: KeyObject): Algorithm {
  if (key.asymmetricKeyType === "rsa") return { name: "RS256", hash: "sha256" };
  const algorithm = curves[key.asymmetricKeyDetails?.namedCurve ?? ""];
  if (!algorithm) throw new Error("service-account keys must be RSA, or elliptic with curve P-256, P-384 or P-521");
  return algorithm;
}

function keyIdOf(publicKey: KeyObject): string {
  return createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url");
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Signs claims. The same key gives the same header, which is made once. */
export function createJwtSigner(privateKey: KeyObject): (claims: object) => string {
  const algorithm = algorithmOf(privateKey);
  const header = encode({ alg: algorithm.name, kid: keyIdOf(createPublicKey(privateKey)) });
  return (claims) => {
    const signed = `${header}.${encode(claims)}`;
    const signature = sign(algorithm.hash, Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  };
}

/** The claims of a token without checking anything; undefined where it is not a compact JWT with an object as payload. */
export function decodeJwt(token: string): Readonly<Record<string, unknown>> | undefined {
  const parts = token.split(".");
  return parts.length === 3 ? decodePart(parts[1] ?? "") : undefined;
}

function decodePart(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // not a token of ours: another authenticator may know it
  }
}

/** A public key that tokens may be signed with. */
export interface VerificationKey {
  readonly id: string;
  readonly key: KeyObject;
  readonly algorithm: Algorithm;
}

export function verificationKey(key: KeyObject): VerificationKey {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return { id: keyIdOf(publicKey), key: publicKey, algorithm: algorithmOf(publicKey) };
}

/** Whether one of the keys signed the token: those with the id in its header, all of them where it has none. */
export function isSignedBy(token: string, keys: readonly VerificationKey[]): boolean {
  const end = token.lastIndexOf(".");
  const header = decodePart(token.slice(0, token.indexOf(".")));
  const signed = Buffer.from(token.slice(0, end));
  const signature = Buffer.from(token.slice(end + 1), "base64url");
  return keys.some(
    ({ id, key, algorithm }) =>
      (header?.kid === undefined || header.kid === id) &&
      header?.alg === algorithm.name &&
      verify(algorithm.hash, signed, { key, dsaEncoding: "ieee-p1363" }, signature),
  );
}

/** The key as a member of a JSON Web Key Set. */
export function jwkOf(key: VerificationKey): Readonly<Record<string, unknown>> {
  return { use: "sig", ...key.key.export({ format: "jwk" }), kid: key.id, alg: key.algorithm.name };
}
