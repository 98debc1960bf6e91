// Flags that components have in common: how one of several leads, how health and metrics are served.
import { boolean, durationMs, type FlagType, flag, integer, list, optionalText, text } from "../../base/flags.ts";
import { kubernetesVersion } from "../../base/version.ts";

export const electionFlags = (lease: string, whom: string) => ({
  "leader-elect": flag(boolean, true, `let one of several ${whom} lead`),
  "leader-elect-lease-duration": flag(durationMs, 15_000, "others take over when the lease has not been renewed for so long"),
  "leader-elect-renew-deadline": flag(durationMs, 10_000, "the leader gives up when it could not renew for so long"),
  "leader-elect-retry-period": flag(durationMs, 2_000, "between two tries"),
  "leader-elect-resource-name": flag(text, lease, "name of the lease"),
  "leader-elect-resource-namespace": flag(text, "kube-system", "its namespace"),
});

export const servingFlags = (port: number) => ({
  "bind-address": flag(text, "0.0.0.0", "address on which health and metrics are served"),
  "secure-port": flag(integer({ min: 0, max: 65_535 }), port, "port of it; 0 serves nothing"),
  "tls-cert-file": flag(optionalText, undefined, "its certificate; default one that is made at the start"),
  "tls-private-key-file": flag(optionalText, undefined, "the key of --tls-cert-file"),
  "client-ca-file": flag(optionalText, undefined, "certificates that may have signed those of clients"),
  "authorization-always-allow-paths": flag(list, ["/healthz", "/readyz", "/livez"], "paths that everybody may ask for"),
});

/** Names of flags that have nothing to set here, for `flagsWithoutEffect`: logs' buffers, what is measured, how is served. */
export const ignoredComponentFlags = {
  "allow-metric-labels": undefined,
  "allow-metric-labels-manifest": undefined,
  "authentication-kubeconfig": undefined,
  "authentication-skip-lookup": "true",
  "authentication-token-webhook-cache-ttl": undefined,
  "authentication-tolerate-lookup-failure": "true",
  "authorization-kubeconfig": undefined,
  "authorization-webhook-cache-authorized-ttl": undefined,
  "authorization-webhook-cache-unauthorized-ttl": undefined,
  "cert-dir": undefined,
  "contention-profiling": "true",
  "disable-http2-serving": "true",
  "disabled-metrics": undefined,
  "http2-max-streams-per-connection": undefined,
  "kube-api-burst": undefined,
  "kube-api-content-type": undefined,
  "kube-api-qps": undefined,
  "leader-elect-resource-lock": undefined,
  "log-flush-frequency": undefined,
  "log-json-info-buffer-size": undefined,
  "log-json-split-stream": "true",
  "log-text-info-buffer-size": undefined,
  "log-text-split-stream": "true",
  "permit-address-sharing": "true",
  "permit-port-sharing": "true",
  profiling: "true",
  "requestheader-allowed-names": undefined,
  "requestheader-client-ca-file": undefined,
  "requestheader-extra-headers-prefix": undefined,
  "requestheader-group-headers": undefined,
  "requestheader-uid-headers": undefined,
  "requestheader-username-headers": undefined,
  "show-hidden-metrics-for-version": undefined,
  "tls-cipher-suites": undefined,
  "tls-curve-preferences": undefined,
  "tls-min-version": undefined,
  "tls-sni-cert-key": undefined,
} as const satisfies Readonly<Record<string, "true" | undefined>>;

const emulated = "1.36";

const emulatedVersion: FlagType<string> = {
  placeholder: "version",
  parse(value) {
    if (value.replace(/^kube=/, "") !== emulated) throw new Error(`expected ${emulated}: no other version is emulated`);
    return value;
  },
};

/** Taken with one value alone. */
export const versionFlags = {
  "emulated-version": flag(emulatedVersion, emulated, "the version whose behaviour this has"),
  "min-compatibility-version": flag(optionalText, undefined, "the oldest version of other components; without effect here"),
  version: flag(
    { placeholder: "", bare: "true", parse: (value) => value },
    "false",
    "print the version of Kubernetes that this stands for, and end",
  ),
};

/** "Kubernetes v1.36.2" where --version asks for it, as upstream's components say it. */
export function versionText({ version }: { readonly version: string }): string | undefined {
  return version === "false" ? undefined : `Kubernetes ${kubernetesVersion}\n`;
}
