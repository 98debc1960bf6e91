// The HTTPS port of an API server: what is wrong with it is said by the flag that would mend it, and its certificates change with
// their files.
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import {
  type AuthenticationConfigMap,
  type AuthenticationConfigMapDeps,
  createAuthenticationConfigMap,
} from "../../apiserver/authn/authentication-config-map.ts";
import { type HttpsServer, startHttpsServer } from "../../apiserver/http/https-server.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { ApiServer } from "../../apiserver/server.ts";
import type { Clock } from "../../base/clock.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import { CommandError } from "../command-error.ts";
import type { ServingMaterial } from "./serving-material.ts";

/** Serves with new certificates as their files change, and tells aggregated API servers whom this one believes. */
export function followCertificates(
  material: ServingMaterial,
  https: HttpsServer,
  deps: Pick<AuthenticationConfigMapDeps, "client" | "reader" | "clock" | "logger">,
): AuthenticationConfigMap {
  const { authorities, requestHeader } = material;
  const map = createAuthenticationConfigMap({ ...deps, authorities, requestHeader });
  const following = material.follow(
    (tls) => https.setTls(tls),
    () => map.changed(),
  );
  return {
    start: () => map.start(),
    changed: () => map.changed(),
    async stop() {
      await following.stop();
      await map.stop();
    },
  };
}

/** Loaded where it is spoken only. */
async function cborCodecFor({ featureGates }: ApiServerSettings): Promise<CborCodec | undefined> {
  if (!featureGates.enabled("CBORServingAndStorage")) return undefined;
  const { cborCodec } = await import("../../api/encode/cbor/cbor-codec.ts");
  return cborCodec;
}

/** Throws CommandError. */
export async function listen(
  api: ApiServer,
  settings: ApiServerSettings,
  material: ServingMaterial,
  { metrics, ...deps }: { readonly clock: Clock; readonly logger: Logger; readonly metrics: MetricsRegistry },
): Promise<HttpsServer> {
  const handshakeErrors = metrics
    .counter("apiserver_tls_handshake_errors_total", "[ALPHA] Number of requests dropped with 'TLS handshake error from' error")
    .series();
  const { bindAddress: host, securePort: port, serving, edge } = settings;
  try {
    return await startHttpsServer(
      { api, ...deps, onHandshakeError: () => handshakeErrors.add() },
      {
        ...{ tls: material.tls, minTlsVersion: serving.minTlsVersion, host, port },
        ...(serving.ciphers ? { ciphers: serving.ciphers } : {}),
        ...(serving.curves ? { curves: serving.curves } : {}),
        http2: edge.http2,
        compress: settings.featureGates.enabled("APIResponseCompression"),
        cbor: await cborCodecFor(settings),
        drainMs: settings.requestTimeoutMs,
        sendRetryAfter: edge.shutdown.sendRetryAfter,
        watchGraceMs: edge.shutdown.watchGraceMs,
      },
    );
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") throw new CommandError(`--secure-port: port ${port} of ${host} is in use by another process`);
    if (code === "EACCES") throw new CommandError(`--secure-port: port ${port} may not be used without more privileges`);
    if (code === "EADDRNOTAVAIL") throw new CommandError(`--bind-address: ${host} is not an address of this machine`);
    if (code?.startsWith("ERR_OSSL") || code?.startsWith("ERR_SSL"))
      throw new CommandError(`--tls-min-version, --tls-cipher-suites: ${errorText(error)}`);
    throw error;
  }
}

export const isEveryAddress = (address: string): boolean => address === "0.0.0.0" || address === "::";

/** The host of a URL at which this machine reaches the server. */
export function urlHost(address: string): string {
  if (isEveryAddress(address)) return "127.0.0.1";
  return address.includes(":") ? `[${address}]` : address;
}

/** "name:port", where the name does not have a port already. */
export function externalAddress(name: string, port: number): string {
  if (/^(?:[^:]+|\[.*\]):\d+$/.test(name)) return name;
  return `${urlHost(name)}:${port}`;
}
