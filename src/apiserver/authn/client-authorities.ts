// The authorities behind client certificates. There are two bundles, and which of them a certificate leads to makes the
// difference: below the client CA it is who its subject says, below the front proxy's CA it may say so about others
// in headers. TLS checks chains against both together when a connection opens; here is found out which bundle vouches.
import { X509Certificate } from "node:crypto";

/** A PEM bundle, read. */
export class AuthorityBundle {
  readonly pem: string;
  readonly certificates: readonly X509Certificate[];

  /** Throws where a block cannot be read or there is none. */
  constructor(pem: string) {
    this.pem = pem;
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
    if (blocks.length === 0) throw new Error("data does not contain any valid RSA or ECDSA certificates");
    this.certificates = blocks.map((block) => new X509Certificate(block));
  }
}

/** What is believed of client certificates at present. */
export interface ClientAuthorities {
  readonly client?: AuthorityBundle | undefined;
  readonly frontProxy?: AuthorityBundle | undefined;
}

/** The PEM that TLS checks against: both bundles; undefined where there is none. */
export function trustedPem({ client, frontProxy }: ClientAuthorities): string | undefined {
  const pems = [client, frontProxy].flatMap((bundle) => (bundle ? [bundle.pem] : []));
  return pems.length === 0 ? undefined : pems.join("\n");
}

const longestChain = 8;

/** Whether a chain from the certificate, through those that were presented with it, ends at the bundle. */
export function leadsTo(bundle: AuthorityBundle, leaf: X509Certificate, presented: readonly X509Certificate[]): boolean {
  let frontier = [leaf];
  for (let length = 0; length < longestChain && frontier.length > 0; length++) {
    if (frontier.some((certificate) => bundle.certificates.some((authority) => isIssuedBy(certificate, authority)))) return true;
    frontier = presented.filter((issuer) => issuer.ca && frontier.some((certificate) => isIssuedBy(certificate, issuer)));
  }
  return false;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
