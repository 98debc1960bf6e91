// Requests of kubelets for certificates of pods (PodCertificateRequest): made once, answered once by the signer, who writes
// the status: issued with a chain for the very key that asked, or denied, or failed. Nothing changes after that.
import { X509Certificate } from "node:crypto";
import { change, fill } from "../../../api/defaults/fill.ts";
import { column, nameColumn } from "../../../api/encode/table/columns.ts";
import { semanticallyEqual } from "../../../api/meta/equality.ts";
import { type FieldError, invalidValue, notSupported, omittedValue, required, tooLong } from "../../../api/meta/field-error.ts";
import { byteLength, isDNS1123Subdomain, isQualifiedName } from "../../../api/meta/names.ts";
import { parseTime } from "../../../api/meta/time.ts";
import { podcertificaterequestsV1beta1 } from "../../../api/optional-resources.generated.ts";
import type { PodCertificateRequest } from "../../../api/types/certificates-v1beta1.ts";
import { validateConditions } from "../../../api/validation/conditions.ts";
import { longestSeconds } from "../../../api/validation/gated-projections.ts";
import { internalForm } from "../../../api/validation/internal-form.ts";
import { addProblems, checkImmutable } from "../../../api/validation/rules.ts";
import { validateSignerName } from "../../../api/validation/signer-name.ts";
import { pemBlocks } from "../../../base/x509/pem.ts";
import { describe, withStatusKeepingMetadata } from "./describe.ts";
import { requestedKey, validateRequestedKey } from "./pod-certificate-key.ts";

type Request = PodCertificateRequest;

const maxUid = 128;
const maxChainBytes = 100 * 1024;
const hourSeconds = 3600;
const defaultSeconds = 86_400;
const terminal = ["Issued", "Denied", "Failed"];
const chainField = "status.certificateChain";

export function validatePodCertificateRequest({ spec }: Request): FieldError[] {
  const errors: FieldError[] = [];
  validateSignerName(errors, "spec.signerName", spec.signerName ?? "");
  validateUserAnnotations(errors, "spec.unverifiedUserAnnotations", spec.unverifiedUserAnnotations ?? {});
  const named = (field: "podName" | "serviceAccountName" | "nodeName", uidField: "podUID" | "serviceAccountUID" | "nodeUID"): void => {
    addProblems(errors, `spec.${field}`, spec[field] ?? "", isDNS1123Subdomain(spec[field] ?? ""));
    const uid = spec[uidField] ?? "";
    if (uid === "") errors.push(invalidValue(`spec.${uidField}`, uid, "must not be empty"));
    if (byteLength(uid) > maxUid) errors.push(tooLong(`spec.${uidField}`, maxUid));
  };
  named("podName", "podUID");
  named("serviceAccountName", "serviceAccountUID");
  named("nodeName", "nodeUID");
  const { maxExpirationSeconds: seconds } = spec;
  if (seconds === undefined) return [...errors, required("spec.maxExpirationSeconds", "must be set")];
  const longest = longestSeconds(spec.signerName ?? "");
  if (seconds < hourSeconds || seconds > longest)
    errors.push(invalidValue("spec.maxExpirationSeconds", seconds, `must be in the range [${hourSeconds}, ${longest}]`));
  validateRequestedKey(errors, spec);
  return errors;
}

const maxAnnotationBytes = 256 * 1024;

/** What a pod's author says to the signer: keys with a domain, in any case. */
function validateUserAnnotations(errors: FieldError[], field: string, annotations: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(annotations).map((name) => name.toLowerCase())) {
    if (key === "") errors.push(required(field));
    else {
      const problems = isQualifiedName(key);
      addProblems(errors, field, key, problems);
      if (problems.length === 0 && !key.includes("/"))
        errors.push(invalidValue(field, key, 'must be a domain-prefixed key (such as "acme.io/foo")'));
    }
  }
  const bytes = Object.entries(annotations).reduce((sum, [key, value]) => sum + byteLength(key) + byteLength(value), 0);
  if (bytes > maxAnnotationBytes) errors.push(tooLong(field, maxAnnotationBytes));
}

const stateOf = ({ status }: Request): string | undefined =>
  status?.conditions?.find(({ type, status: value }) => terminal.includes(type) && value === "True")?.type;

export function validatePodCertificateStatus(request: Request, old: Request, nowMs: number): FieldError[] {
  const errors: FieldError[] = [];
  const conditions = request.status?.conditions ?? [];
  let known = 0;
  for (const [i, { type, status }] of conditions.entries()) {
    const at = `status.conditions.[${i}]`; // as upstream writes this path
    if (!terminal.includes(type)) errors.push(notSupported(`${at}.type`, type, terminal));
    else {
      if (++known > 1)
        errors.push(invalidValue(`${at}.type`, type, 'There may be at most one condition with type "Issued", "Denied", or "Failed"'));
      if (status !== "True") errors.push(notSupported(`${at}.status`, status, ["True"]));
    }
  }
  validateConditions(errors, "status.conditions", conditions);
  if (errors.length > 0) return errors;
  const mustBe = (status: Request["status"], detail: string): FieldError[] =>
    semanticallyEqual(request.status ?? {}, status ?? {}) ? [] : [invalidValue("status", omittedValue, detail)];
  if (stateOf(old)) return mustBe(old.status, "immutable after PodCertificateRequest is issued, denied, or failed");
  const state = stateOf(request);
  if (state === undefined) return mustBe(old.status, 'status is immutable unless transitioning to "Issued", "Denied", or "Failed"');
  if (state !== "Issued")
    return mustBe({ conditions }, "non-condition status fields must be empty when denying or failing the PodCertificateRequest");
  return validateIssued(request, old, nowMs);
}

/** The first thing that is wrong with an issued chain. */
function validateIssued({ spec, status = {} }: Request, old: Request, nowMs: number): FieldError[] {
  const { certificateChain: chain = "" } = status;
  if (byteLength(chain) > maxChainBytes) return [tooLong(chainField, maxChainBytes)];
  const [leafPem, ...others] = pemBlocks(chain).map(({ text }) => text);
  const wrong = (detail: string): FieldError[] => [invalidValue(chainField, chain, detail)];
  if (leafPem === undefined) return wrong("issued certificate chain must contain at least one certificate");
  if (!leafPem.startsWith("-----BEGIN CERTIFICATE-----"))
    return wrong("issued certificate chain must consist entirely of CERTIFICATE PEM blocks");
  const leaf = parsed(leafPem);
  if (!leaf) return wrong("leaf certificate does not parse as valid X.509");
  const names = nameProblems(leaf);
  const key = requestedKey(old.spec);
  if (!key?.equals(leaf.publicKey)) return [...names, ...wrong("leaf certificate was not issued to the requested public key")];
  if (names.length > 0) return names;
  const times = validateTimes(leaf, status, { nowMs, maxSeconds: spec.maxExpirationSeconds ?? 0 });
  if (times.length > 0) return times;
  for (const pem of others) {
    if (!pem.startsWith("-----BEGIN CERTIFICATE-----"))
      return wrong("issued certificate chain must consist entirely of CERTFICATE PEM blocks"); // upstream's spelling
    if (!parsed(pem)) return wrong("intermediate certificate does not parse as valid X.509");
  }
  return [];
}

/** Names that no certificate should have. */
function nameProblems(leaf: X509Certificate): FieldError[] {
  const errors: FieldError[] = [];
  const alternatives = (leaf.subjectAltName ?? "").split(", ");
  for (const name of alternatives.filter((each) => each.startsWith("DNS:")).map((each) => each.slice(4))) {
    const refuse = (detail: string): void => void errors.push(invalidValue(chainField, name, detail));
    if (name === "") refuse("leaf certificate should not contain empty DNSName");
    if (name.includes("..")) refuse("leaf certificate's DNSName should not contain '..'");
    if (name.startsWith(".") || name.endsWith(".")) refuse("leaf certificate's DNSName should not start or end with '.'");
  }
  for (const address of alternatives.filter((each) => each.startsWith("email:")).map((each) => each.slice(6)))
    if (!/^[^\s@<>]+@[^\s@<>]+$/.test(address))
      errors.push(invalidValue(chainField, address, "leaf certificate should not contain invalid EmailAddress"));
  return errors;
}

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function validateTimes(
  leaf: X509Certificate,
  status: NonNullable<Request["status"]>,
  { nowMs, maxSeconds }: { readonly nowMs: number; readonly maxSeconds: number },
): FieldError[] {
  const { notBefore, notAfter, beginRefreshAt } = status;
  const missing: FieldError[] = [];
  if (!notBefore) missing.push(required("status.notBefore", "must be present and consistent with the issued certificate"));
  if (!notAfter) missing.push(required("status.notAfter", "must be present and consistent with the issued certificate"));
  if (!beginRefreshAt)
    missing.push(required("status.beginRefreshAt", "must be present and in the range [notbefore+10min, notafter-10min]"));
  if (!notBefore || !notAfter || !beginRefreshAt) return missing;
  const [from, to, refresh] = [notBefore, notAfter, beginRefreshAt].map((time) => parseTime(time) ?? Number.NaN) as [
    number,
    number,
    number,
  ];
  const wrong = (field: string, value: unknown, detail: string): FieldError[] => [invalidValue(field, value, detail)];
  const minute = 60_000;
  if (from !== Date.parse(leaf.validFrom))
    return wrong("status.notBefore", notBefore, "must be set to the NotBefore time encoded in the leaf certificate");
  if (Math.abs(from - nowMs) > 5 * minute)
    return wrong("status.notBefore", notBefore, "must be set to within 5 minutes of kube-apiserver's current time");
  if (to !== Date.parse(leaf.validTo))
    return wrong("status.notAfter", notAfter, "must be set to the NotAfter time encoded in the leaf certificate");
  const lifetimeSeconds = (to - from) / 1000;
  if (lifetimeSeconds < hourSeconds) return wrong(chainField, lifetimeSeconds * 1e9, "leaf certificate lifetime must be >= 1 hour");
  if (lifetimeSeconds > maxSeconds)
    return wrong(chainField, lifetimeSeconds * 1e9, `leaf certificate lifetime must be <= spec.maxExpirationSeconds (${maxSeconds})`);
  if (refresh < from + 10 * minute)
    return wrong("status.beginRefreshAt", beginRefreshAt, "must be at least 10 minutes after status.notBefore");
  if (refresh > to - 10 * minute)
    return wrong("status.beginRefreshAt", beginRefreshAt, "must be at least 10 minutes before status.notAfter");
  return [];
}

/** Bytes that are empty and bytes that are absent are the same. */
const withoutEmptyBytes = ({ pkixPublicKey, proofOfPossession, stubPKCS10Request, ...spec }: Request["spec"]): unknown => ({
  ...spec,
  bytes: [pkixPublicKey, proofOfPossession, stubPKCS10Request].map((bytes) => bytes || ""),
});

/** `nowMs` gives the time at which an issued certificate is looked at. */
export const podCertificateRequestDefinition = (nowMs: () => number) =>
  describe<Request>(podcertificaterequestsV1beta1, {
    countsGeneration: false,
    defaults: (request) => change(request, "spec", (spec) => fill(spec, { maxExpirationSeconds: defaultSeconds })),
    create: { validate: validatePodCertificateRequest },
    // Who writes the object owns what he says of its status, although that is not stored.
    resetFields: { "": [] },
    update: {
      validate(request, old) {
        const errors: FieldError[] = [];
        checkImmutable(
          errors,
          "spec",
          withoutEmptyBytes(request.spec),
          withoutEmptyBytes(old.spec),
          internalForm("PodCertificateRequestSpec", request.spec),
        );
        return errors;
      },
    },
    status: { prepare: withStatusKeepingMetadata, validate: (request, old) => validatePodCertificateStatus(request, old, nowMs()) },
    allowUnconditionalUpdate: false,
    namespaceNotSelectable: true,
    selectableFields: {
      "spec.signerName": ({ spec }) => spec.signerName,
      "spec.podName": ({ spec }) => spec.podName,
      "spec.nodeName": ({ spec }) => spec.nodeName,
    },
    table: {
      columns: [
        nameColumn,
        column("PodName", "The pod that gets the certificate."),
        column("ServiceAccountName", "The service account that the pod runs as."),
        column("NodeName", "The node that the pod runs on."),
        column("SignerName", "The signer that is asked."),
        column("State", "Is the request Pending, Issued, Denied, or Failed?"),
        column("UnverifiedUserAnnotations", "What the pod's author tells the signer."),
      ],
      cells: (request) => {
        const { metadata, spec } = request;
        const annotations = Object.entries(spec.unverifiedUserAnnotations ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
        const text = annotations.map(([name, value]) => `${name}=${value}`).join(",");
        return [
          metadata.name,
          spec.podName,
          spec.serviceAccountName,
          spec.nodeName,
          spec.signerName,
          stateOf(request) ?? "Pending",
          text || "<none>",
        ];
      },
    },
  });
