// Client certificates: the common name is the user, the organizations are the groups. The TLS layer has checked the chain
// when the connection was opened; what can change afterwards, that the certificate expires, is checked on each request.
import { createHash } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { type Certificate, parseCertificate } from "../../base/x509/certificate.ts";
import type { Authentication, Authenticator } from "./authenticator.ts";

/** A certificate that may be presented now. Throws where its time or its purpose says otherwise. */
type CertificateReader = (der: Uint8Array) => Certificate;

/** Reads certificates of connections, each once: a connection gives the same bytes with each of its requests. */
export function createCertificateReader(deps: { readonly clock: Clock }): CertificateReader {
  const known = new WeakMap<Uint8Array, Certificate>();
  return (der) => {
    let found = known.get(der);
    if (!found) {
      found = parseClientCertificate(der);
      known.set(der, found);
    }
    const nowMs = deps.clock.now();
    if (nowMs > found.notAfterMs || nowMs < found.notBeforeMs) throw new Error("x509: certificate has expired or is not yet valid");
    return found;
  };
}

function parseClientCertificate(der: Uint8Array): Certificate {
  const certificate = parseCertificate(der);
  const { extendedKeyUsages } = certificate;
  if (extendedKeyUsages.length > 0 && !extendedKeyUsages.some((u) => u === "clientAuth" || u === "any"))
    throw new Error("x509: certificate specifies an incompatible key usage");
  return certificate;
}

/** `observeExpiry`: told how many seconds the certificate of a request is still good for. */
export function createClientCertificateAuthenticator(deps: {
  readonly clock: Clock;
  readonly observeExpiry?: (seconds: number) => void;
}): Authenticator {
  const read = createCertificateReader(deps);
  const known = new WeakMap<Certificate, Authentication>();
  return {
    authenticate(request) {
      // Who shows a certificate is not anonymous: unless a token says who it is, the request is refused.
      if (request.hasUnknownCertificate) throw new Error("x509: certificate signed by unknown authority");
      if (!request.clientCertificate) return undefined;
      const certificate = read(request.clientCertificate);
      deps.observeExpiry?.((certificate.notAfterMs - deps.clock.now()) / 1000);
      if (certificate.subject.commonName === "") return undefined;
      let found = known.get(certificate);
      if (!found) {
        found = authenticationBy(certificate);
        known.set(certificate, found);
      }
      return found;
    },
  };
}

function authenticationBy({ der, subject }: Certificate): Authentication {
  const fingerprint = createHash("sha256").update(der).digest("hex");
  return {
    user: {
      name: subject.commonName,
      groups: subject.organizations,
      extra: { "authentication.kubernetes.io/credential-id": [`X509SHA256=${fingerprint}`] },
    },
  };
}
