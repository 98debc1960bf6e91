// The key that a certificate of a pod is asked for, and the proof that the kubelet has it: an empty signing request (PKCS#10),
// or, as was usual before, the public key and a signature of the pod's UID.
import { constants, createPublicKey, type KeyObject, verify } from "node:crypto";
import { type FieldError, invalidValue, omittedValue, tooLong } from "../../../api/meta/field-error.ts";
import type { PodCertificateRequestSpec } from "../../../api/types/certificates-v1beta1.ts";
import { DerError } from "../../../base/x509/der.ts";
import { encodePem } from "../../../base/x509/pem.ts";
import { parseSigningRequest } from "../../../base/x509/signing-request.ts";

const maxBytes = 10 * 1024;
const curves = ["prime256v1", "secp384r1", "secp521r1"];
const moduli = [3072, 4096];

/** The fields as base64; absent and empty are the same. */
type KeyFields = Pick<PodCertificateRequestSpec, "pkixPublicKey" | "proofOfPossession" | "podUID"> & {
  readonly stubPKCS10Request?: string | null;
};

export function validateRequestedKey(errors: FieldError[], spec: KeyFields): void {
  const { stubPKCS10Request: stub, pkixPublicKey: key, proofOfPossession: proof } = spec;
  if (stub && !key && !proof) validateStub(errors, Buffer.from(stub, "base64"));
  else if (!stub && key && proof) validateKeyAndProof(errors, Buffer.from(key, "base64"), Buffer.from(proof, "base64"), spec.podUID);
  else
    errors.push(invalidValue("spec", omittedValue, "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set"));
}

/** The key, where it can be read. */
export function requestedKey({ stubPKCS10Request: stub, pkixPublicKey: key }: KeyFields): KeyObject | undefined {
  try {
    if (stub) return parseSigningRequest(encodePem("CERTIFICATE REQUEST", Buffer.from(stub, "base64"))).publicKey;
    return key ? createPublicKey({ key: Buffer.from(key, "base64"), format: "der", type: "spki" }) : undefined;
  } catch {
    return undefined;
  }
}

function validateStub(errors: FieldError[], der: Buffer): void {
  const field = "spec.stubPKCS10Request";
  if (der.length > maxBytes) {
    errors.push(tooLong(field, maxBytes));
    return;
  }
  try {
    const { publicKey } = parseSigningRequest(encodePem("CERTIFICATE REQUEST", der));
    const problem = keyProblem(publicKey, "P256, P384, or P521");
    if (problem) errors.push(invalidValue(field, problem.value, problem.detail));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    const detail = error.message.includes("does not match") ? "invalid signature" : "must be a valid PKCS#10 CSR";
    errors.push(invalidValue(field, omittedValue, detail));
  }
}

function validateKeyAndProof(errors: FieldError[], key: Buffer, proof: Buffer, podUid: string): void {
  for (const [field, bytes] of [
    ["spec.pkixPublicKey", key],
    ["spec.proofOfPossession", proof],
  ] as const) {
    if (bytes.length <= maxBytes) continue;
    errors.push(tooLong(field, maxBytes));
    return;
  }
  const publicKey = requestedKey({ pkixPublicKey: key.toString("base64"), podUID: podUid });
  if (!publicKey) {
    errors.push(invalidValue("spec.pkixPublicKey", key.toString("base64"), "must be a valid PKIX-serialized public key"));
    return;
  }
  const problem = keyProblem(publicKey, "P256 or P384");
  if (problem) errors.push(invalidValue("spec.pkixPublicKey", problem.value, problem.detail));
  else if (!isSigned(publicKey, podUid, proof))
    errors.push(invalidValue("spec.proofOfPossession", omittedValue, "could not verify proof-of-possession signature"));
}

function isSigned(key: KeyObject, text: string, signature: Buffer): boolean {
  const algorithm = key.asymmetricKeyType === "ed25519" ? null : "sha256";
  const padding = key.asymmetricKeyType === "rsa" ? { padding: constants.RSA_PKCS1_PSS_PADDING } : {};
  return verify(algorithm, Buffer.from(text), { key, ...padding }, signature);
}

function keyProblem(key: KeyObject, curveNames: string): { readonly value: unknown; readonly detail: string } | undefined {
  const { namedCurve = "", modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "ed25519":
      return undefined;
    case "ec":
      if (curves.includes(namedCurve)) return undefined;
      return { value: `curve ${namedCurve}`, detail: `elliptic public keys must use curve ${curveNames}` };
    case "rsa":
      if (moduli.includes(modulusLength)) return undefined;
      return { value: `${modulusLength}-bit modulus`, detail: "RSA keys must have modulus size 3072 or 4096" };
    default:
      return { value: omittedValue, detail: "unknown public key type; supported types are Ed25519, ECDSA, and RSA" };
  }
}
