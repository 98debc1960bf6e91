// The flags of the HTTPS port: certificates, also for other names, and how old TLS may be.
import type { SecureVersion } from "node:tls";
import { FlagError, type FlagType, type FlagValues, flag, oneOf, optionalText } from "../base/flags.ts";

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface SniCertificateFiles extends CertificateFiles {
  /** "api.example.com", "*.example.com"; none: those in the certificate. */
  readonly names: readonly string[];
}

export interface ServingSettings {
  /** Default a certificate issued by the cluster's own authority. */
  readonly certificate?: CertificateFiles;
  readonly sni: readonly SniCertificateFiles[];
  readonly minTlsVersion: SecureVersion;
  /** OpenSSL's names of cipher suites, joined by ":"; default Node's. */
  readonly ciphers?: string;
}

const sniCertificates: FlagType<readonly SniCertificateFiles[]> = {
  placeholder: "cert,key[:names]",
  parse(value, previous) {
    const colon = value.lastIndexOf(":");
    const files = (colon < 0 ? value : value.slice(0, colon)).split(",").map((file) => file.trim());
    const names =
      colon < 0
        ? []
        : value
            .slice(colon + 1)
            .split(",")
            .map((name) => name.trim());
    const [certFile = "", keyFile = ""] = files;
    if (files.length !== 2 || certFile === "" || keyFile === "" || names.includes(""))
      throw new Error('expected "certfile,keyfile" or "certfile,keyfile:name,*.name"');
    return [...(previous ?? []), { certFile, keyFile, names }];
  },
};

const versions = { VersionTLS10: "TLSv1", VersionTLS11: "TLSv1.1", VersionTLS12: "TLSv1.2", VersionTLS13: "TLSv1.3" } as const;

/** By Go's names. Those of TLS 1.3 cannot be chosen, as in Go: they are always offered. */
const cipherSuites: Readonly<Record<string, string>> = {
  TLS_AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256",
  TLS_AES_256_GCM_SHA384: "TLS_AES_256_GCM_SHA384",
  TLS_CHACHA20_POLY1305_SHA256: "TLS_CHACHA20_POLY1305_SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: "ECDHE-ECDSA-AES128-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: "ECDHE-RSA-AES128-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA",
  TLS_RSA_WITH_AES_128_CBC_SHA256: "AES128-SHA256",
  TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256",
  TLS_RSA_WITH_AES_256_CBC_SHA: "AES256-SHA",
  TLS_RSA_WITH_AES_256_GCM_SHA384: "AES256-GCM-SHA384",
};
const tls13 = Object.keys(cipherSuites).filter((name) => cipherSuites[name] === name);

const suites: FlagType<readonly string[]> = {
  placeholder: "strings",
  parse(value, previous) {
    const found = value.split(",").map((name) => {
      const suite = cipherSuites[name.trim()];
      if (suite === undefined) throw new Error(`expected some of ${Object.keys(cipherSuites).join(", ")}`);
      return suite;
    });
    return [...(previous ?? []), ...found];
  },
};

export const servingFlags = {
  "tls-cert-file": flag(optionalText, undefined, "serving certificate, with its chain; followed when it changes"),
  "tls-private-key-file": flag(optionalText, undefined, "key of the serving certificate"),
  "tls-sni-cert-key": flag(sniCertificates, [], "certificate and key for clients that ask for other names; may be repeated"),
  "tls-min-version": flag(
    oneOf("VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"),
    "VersionTLS12",
    "the oldest TLS version that is spoken",
  ),
  "tls-cipher-suites": flag(suites, [], "cipher suites, by Go's names; default Node's"),
};

/** Checks what flags cannot check alone; throws FlagError. */
export function servingOptions(values: FlagValues<typeof servingFlags>): ServingSettings {
  const [certFile, keyFile] = [values["tls-cert-file"], values["tls-private-key-file"]];
  if ((certFile === undefined) !== (keyFile === undefined))
    throw new FlagError("--tls-cert-file and --tls-private-key-file: expected both or neither");
  const chosen = [...new Set([...tls13, ...values["tls-cipher-suites"]])];
  return {
    ...(certFile !== undefined && keyFile !== undefined ? { certificate: { certFile, keyFile } } : {}),
    sni: values["tls-sni-cert-key"],
    minTlsVersion: versions[values["tls-min-version"]],
    ...(values["tls-cipher-suites"].length > 0 ? { ciphers: chosen.join(":") } : {}),
  };
}
