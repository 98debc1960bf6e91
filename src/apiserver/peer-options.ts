// The flags by which API servers on one store find each other (the gate UnknownVersionInteroperabilityProxy, on by default as
// upstream): the address that stands in the server's identity lease. Requests are not passed on from one to another here.
import type { FeatureGates } from "../api/semantics/feature-gates.ts";
import { FlagError, type FlagValues, flag, optionalText, refuse } from "../base/flags.ts";

export interface PeerSettings {
  /** PEM; nothing is done with it beyond reading it. */
  readonly caFile?: string;
  /** "10.0.0.1:6443", where it is another address than the one that the server is reached at. */
  readonly advertiseAddress?: string;
}

export const peerGate = "UnknownVersionInteroperabilityProxy";

export const peerFlags = {
  "peer-ca-file": flag(optionalText, undefined, "authority of other API servers' certificates; checked only, as none of them is called"),
  "peer-advertise-ip": flag(optionalText, undefined, "address in this server's identity lease, for other API servers; with the port"),
  "peer-advertise-port": flag(optionalText, undefined, "port in this server's identity lease, for other API servers"),
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
  return { ...caFile, advertiseAddress: ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}` };
}
