// tlsMinVersion, tlsCipherSuites and tlsCurvePreferences of the kubelet's configuration, from Go's names to OpenSSL's.
import type { ServerOptions } from "node:https";
import { createSecureContext } from "node:tls";
import { errorText } from "../../base/log.ts";
import { cipherSuites, curveGroups, defaultCiphers, tls13Suites, tlsVersions } from "../../base/tls-names.ts";
import { CommandError } from "../command-error.ts";

export interface TlsConfiguration {
  readonly tlsMinVersion: string;
  readonly tlsCipherSuites: readonly string[];
  readonly tlsCurvePreferences: readonly number[];
}

type TlsSettings = Pick<ServerOptions, "minVersion" | "ciphers" | "ecdhCurve">;

const versions: Readonly<Record<string, ServerOptions["minVersion"]>> = tlsVersions;

/** Throws CommandError for names that are not known. */
export function tlsSettings({ tlsMinVersion, tlsCipherSuites, tlsCurvePreferences }: TlsConfiguration): TlsSettings {
  const minVersion = versions[tlsMinVersion];
  if (tlsMinVersion !== "" && !minVersion)
    throw new CommandError(`tlsMinVersion (--tls-min-version): unknown tls version ${JSON.stringify(tlsMinVersion)}`);
  const settings: TlsSettings = {
    ...(minVersion ? { minVersion } : {}),
    ciphers: tlsCipherSuites.length > 0 ? ciphersOf(tlsCipherSuites) : defaultCiphers,
    ...(tlsCurvePreferences.length > 0 ? { ecdhCurve: curvesOf(tlsCurvePreferences) } : {}),
  };
  try {
    createSecureContext(settings);
  } catch (error) {
    throw new CommandError(`tlsMinVersion, tlsCipherSuites, tlsCurvePreferences: ${errorText(error)}`);
  }
  return settings;
}

function ciphersOf(names: readonly string[]): string {
  const chosen = names.map((name) => {
    const suite = cipherSuites[name];
    if (suite === undefined)
      throw new CommandError(`tlsCipherSuites (--tls-cipher-suites): Cipher suite ${name} not supported or doesn't exist`);
    return suite;
  });
  return [...new Set([...tls13Suites, ...chosen])].join(":");
}

function curvesOf(ids: readonly number[]): string {
  try {
    return curveGroups(ids);
  } catch (error) {
    throw new CommandError(`tlsCurvePreferences: ${errorText(error)}`);
  }
}
