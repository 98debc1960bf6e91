// Certificate signing requests: what is asked for, and that decisions and certificates, once there, stay. Beside the resource
// rather than in api/validation, because it reads certificates with Node's crypto.
import { X509Certificate } from "node:crypto";
import { semanticallyEqual } from "../../../api/meta/equality.ts";
import { duplicate, type FieldError, forbiddenField, invalidValue, required } from "../../../api/meta/field-error.ts";
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from "../../../api/types/certificates-v1.ts";
import { checkSupported } from "../../../api/validation/rules.ts";
import { validateSignerName } from "../../../api/validation/signer-name.ts";
import { pemBlocks } from "../../../base/x509/pem.ts";
import { parseSigningRequest } from "../../../base/x509/signing-request.ts";

const usages: readonly string[] = [
  "any",
  "cert sign",
  "client auth",
  "code signing",
  "content commitment",
  "crl sign",
  "data encipherment",
  "decipher only",
  "digital signature",
  "email protection",
  "encipher only",
  "ipsec end system",
  "ipsec tunnel",
  "ipsec user",
  "key agreement",
  "key encipherment",
  "microsoft sgc",
  "netscape sgc",
  "ocsp signing",
  "s/mime",
  "server auth",
  "signing",
  "timestamping",
];
const legacySigner = "kubernetes.io/legacy-unknown";
const minSeconds = 600;

/** Which endpoint an update came through: approval sets decisions, status sets the certificate. */
export type SigningRequestEndpoint = "object" | "approval" | "status";

export function validateSigningRequest({ spec, status }: CertificateSigningRequest, old?: CertificateSigningRequest): FieldError[] {
  const errors: FieldError[] = [];
  const { request = "", signerName = "", expirationSeconds } = spec ?? {};
  const problem = requestProblem(request ?? "");
  if (problem !== undefined) errors.push(invalidValue("spec.request", request ?? null, problem));
  validateUsages(errors, "spec.usages", spec?.usages ?? [], old?.spec.usages ?? []);
  if (signerName === legacySigner && old?.spec.signerName !== legacySigner)
    errors.push(invalidValue("spec.signerName", signerName, "the legacy signerName is not allowed via this API version"));
  else validateSignerName(errors, "spec.signerName", signerName);
  if (expirationSeconds !== undefined && expirationSeconds < minSeconds) {
    const detail = `may not specify a duration less than ${minSeconds} seconds (10 minutes)`;
    errors.push(invalidValue("spec.expirationSeconds", expirationSeconds, detail));
  }
  validateConditions(errors, "status.conditions", status?.conditions ?? [], old?.status?.conditions ?? []);
  const { certificate } = status ?? {};
  const before = old?.status?.certificate;
  if (!old || (certificate !== before && certificateProblem(before) === undefined)) {
    const flaw = certificateProblem(certificate);
    if (flaw !== undefined) errors.push(invalidValue("status.certificate", "<certificate data>", flaw));
  }
  return errors;
}

export function validateSigningRequestUpdate(
  request: CertificateSigningRequest,
  old: CertificateSigningRequest,
  endpoint: SigningRequestEndpoint = "object",
): FieldError[] {
  const errors = validateSigningRequest(request, old);
  const of = (from: CertificateSigningRequest, type: string): readonly CertificateSigningRequestCondition[] =>
    (from.status?.conditions ?? []).filter((condition) => condition.type === type);
  const refuse = (what: string, type: string): void => {
    errors.push(forbiddenField("status.conditions", `updates may not ${what} a condition of type ${JSON.stringify(type)}`));
  };
  for (const type of ["Approved", "Denied", "Failed"]) if (of(request, type).length < of(old, type).length) refuse("remove", type);
  if (endpoint !== "approval")
    for (const type of ["Approved", "Denied"]) {
      const [now, before] = [of(request, type), of(old, type)];
      if (now.length > before.length) refuse("add", type);
      else if (now.length === before.length && !semanticallyEqual(now, before)) refuse("modify", type);
    }
  const { certificate = "" } = request.status ?? {};
  const { certificate: before = "" } = old.status ?? {};
  if (certificate === before) return errors;
  if (endpoint !== "status") errors.push(forbiddenField("status.certificate", "updates may not set certificate content"));
  else if (before) errors.push(forbiddenField("status.certificate", "updates may not modify existing certificate content"));
  return errors;
}

const textOf = (base64: string): string => Buffer.from(base64, "base64").toString("latin1");

function requestProblem(base64: string): string | undefined {
  const pem = textOf(base64);
  if (pemBlocks(pem)[0]?.type !== "CERTIFICATE REQUEST") return "PEM block type must be CERTIFICATE REQUEST";
  try {
    parseSigningRequest(pem);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function certificateProblem(base64 = ""): string | undefined {
  if (base64 === "") return undefined;
  let blocks = 0;
  for (const { text, type, body } of pemBlocks(textOf(base64))) {
    if (type !== "CERTIFICATE") return `only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(type)}`;
    if (body.includes(":")) return "no PEM block headers are permitted";
    blocks++;
    try {
      new X509Certificate(text);
    } catch {
      return "x509: malformed certificate";
    }
  }
  return blocks === 0 ? "must contain at least one CERTIFICATE PEM block" : undefined;
}

function validateUsages(errors: FieldError[], field: string, given: readonly string[], old: readonly string[]): void {
  if (given.length === 0) errors.push(required(field));
  if (old.every((usage) => usages.includes(usage)))
    for (const [i, usage] of given.entries()) checkSupported(errors, `${field}[${i}]`, usage, usages);
  if (new Set(old).size < old.length) return;
  const seen = new Set<string>();
  for (const [i, usage] of given.entries()) {
    if (seen.has(usage)) errors.push(duplicate(`${field}[${i}]`, usage));
    seen.add(usage);
  }
}

type Conditions = readonly CertificateSigningRequestCondition[];

const typesOf = (conditions: Conditions): readonly string[] => conditions.map((condition) => condition.type ?? "");
const isDecidedTwice = (types: readonly string[]): boolean => types.includes("Approved") && types.includes("Denied");
const hasTwice = (types: readonly string[]): boolean => new Set(types).size < types.length;

/** What is wrong with the old object's conditions already is let pass. */
function validateConditions(errors: FieldError[], field: string, conditions: Conditions, old: Conditions): void {
  const oldTypes = typesOf(old);
  const types = typesOf(conditions);
  for (const [i, type] of types.entries()) {
    if (type === "" && !oldTypes.includes("")) errors.push(required(`${field}[${i}].type`));
    const alwaysTrue = ["Approved", "Denied", "Failed"].includes(type);
    const supported = alwaysTrue ? ["True"] : ["False", "True", "Unknown"];
    checkSupported(errors, `${field}[${i}].status`, conditions[i]?.status, supported, "required");
    const isDecision = type === "Approved" || type === "Denied";
    if (isDecision && isDecidedTwice(types.slice(0, i + 1)) && !isDecidedTwice(oldTypes))
      errors.push(invalidValue(field, type, "Approved and Denied conditions are mutually exclusive"));
    if (types.indexOf(type) < i && !hasTwice(oldTypes)) errors.push(duplicate(`${field}[${i}].type`, type));
  }
}
