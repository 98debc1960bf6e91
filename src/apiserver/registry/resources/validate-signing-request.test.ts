import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { FieldError } from "../../../api/meta/field-error.ts";
import type { CertificateSigningRequest, CertificateSigningRequestStatus } from "../../../api/types/certificates-v1.ts";
import { createSigningRequest } from "../../../base/x509/signing-request.ts";
import { validateSigningRequest, validateSigningRequestUpdate } from "./validate-signing-request.ts";

const metadata = { name: "a", namespace: "", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const messages = (errors: readonly FieldError[]): string[] => errors.map((error) => error.message);

describe("validateSigningRequest()", () => {
  const keys = generateKeyPairSync("ed25519");
  const pem = createSigningRequest({ commonName: "a", organizations: [] }, keys);
  const request = (status: CertificateSigningRequestStatus): CertificateSigningRequest => ({
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata,
    spec: { request: Buffer.from(pem).toString("base64"), signerName: "example.com/x", usages: ["client auth"] },
    status,
  });
  const approved = { type: "Approved", status: "True" };

  it("decisions are always true, and one of two", () => {
    expect(validateSigningRequest(request({}))).toEqual([]);
    expect(
      messages(
        validateSigningRequest(
          request({
            conditions: [
              { ...approved, status: "False" },
              { type: "Denied", status: "True" },
            ],
          }),
        ),
      ),
    ).toEqual([
      'status.conditions[0].status: Unsupported value: "False": supported values: "True"',
      'status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive',
    ]);
  });

  it("a request without an end is refused in time that is proportional to its length", () => {
    const endless = Buffer.from("-----BEGIN CERTIFICATE REQUEST-----\n".repeat(50_000)).toString("base64");
    const { spec, ...rest } = request({});
    expect(messages(validateSigningRequest({ ...rest, spec: { ...spec, request: endless } }))[0]).toContain(
      "PEM block type must be CERTIFICATE REQUEST",
    );
  });

  it("decisions come through approval only, and stay", () => {
    const [plain, decided] = [request({}), request({ conditions: [approved] })];
    expect(validateSigningRequestUpdate(decided, plain, "approval")).toEqual([]);
    expect(messages(validateSigningRequestUpdate(decided, plain, "status"))).toEqual([
      'status.conditions: Forbidden: updates may not add a condition of type "Approved"',
    ]);
    expect(messages(validateSigningRequestUpdate(plain, decided, "approval"))).toEqual([
      'status.conditions: Forbidden: updates may not remove a condition of type "Approved"',
    ]);
  });

  it("certificates are PEM", () => {
    const certificate = Buffer.from(pem).toString("base64");
    expect(messages(validateSigningRequestUpdate(request({ certificate }), request({}), "status"))).toEqual([
      'status.certificate: Invalid value: "<certificate data>": only CERTIFICATE PEM blocks are allowed, found "CERTIFICATE REQUEST"',
    ]);
  });

  it("signer names are a domain and a path", () => {
    const spec = { ...request({}).spec, signerName: "local/A" };
    expect(messages(validateSigningRequest({ ...request({}), spec }))).toEqual([
      'spec.signerName: Invalid value: "local": should be a domain with at least two segments separated by dots',
      expect.stringContaining('spec.signerName: Invalid value: "A": validating label "A": a lowercase RFC 1123 subdomain'),
    ]);
  });
});
