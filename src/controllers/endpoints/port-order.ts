// The order in which the ports of Endpoints and EndpointSlices stand: that of a hash of each, upstream's, so that both
// control planes write the same. The hash is FNV-1a of 128 bits over the port as Go prints its structure.
import type { EndpointPort as SubsetPort } from "../../api/types/core-v1.ts";
import type { EndpointPort as SlicePort } from "../../api/types/discovery-v1.ts";

const offsetBasis = 0x6c62272e07bb014262b821756295c58dn;
const prime = 0x0000000001000000000000000000013bn;
const mask = (1n << 128n) - 1n;

function fnv1a128(text: string): bigint {
  let hash = offsetBasis;
  for (const byte of new TextEncoder().encode(text)) hash = ((hash ^ BigInt(byte)) * prime) & mask;
  return hash;
}

const pointer = (type: string, value: string | number | undefined): string => `(*${type})${value ?? "<nil>"}`;

function printSlicePort({ name, protocol, port, appProtocol }: SlicePort): string {
  const fields = [`Name:${pointer("string", name)}`, `Protocol:${pointer("v1.Protocol", protocol)}`, `Port:${pointer("int32", port)}`];
  return `(v1.EndpointPort){${[...fields, `AppProtocol:${pointer("string", appProtocol)}`].join(" ")}}`;
}

function printSubsetPort({ name = "", port, protocol = "TCP", appProtocol }: SubsetPort): string {
  const fields = [`Name:(string)${name}`, `Port:(int32)${port}`, `Protocol:(v1.Protocol)${protocol}`];
  return `(v1.EndpointPort){${[...fields, `AppProtocol:${pointer("string", appProtocol)}`].join(" ")}}`;
}

function ordered<T>(ports: readonly T[], print: (port: T) => string): readonly T[] {
  if (ports.length < 2) return ports;
  const hashed = ports.map((port) => ({ port, hash: fnv1a128(print(port)) }));
  return hashed.sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0)).map(({ port }) => port);
}

export const orderedSlicePorts = (ports: readonly SlicePort[]): readonly SlicePort[] => ordered(ports, printSlicePort);

export const orderedSubsetPorts = (ports: readonly SubsetPort[]): readonly SubsetPort[] => ordered(ports, printSubsetPort);
