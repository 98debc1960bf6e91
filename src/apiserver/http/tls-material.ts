// What the HTTPS port presents and believes: its certificate, further ones for other names (SNI), and the authorities of client
// certificates. All of it can be replaced while the server runs: new connections get the new certificate, and requests of open
// ones are judged by the new authorities.

import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions, type TLSSocket } from "node:tls";
import { LruMap } from "../../base/lru-map.ts";
import { type AuthorityBundle, type ClientAuthorities, leadsTo, trustedPem } from "../authn/client-authorities.ts";
import type { ConnectionFacts } from "./http1.ts";

export interface ServingCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

/** A certificate for clients that ask for one of its names. */
export interface NamedCertificate extends ServingCertificate {
  /** "api.example.com", "*.example.com"; none: those in the certificate. */
  readonly names: readonly string[];
}

export interface TlsMaterial {
  readonly certificate: ServingCertificate;
  readonly sni?: readonly NamedCertificate[];
  /** Whose client certificates are believed. Without any no client certificate counts. */
  readonly authorities?: ClientAuthorities;
}

/** Context of the server's own certificate. Throws what OpenSSL says against the certificate or the key. */
export function secureContextOf({ certificate, authorities = {} }: TlsMaterial): Pick<SecureContextOptions, "cert" | "key" | "ca"> {
  const ca = trustedPem(authorities);
  return { cert: certificate.certPem, key: certificate.keyPem, ...(ca === undefined ? {} : { ca }) };
}

/** Contexts by the names that clients ask for. */
export class NamedContexts {
  readonly #exact = new Map<string, SecureContext>();
  /** By what follows the first label. */
  readonly #wildcards = new Map<string, SecureContext>();

  /** Throws what OpenSSL says against a certificate or a key. Of two certificates for one name the first counts. */
  constructor({ sni = [], authorities = {} }: TlsMaterial, limits: Pick<SecureContextOptions, "minVersion" | "ciphers" | "ecdhCurve">) {
    for (const certificate of sni) {
      const context = createSecureContext({ ...limits, ...secureContextOf({ certificate, authorities }) });
      const names = certificate.names.length > 0 ? certificate.names : namesIn(certificate.certPem);
      for (const name of names.map((n) => n.toLowerCase())) {
        const [map, key] = name.startsWith("*.") ? ([this.#wildcards, name.slice(2)] as const) : ([this.#exact, name] as const);
        if (!map.has(key)) map.set(key, context);
      }
    }
  }

  find(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase().replace(/\.$/, "");
    return this.#exact.get(name) ?? this.#wildcards.get(name.slice(name.indexOf(".") + 1));
  }
}

function namesIn(certPem: string): readonly string[] {
  const { subject, subjectAltName } = new X509Certificate(certPem);
  const names = (subjectAltName ?? "").split(", ").flatMap((name) => /^DNS:(.*)$/.exec(name)?.[1] ?? []);
  if (names.length > 0) return names;
  return /^CN=(.*)$/m.exec(subject)?.slice(1, 2) ?? [];
}

const rememberedChains = 1024;

/** The certificates that clients presented, beneath their own, by the fingerprint of that: resumed sessions do not have them. */
export class PresentedChains {
  readonly #chains = new LruMap<string, readonly X509Certificate[]>(rememberedChains);

  of(leaf: X509Certificate): readonly X509Certificate[] {
    const chain: X509Certificate[] = [];
    const seen = new Set([leaf.fingerprint256]);
    for (let next = leaf.issuerCertificate; next && !seen.has(next.fingerprint256); next = next.issuerCertificate) {
      seen.add(next.fingerprint256);
      chain.push(next);
    }
    if (chain.length > 0) this.#chains.set(leaf.fingerprint256, chain);
    return chain.length > 0 ? chain : (this.#chains.get(leaf.fingerprint256) ?? chain);
  }
}

/** What is known of a connection's other end. Which authority vouches for it is found out once for each state of those. */
export class PeerFacts implements ConnectionFacts {
  readonly remoteAddress: string;
  readonly #authorities: () => ClientAuthorities;
  readonly #isPresented: boolean;
  /** Where TLS has found its chain good. */
  readonly #leaf: X509Certificate | undefined;
  readonly #der: Uint8Array | undefined;
  readonly #presented: readonly X509Certificate[];
  #judgedBy: ClientAuthorities | undefined;
  #byClient: Uint8Array | undefined;
  #byFrontProxy: Uint8Array | undefined;

  constructor(socket: TLSSocket, chains: PresentedChains, authorities: () => ClientAuthorities) {
    this.remoteAddress = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
    this.#authorities = authorities;
    // OpenSSL has checked the whole chain, with its times and constraints, against both bundles together.
    const presented = socket.getPeerX509Certificate();
    this.#isPresented = presented !== undefined;
    this.#leaf = socket.authorized ? presented : undefined;
    this.#der = this.#leaf?.raw;
    this.#presented = this.#leaf ? chains.of(this.#leaf) : [];
  }

  get clientCertificate(): Uint8Array | undefined {
    this.#judge();
    return this.#byClient;
  }

  get frontProxyCertificate(): Uint8Array | undefined {
    this.#judge();
    return this.#byFrontProxy;
  }

  get hasUnknownCertificate(): boolean {
    return this.#isPresented && this.clientCertificate === undefined;
  }

  #judge(): void {
    const leaf = this.#leaf;
    if (!leaf) return;
    const authorities = this.#authorities();
    if (authorities === this.#judgedBy) return;
    this.#judgedBy = authorities;
    const vouched = (bundle: AuthorityBundle | undefined): Uint8Array | undefined =>
      bundle && leadsTo(bundle, leaf, this.#presented) ? this.#der : undefined;
    this.#byClient = vouched(authorities.client);
    this.#byFrontProxy = vouched(authorities.frontProxy);
  }
}
