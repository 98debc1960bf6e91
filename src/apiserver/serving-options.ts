// The flags of the HTTPS port: certificates, also for other names, and how old TLS may be.
import type { SecureVersion } from "node:tls";
import { FlagError, type FlagType, type FlagValues, flag, integer, oneOf, optionalText, orDefault } from "../base/flags.ts";
import { errorText } from "../base/log.ts";
import { cipherSuites, curveGroups, tls13Suites, tlsVersions } from "../base/tls-names.ts";

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
  /** OpenSSL's names of cipher suites, joined by ":"; default Go's. */
  readonly ciphers?: string;
  /** OpenSSL's names of the groups that keys are exchanged in, joined by ":"; default OpenSSL's. */
  readonly curves?: string;
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

const suites: FlagType<readonly string[]> = {
  placeholder: "strings",
  parse(value, previous) {
    if (value === "") return previous ?? [];
    const found = value.split(",").map((name) => {
      const suite = cipherSuites[name.trim()];
      if (suite === undefined) throw new Error(`expected some of ${Object.keys(cipherSuites).join(", ")}`);
      return suite;
    });
    return [...(previous ?? []), ...found];
  },
};

const curveIds: FlagType<readonly number[]> = {
  placeholder: "ints",
  parse(value, previous) {
    if (value === "") return previous ?? [];
    return [...(previous ?? []), ...value.split(",").map((id) => curveId.parse(id, undefined))];
  },
};

const curveId = integer();

export const servingFlags = {
  "tls-cert-file": flag(optionalText, undefined, "serving certificate, with its chain; followed when it changes"),
  "tls-private-key-file": flag(optionalText, undefined, "key of the serving certificate"),
  "tls-sni-cert-key": flag(sniCertificates, [], "certificate and key for clients that ask for other names; may be repeated"),
  "tls-min-version": flag(
    orDefault(oneOf("VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"), "VersionTLS12"),
    "VersionTLS12",
    "the oldest TLS version that is spoken",
  ),
  "tls-cipher-suites": flag(suites, [], "cipher suites, by Go's names; default Go's"),
  "tls-curve-preferences": flag(
    curveIds,
    [],
    "groups that keys may be exchanged in, by the numbers of Go's CurveID, in no order; default all",
  ),
};

/** Checks what flags cannot check alone; throws FlagError. */
export function servingOptions(values: FlagValues<typeof servingFlags>): ServingSettings {
  const [certFile, keyFile] = [values["tls-cert-file"], values["tls-private-key-file"]];
  if (!certFile !== !keyFile) throw new FlagError("--tls-cert-file and --tls-private-key-file: expected both or neither");
  const chosen = [...new Set([...tls13Suites, ...values["tls-cipher-suites"]])];
  return {
    ...(certFile && keyFile ? { certificate: { certFile, keyFile } } : {}),
    sni: values["tls-sni-cert-key"],
    minTlsVersion: tlsVersions[values["tls-min-version"]],
    ...(values["tls-cipher-suites"].length > 0 ? { ciphers: chosen.join(":") } : {}),
    ...(values["tls-curve-preferences"].length > 0 ? { curves: curvesOf(values["tls-curve-preferences"]) } : {}),
  };
}

/** Upstream's checks, and the one whether this OpenSSL has the group. Throws FlagError. */
function curvesOf(ids: readonly number[]): string {
  try {
    return curveGroups(ids);
  } catch (error) {
    throw new FlagError(`--tls-curve-preferences: ${errorText(error)}`);
  }
}
