// The flags by which API servers on one store find each other and pass requests on (the gate UnknownVersionInteroperabilityProxy, on
// by default as upstream).
import type { FeatureGates } from "../api/semantics/feature-gates.ts";
import { FlagError, type FlagValues, flag, optionalText, refuse } from "../base/flags.ts";
import type { PeerAddress } from "./peers/peer-endpoints.ts";

export interface PeerSettings {
  /** PEM of the authority of other servers' certificates: with it requests are passed on to them. */
  readonly caFile?: string;
  /** Where it is another address than the one that the server is reached at. */
  readonly advertiseAddress?: PeerAddress;
}

export const peerGate = "UnknownVersionInteroperabilityProxy";

export const peerFlags = {
  "peer-ca-file": flag(
    optionalText,
    undefined,
    "authority of other API servers' certificates: what they serve and this one does not is passed on to them",
  ),
  "peer-advertise-ip": flag(optionalText, undefined, "address at which other API servers reach this one; with the port"),
  "peer-advertise-port": flag(optionalText, undefined, "port at which other API servers reach this one"),
};

/** Throws FlagError. */
export function peerOptions(values: FlagValues<typeof peerFlags>, gates: FeatureGates): PeerSettings {
  const [ip, port] = [values["peer-advertise-ip"], values["peer-advertise-port"]];
  const given = Object.entries(values).filter(([name, value]) => name in peerFlags && value);
  if (!gates.enabled(peerGate)) refuse(...given.map(([name]) => [true, `--${name} requires ${peerGate} feature to be turned on`] as const));
  const caFile = values["peer-ca-file"] ? { caFile: values["peer-ca-file"] } : {};
  // As upstream: one without the other is passed over.
  if (!ip || !port) return caFile;
  const number = Number(port);
  if (!/^\d+$/.test(port) || number < 1 || number > 65535) throw new FlagError("--peer-advertise-port: expected a port from 1 to 65535");
  return { ...caFile, advertiseAddress: { host: ip, port: number } };
}
