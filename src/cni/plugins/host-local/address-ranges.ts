// Of host-local: the configured ranges of addresses, checked, and which address comes next. Ranges come in sets; of each set one
// address is given out. Pure.

import { invalidConfig } from "../../spec/cni-error.ts";
import { addressOf, type Family, familyOf, firstHost, numberOf, requireAddress, requireCidr } from "../addresses.ts";
import { asObject, listField, textField } from "../config-fields.ts";

export interface AddressRange {
  readonly family: Family;
  readonly prefixLength: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly gateway: bigint;
}

export type RangeSet = readonly AddressRange[];

/** The range sets of an `ipam` section, those of the runtime's `ipRanges` first. Throws CniError. */
export function readRangeSets(ipam: Readonly<Record<string, unknown>>, ipRanges: unknown): readonly RangeSet[] {
  const single = textField(ipam, "subnet") === undefined ? [] : [[ipam]];
  const sets = [...asSets(ipRanges, "ipRanges"), ...single, ...asSets(ipam.ranges, "ranges")];
  if (sets.length === 0) throw invalidConfig("no IP ranges specified");
  const read = sets.map((set, index) => {
    if (set.length === 0) throw invalidConfig(`invalid range set ${index}: empty range set`);
    const ranges = set.map((range) => readRange(asObject(range, "ranges")));
    if (ranges.some(({ family }) => family !== ranges[0]?.family))
      throw invalidConfig(`invalid range set ${index}: mixed address families`);
    return ranges;
  });
  requireDisjoint(read.flat());
  return read;
}

function asSets(value: unknown, name: string): readonly (readonly unknown[])[] {
  return listField({ [name]: value }, name).map((set) => listField({ [name]: set }, name));
}

function readRange(range: Readonly<Record<string, unknown>>): AddressRange {
  const text = textField(range, "subnet");
  if (text === undefined) throw invalidConfig("subnet: a range needs one");
  const subnet = requireCidr(text, "subnet");
  const family = familyOf(subnet.canonical);
  const bits = family === 4 ? 32 : 128;
  if (subnet.prefixLength > bits - 2) throw invalidConfig(`Network ${subnet.canonical} too small to allocate from`);
  if (subnet.ip.canonical !== subnet.canonical.split("/")[0])
    throw invalidConfig(`Network has host bits set. Subnet should be ${subnet.canonical}`);
  const first = numberOf(subnet.network);
  const last = first + (1n << BigInt(bits - subnet.prefixLength)) - 1n;
  const inside = (name: string): bigint | undefined => {
    const given = textField(range, name);
    if (given === undefined) return undefined;
    const { number, family: other } = requireAddress(given, name);
    if (other !== family || number < first || number > last) throw invalidConfig(`${name} ${given} not in network ${subnet.canonical}`);
    return number;
  };
  const gatewayText = textField(range, "gateway");
  const gateway =
    gatewayText === undefined ? requireAddress(firstHost(subnet), "gateway").number : requireAddress(gatewayText, "gateway").number;
  const start = inside("rangeStart") ?? first + 1n;
  const end = inside("rangeEnd") ?? (family === 4 ? last - 1n : last);
  if (start > end) throw invalidConfig(`rangeStart ${addressOf(start, family)} is after rangeEnd ${addressOf(end, family)}`);
  return { family, prefixLength: subnet.prefixLength, start, end, gateway };
}

function requireDisjoint(ranges: readonly AddressRange[]): void {
  for (const [i, a] of ranges.entries())
    for (const b of ranges.slice(i + 1))
      if (a.family === b.family && a.start <= b.end && b.start <= a.end)
        throw invalidConfig(`range ${describeRange(a)} overlaps with ${describeRange(b)}`);
}

const describeRange = ({ start, end, family }: AddressRange): string => `${addressOf(start, family)}-${addressOf(end, family)}`;

export const describeSet = (set: RangeSet): string => set.map(describeRange).join(",");

export function rangeOf(set: RangeSet, address: string): AddressRange | undefined {
  const { number, family } = requireAddress(address, "address");
  return set.find((range) => range.family === family && range.start <= number && number <= range.end);
}

/** Those of a set in the order in which they are tried: after the last one given out, and round again; gateways are left out. */
export function* candidates(
  set: RangeSet,
  last: string | undefined,
): Generator<{ readonly address: string; readonly range: AddressRange }> {
  const [first] = set;
  if (!first) return;
  const lastRange = last === undefined ? undefined : rangeOf(set, last);
  const begin = lastRange === undefined ? 0 : set.indexOf(lastRange);
  const from = last === undefined || lastRange === undefined ? first.start : requireAddress(last, "address").number + 1n;
  for (let turn = 0; turn <= set.length; turn++) {
    const range = set[(begin + turn) % set.length] ?? first;
    const start = turn === 0 ? from : range.start;
    // The last turn comes back to the part of the first range that was passed over.
    const end = turn === set.length ? from - 1n : range.end;
    for (let number = start; number <= end; number++)
      if (number !== range.gateway) yield { address: addressOf(number, range.family), range };
  }
}
