// Addresses and blocks of addresses: parsed strictly, with Go's words for what is wrong, and asked what they are.

import { CelError } from "../../../cel/cel.ts";
import { actualSize } from "../../../cel/cost/actual.ts";
import { addRanges, scaleRange, traversalFactor } from "../../../cel/cost/estimates.ts";
import type { CelConstant, CelLibrary, CelOverload } from "../../../cel/library.ts";
import { boolType, type CelOpaqueType, type CelType, intType, stringType } from "../../../cel/types.ts";
import { CelOpaque, CelTypeValue, type CelValue } from "../../../cel/values.ts";
import { formatIP, maskIP } from "../../meta/ip.ts";
import { parseAddress, parsePrefix } from "./address-text.ts";
import { costByText, withUnitResults } from "./costs.ts";

export const ipType: CelOpaqueType = { kind: "opaque", name: "net.IP" };
export const cidrType: CelOpaqueType = { kind: "opaque", name: "net.CIDR" };

type Bytes = readonly number[];

const sameBytes = (a: Bytes, b: Bytes): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

export class CelIP extends CelOpaque {
  readonly typeName = ipType.name;
  readonly bytes: Bytes;

  constructor(bytes: Bytes) {
    super();
    this.bytes = bytes;
  }

  equals(other: CelValue): boolean {
    return other instanceof CelIP && sameBytes(other.bytes, this.bytes);
  }

  toJson(): unknown {
    return formatIP(this.bytes);
  }
}

export class CelCIDR extends CelOpaque {
  readonly typeName = cidrType.name;
  readonly bytes: Bytes;
  readonly prefixLength: number;

  constructor(bytes: Bytes, prefixLength: number) {
    super();
    this.bytes = bytes;
    this.prefixLength = prefixLength;
  }

  get text(): string {
    return `${formatIP(this.bytes)}/${this.prefixLength}`;
  }

  contains(bytes: Bytes): boolean {
    return sameBytes(maskIP(bytes, this.prefixLength), maskIP(this.bytes, this.prefixLength));
  }

  equals(other: CelValue): boolean {
    return other instanceof CelCIDR && other.text === this.text;
  }

  toJson(): unknown {
    return this.text;
  }
}

const isV4 = (bytes: Bytes): boolean => bytes.length === 4;
const isUnspecified = (bytes: Bytes): boolean => bytes.every((byte) => byte === 0);
const isLoopback = (bytes: Bytes): boolean => (isV4(bytes) ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0)));
const isMulticast = ([first = 0, ...rest]: Bytes): boolean => (rest.length === 3 ? (first & 0xf0) === 0xe0 : first === 0xff);
const isLinkLocalMulticast = (bytes: Bytes): boolean =>
  isV4(bytes) ? bytes[0] === 224 && bytes[1] === 0 && bytes[2] === 0 : bytes[0] === 0xff && ((bytes[1] ?? 0) & 0x0f) === 2;
const isLinkLocalUnicast = (bytes: Bytes): boolean =>
  isV4(bytes) ? bytes[0] === 169 && bytes[1] === 254 : bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
const isBroadcast = (bytes: Bytes): boolean => isV4(bytes) && bytes.every((byte) => byte === 255);
const isGlobalUnicast = (bytes: Bytes): boolean =>
  !isUnspecified(bytes) && !isLoopback(bytes) && !isMulticast(bytes) && !isLinkLocalUnicast(bytes) && !isBroadcast(bytes);

/** Whether a text is read without an error. */
function isReadBy(parse: (text: string) => unknown, text: CelValue | undefined): boolean {
  try {
    parse(text as string);
    return true;
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}

const toIP = (text: CelValue | undefined): CelIP => new CelIP(parseAddress(text as string));

function toCIDR(text: CelValue | undefined): CelCIDR {
  const { bytes, prefixLength } = parsePrefix(text as string);
  return new CelCIDR(bytes, prefixLength);
}

const ofIP = (id: string, result: CelType, read: (bytes: Bytes) => CelValue): CelOverload => ({
  id,
  member: true,
  parameters: [ipType],
  result,
  call: ([ip]) => read((ip as CelIP).bytes),
});

const ofText = (id: string, result: CelType, read: (text: CelValue | undefined) => CelValue, factor = 1): CelOverload => ({
  id,
  parameters: [stringType],
  result,
  call: ([text]) => read(text),
  ...costByText(0, factor),
});

const ofCIDR = (id: string, result: CelType, read: (cidr: CelCIDR) => CelValue): CelOverload => ({
  id,
  member: true,
  parameters: [cidrType],
  result,
  call: ([cidr]) => read(cidr as CelCIDR),
});

const typeConstant = ({ name }: CelOpaqueType): CelConstant => ({ name, type: { kind: "type" }, value: new CelTypeValue(name) });

export const ipLibrary: CelLibrary = {
  name: "kubernetes.net.ip",
  constants: [typeConstant(ipType)],
  functions: withUnitResults([
    { name: "ip", overloads: [ofText("string_to_ip", ipType, toIP)] },
    { name: "isIP", overloads: [ofText("is_ip", boolType, (text) => isReadBy(parseAddress, text))] },
    {
      name: "ip.isCanonical",
      overloads: [ofText("ip_is_canonical", boolType, (text) => formatIP(parseAddress(text as string)) === text, 2)],
    },
    { name: "family", overloads: [ofIP("ip_family", intType, (bytes) => (isV4(bytes) ? 4n : 6n))] },
    { name: "isUnspecified", overloads: [ofIP("ip_is_unspecified", boolType, isUnspecified)] },
    { name: "isLoopback", overloads: [ofIP("ip_is_loopback", boolType, isLoopback)] },
    { name: "isLinkLocalMulticast", overloads: [ofIP("ip_is_link_local_multicast", boolType, isLinkLocalMulticast)] },
    { name: "isLinkLocalUnicast", overloads: [ofIP("ip_is_link_local_unicast", boolType, isLinkLocalUnicast)] },
    { name: "isGlobalUnicast", overloads: [ofIP("ip_is_global_unicast", boolType, isGlobalUnicast)] },
    {
      name: "string",
      overloads: [{ id: "ip_to_string", parameters: [ipType], result: stringType, call: ([ip]) => formatIP((ip as CelIP).bytes) }],
    },
  ]),
};

const prefixBytes = (cidr: CelValue | undefined): number => Math.ceil((cidr as CelCIDR).prefixLength / 8);

/** Addresses are 4 or 16 bytes. */
const addressSize = { min: 4, max: 16 };
const containsIPEstimate = scaleRange(addRanges(addressSize, addressSize), traversalFactor);
const containsCIDREstimate = addRanges(addRanges(containsIPEstimate, scaleRange(addressSize, traversalFactor)), { min: 1, max: 1 });

interface Containment {
  readonly id: string;
  readonly other: CelType;
  /** Of blocks: their lengths are compared too. */
  readonly ofBlocks: boolean;
  readonly test: (cidr: CelCIDR, other: CelValue | undefined) => boolean;
}

function containment({ id, other, ofBlocks, test }: Containment): CelOverload {
  const base = ofBlocks ? containsCIDREstimate : containsIPEstimate;
  const isText = other === stringType;
  return {
    id,
    member: true,
    parameters: [cidrType, other],
    result: boolType,
    call: ([cidr, value]) => test(cidr as CelCIDR, value),
    cost: ([cidr, value]) => {
      const bytes = prefixBytes(cidr);
      const blocks = ofBlocks ? Math.ceil(bytes * traversalFactor) + 1 : 0;
      return Math.ceil(2 * bytes * traversalFactor) + blocks + (isText ? Math.ceil(actualSize(value ?? null) * traversalFactor) : 0);
    },
    estimate: ({ args: [value] }) => ({ cost: isText && value ? addRanges(base, scaleRange(value.size, traversalFactor)) : base }),
  };
}

const containsIP = (cidr: CelCIDR, other: CelIP): boolean => cidr.contains(other.bytes);
const containsCIDR = (cidr: CelCIDR, other: CelCIDR): boolean =>
  other.bytes.length === cidr.bytes.length && cidr.prefixLength <= other.prefixLength && cidr.contains(other.bytes);

export const cidrLibrary: CelLibrary = {
  name: "kubernetes.net.cidr",
  constants: [typeConstant(cidrType)],
  functions: withUnitResults([
    { name: "cidr", overloads: [ofText("string_to_cidr", cidrType, toCIDR)] },
    { name: "isCIDR", overloads: [ofText("is_cidr", boolType, (text) => isReadBy(parsePrefix, text))] },
    {
      name: "containsIP",
      overloads: [
        containment({
          id: "cidr_contains_ip_string",
          other: stringType,
          ofBlocks: false,
          test: (cidr, text) => containsIP(cidr, toIP(text)),
        }),
        containment({ id: "cidr_contains_ip_ip", other: ipType, ofBlocks: false, test: (cidr, ip) => containsIP(cidr, ip as CelIP) }),
      ],
    },
    {
      name: "containsCIDR",
      overloads: [
        containment({
          id: "cidr_contains_cidr_string",
          other: stringType,
          ofBlocks: true,
          test: (cidr, text) => containsCIDR(cidr, toCIDR(text)),
        }),
        containment({
          id: "cidr_contains_cidr",
          other: cidrType,
          ofBlocks: true,
          test: (cidr, other) => containsCIDR(cidr, other as CelCIDR),
        }),
      ],
    },
    { name: "ip", overloads: [ofCIDR("cidr_ip", ipType, ({ bytes }) => new CelIP(bytes))] },
    { name: "prefixLength", overloads: [ofCIDR("cidr_prefix_length", intType, ({ prefixLength }) => BigInt(prefixLength))] },
    {
      name: "masked",
      overloads: [ofCIDR("cidr_masked", cidrType, ({ bytes, prefixLength }) => new CelCIDR(maskIP(bytes, prefixLength), prefixLength))],
    },
    {
      name: "string",
      overloads: [{ id: "cidr_to_string", parameters: [cidrType], result: stringType, call: ([cidr]) => (cidr as CelCIDR).text }],
    },
  ]),
};
