// A block of addresses, and what is given out of it: which are free, whose the others are. Pure: from one state of a block to
// the next. Writing it is left to whoever has read it, who compares versions.
import { createHash } from "node:crypto";
import { cidrContains, formatIP, type ParsedCIDR, type ParsedIP, parseCIDR } from "../api/meta/ip.ts";
import type { Pool } from "./pools.ts";
import type { AllocationAttributes, IPAMBlockSpec } from "./resources.ts";

/** "10.244.0.64/26" → "10-244-0-64-26". */
export function blockName(cidr: string): string {
  return cidr.replaceAll(/[.:/]/g, "-");
}

export function affinityName(node: string, cidr: string): string {
  return `${node}-${blockName(cidr)}`;
}

export const affinityTo = (node: string): string => `host:${node}`;

/** The node whose block it is. */
export function nodeOfBlock({ affinity }: Pick<IPAMBlockSpec, "affinity">): string | undefined {
  return affinity?.startsWith("host:") ? affinity.slice("host:".length) : undefined;
}

/** Handles' ids may have capitals, names of objects may not. */
export const handleName = (handleId: string): string => handleId.toLowerCase();

export function newBlock(cidr: string, node: string): IPAMBlockSpec {
  const size = sizeOf(cidr);
  return {
    ...{ cidr, affinity: affinityTo(node), strictAffinity: false, deleted: false },
    allocations: new Array<null>(size).fill(null),
    unallocated: Array.from({ length: size }, (_, place) => place),
    attributes: [],
    sequenceNumber: 0,
    sequenceNumberForAllocation: {},
  };
}

export interface Assignment {
  readonly block: IPAMBlockSpec;
  readonly address: string;
}

/** The block's next free address, given to the handle; undefined where there is none. */
export function assignNext(block: IPAMBlockSpec, attributes: AllocationAttributes): Assignment | undefined {
  const [place] = block.unallocated;
  return place === undefined ? undefined : assignPlace(block, place, attributes);
}

/** One address of the block; undefined where it is not in it or not free. */
export function assignAddress(block: IPAMBlockSpec, address: ParsedIP, attributes: AllocationAttributes): Assignment | undefined {
  const place = placeOf(block.cidr, address);
  return place !== undefined && block.unallocated.includes(place) ? assignPlace(block, place, attributes) : undefined;
}

function assignPlace(block: IPAMBlockSpec, place: number, attributes: AllocationAttributes): Assignment | undefined {
  const address = addressAt(block.cidr, place);
  if (address === undefined) return undefined;
  const text = JSON.stringify(attributes);
  const known = block.attributes.findIndex((each) => JSON.stringify(each) === text);
  const index = known < 0 ? block.attributes.length : known;
  const sequenceNumber = block.sequenceNumber + 1;
  return {
    address,
    block: {
      ...block,
      allocations: block.allocations.map((each, i) => (i === place ? index : each)),
      attributes: known < 0 ? [...block.attributes, attributes] : block.attributes,
      unallocated: block.unallocated.filter((each) => each !== place),
      sequenceNumber,
      sequenceNumberForAllocation: { ...block.sequenceNumberForAllocation, [String(place)]: sequenceNumber },
    },
  };
}

/** Gives back addresses by their places in the block; they are the last to be given out again. The block itself where none was. */
export function releasePlaces(block: IPAMBlockSpec, places: readonly number[]): IPAMBlockSpec {
  const freed = places.filter((place) => typeof block.allocations[place] === "number");
  if (freed.length === 0) return block;
  const allocations = block.allocations.map((each, place) => (freed.includes(place) ? null : each));
  const used = [...new Set(allocations.filter((each) => each !== null))].sort((a, b) => a - b);
  const renumbered = new Map(used.map((old, index) => [old, index]));
  const numbers = Object.entries(block.sequenceNumberForAllocation ?? {}).filter(([place]) => !freed.includes(Number(place)));
  return {
    ...block,
    allocations: allocations.map((each) => (each === null ? null : (renumbered.get(each) ?? null))),
    attributes: used.flatMap((index) => block.attributes[index] ?? {}),
    unallocated: [...block.unallocated, ...freed],
    sequenceNumber: block.sequenceNumber + 1,
    sequenceNumberForAllocation: Object.fromEntries(numbers),
  };
}

export interface Allocation {
  readonly place: number;
  readonly address: string;
  readonly handleId: string | undefined;
  readonly secondary: Readonly<Record<string, string>>;
}

export function allocationsOf(block: IPAMBlockSpec): readonly Allocation[] {
  return block.allocations.flatMap((index, place) => {
    if (typeof index !== "number") return [];
    const { handle_id: handleId, secondary = {} } = block.attributes[index] ?? {};
    const address = addressAt(block.cidr, place);
    return address === undefined ? [] : [{ place, address, handleId, secondary }];
  });
}

/** Where the handle's addresses are in the block. */
export function placesOfHandle(block: IPAMBlockSpec, handleId: string): readonly number[] {
  const indices = new Set(block.attributes.flatMap(({ handle_id: id }, index) => (id === handleId ? [index] : [])));
  return block.allocations.flatMap((index, place) => (index !== null && indices.has(index) ? [place] : []));
}

export const isEmpty = (block: IPAMBlockSpec): boolean => block.allocations.every((index) => index === null);

/**
 * A block of the pool that nobody has yet, searched from a place that the node's name decides, so that nodes which start
 * together do not all want the same one. Undefined where the pool is used up.
 */
export function freeBlock(
  { cidr, blockSize }: Pick<Pool, "cidr" | "blockSize">,
  node: string,
  taken: ReadonlySet<string>,
): string | undefined {
  const bits = BigInt(cidr.network.length * 8);
  const count = 1n << BigInt(blockSize - cidr.prefixLength);
  const start = createHash("sha256").update(node).digest().readBigUInt64BE() % count;
  const base = toNumber(cidr.network);
  // One more than are taken is enough to find one that is free.
  for (let i = 0n; i < count && i <= BigInt(taken.size); i++) {
    const first = base + (((start + i) % count) << (bits - BigInt(blockSize)));
    const block = `${formatIP(toBytes(first, cidr.network.length))}/${blockSize}`;
    if (!taken.has(block)) return block;
  }
  return undefined;
}

function sizeOf(cidr: string): number {
  const parsed = rangeOf(cidr);
  return 2 ** (parsed.network.length * 8 - parsed.prefixLength);
}

function addressAt(cidr: string, place: number): string | undefined {
  const { network } = rangeOf(cidr);
  return place < 0 || place >= sizeOf(cidr) ? undefined : formatIP(toBytes(toNumber(network) + BigInt(place), network.length));
}

function placeOf(cidr: string, address: ParsedIP): number | undefined {
  const parsed = rangeOf(cidr);
  return cidrContains(parsed, address) ? Number(toNumber(address.bytes) - toNumber(parsed.network)) : undefined;
}

function rangeOf(cidr: string): ParsedCIDR {
  const parsed = parseCIDR(cidr);
  if (!parsed) throw new Error(`the IPAM block's cidr ${JSON.stringify(cidr)} is no range of addresses`);
  return parsed;
}

const toNumber = (bytes: readonly number[]): bigint => bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);

function toBytes(number: bigint, length: number): number[] {
  return Array.from({ length }, (_, i) => Number((number >> BigInt(8 * (length - 1 - i))) & 0xffn));
}
