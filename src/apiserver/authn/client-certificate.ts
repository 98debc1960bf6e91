// Client certificates: the common name is the user, the organizations are the groups. The TLS layer has checked the chain
// when the connection was opened; what can change afterwards, that the certificate expires, is checked on each request.
import { createHash } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { parseCertificate } from "../../base/x509/certificate.ts";
import type { Authentication, Authenticator } from "./authenticator.ts";

interface Known {
  readonly authentication: Authentication;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export function createClientCertificateAuthenticator(deps: { readonly clock: Clock }): Authenticator {
  // A connection gives the same bytes with each of its requests: they are read once.
  const known = new WeakMap<Uint8Array, Known>();
  return {
    authenticate(request) {
      const der = request.clientCertificate;
      if (!der) return undefined;
      let found = known.get(der);
      if (!found) {
        found = read(der);
        known.set(der, found);
      }
      const nowMs = deps.clock.now();
      if (nowMs > found.notAfterMs || nowMs < found.notBeforeMs) throw new Error("x509: certificate has expired or is not yet valid");
      return found.authentication.user.name === "" ? undefined : found.authentication;
    },
  };
}

function read(der: Uint8Array): Known {
  const { subject, notBeforeMs, notAfterMs, extendedKeyUsages } = parseCertificate(der);
  if (extendedKeyUsages.length > 0 && !extendedKeyUsages.some((u) => u === "clientAuth" || u === "any"))
    throw new Error("x509: certificate specifies an incompatible key usage");
  const fingerprint = createHash("sha256").update(der).digest("hex");
  const user = {
    name: subject.commonName,
    groups: subject.organizations,
    extra: { "authentication.kubernetes.io/credential-id": [`X509SHA256=${fingerprint}`] },
  };
  return { authentication: { user }, notBeforeMs, notAfterMs };
}
