// Names of chains and sets for what users have named: a hash, and then what it is about, such as "ULMVA6XW-ns1/svc1/tcp/p80".
// Whatever a name is made of, it cannot leave its place in the text of a transaction.
import { createHash } from "node:crypto";

/** Names may have 256 bytes with the ending zero; this leaves 15 for a prefix. */
const maxNameLength = 240;

export function hashedName(text: string): string {
  const hash = base32(createHash("sha256").update(text).digest()).slice(0, 8);
  const name = `${hash}-${text.replaceAll(/[^A-Za-z0-9_./-]/g, "_")}`;
  return name.length > maxNameLength ? `${name.slice(0, maxNameLength - 3)}...` : name;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The first 40 bits in base32 (RFC 4648). */
function base32(bytes: Uint8Array): string {
  let text = "";
  let value = 0;
  let bits = 0;
  for (const byte of bytes.subarray(0, 5)) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      text += alphabet[(value >> (bits - 5)) & 31];
      bits -= 5;
    }
    value &= (1 << bits) - 1;
  }
  return text;
}
