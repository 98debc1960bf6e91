// Flags that components have in common: how one of several leads, how health and metrics are served.
import { boolean, durationMs, flag, integer, list, optionalText, text } from "../base/flags.ts";

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
