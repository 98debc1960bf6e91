// FNV-1a of 64 bits, as Go's hash/fnv reckons it, in halves of 32 bits: numbers hold no product of 64.

const offsetBasis = { high: 0xcbf29ce4, low: 0x84222325 };
/** The prime is 2^40 and this. */
const primeLow = 0x1b3;

/** The hash of a text's UTF-8 bytes, in 16 hexadecimal digits. */
export function fnv64Hex(text: string): string {
  let { high, low } = offsetBasis;
  for (const byte of Buffer.from(text)) {
    low = (low ^ byte) >>> 0;
    const product = low * primeLow;
    high = (Math.imul(high, primeLow) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return digits(high) + digits(low);
}

const digits = (half: number): string => half.toString(16).padStart(8, "0");
