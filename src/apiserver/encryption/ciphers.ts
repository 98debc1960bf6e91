// The ciphers of encryption at rest in upstream's forms, so that either server reads what the other has written.
// aescbc: 16 bytes of IV, then AES-CBC with PKCS#7 padding. aesgcm: 12 bytes of nonce, AES-GCM, 16 bytes of tag; the key in the
// store is authenticated with it. secretbox: 24 bytes of nonce, then NaCl's XSalsa20-Poly1305.
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { type Cipher, DecryptError } from "./transformer.ts";

const ivBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;

export function aesCbc(key: Uint8Array): Cipher {
  const algorithm = `aes-${key.length * 8}-cbc`;
  return {
    decrypt(stored) {
      if (stored.length < 2 * ivBytes) throw tooShort();
      if (stored.length % ivBytes !== 0) throw new DecryptError("the stored data is not a multiple of the block size");
      const cipher = createDecipheriv(algorithm, key, stored.subarray(0, ivBytes)).setAutoPadding(false);
      return withoutPadding(Buffer.concat([cipher.update(stored.subarray(ivBytes)), cipher.final()]));
    },
    encrypt(plain) {
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv(algorithm, key, iv);
      return Buffer.concat([iv, cipher.update(plain), cipher.final()]);
    },
  };
}

/** Without PKCS#7 padding, which another key leaves behind by chance only. */
function withoutPadding(padded: Buffer): Buffer {
  const count = padded.at(-1) ?? 0;
  if (count === 0 || count > padded.length) throw new DecryptError("invalid PKCS7 data (empty or not padded)");
  const end = padded.length - count;
  if (padded.subarray(end).some((byte) => byte !== count)) throw new DecryptError("invalid padding on input");
  return padded.subarray(0, end);
}

export function aesGcm(key: Uint8Array): Cipher {
  const algorithm = key.length === 16 ? "aes-128-gcm" : key.length === 24 ? "aes-192-gcm" : "aes-256-gcm";
  return {
    decrypt(stored, storageKey) {
      if (stored.length < nonceBytes + tagBytes) throw tooShort();
      const decipher = createDecipheriv(algorithm, key, stored.subarray(0, nonceBytes), { authTagLength: tagBytes });
      decipher.setAAD(Buffer.from(storageKey));
      decipher.setAuthTag(stored.subarray(stored.length - tagBytes));
      const text = stored.subarray(nonceBytes, stored.length - tagBytes);
      return authentic(() => Buffer.concat([decipher.update(text), decipher.final()]), "cipher: message authentication failed");
    },
    encrypt(plain, storageKey) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
      cipher.setAAD(Buffer.from(storageKey));
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
  };
}

const infoBytes = 32;

/**
 * AES-GCM with a key of its own for every value, derived from the seed and 32 random bytes that go before the value: no number
 * of writes wears the seed out. One block of HKDF's expansion with SHA-256 is just the key.
 */
export function seededAesGcm(seed: Uint8Array): Cipher {
  const cipherOf = (info: Uint8Array): Cipher => aesGcm(expandedKey(seed, info));
  return {
    decrypt(stored, storageKey) {
      if (stored.length < infoBytes) throw tooShort();
      return cipherOf(stored.subarray(0, infoBytes)).decrypt(stored.subarray(infoBytes), storageKey);
    },
    encrypt(plain, storageKey) {
      const info = randomBytes(infoBytes);
      return Buffer.concat([info, cipherOf(info).encrypt(plain, storageKey)]);
    },
  };
}

/** The first 32 bytes of HKDF-Expand (RFC 5869) with SHA-256. */
export function expandedKey(seed: Uint8Array, info: Uint8Array): Uint8Array {
  return createHmac("sha256", seed).update(info).update(Uint8Array.of(1)).digest();
}

const boxNonceBytes = 24;

/** Asynchronous because its package is loaded by those who use it. */
export async function secretBox(key: Uint8Array): Promise<Cipher> {
  const { xsalsa20poly1305 } = await import("@noble/ciphers/salsa.js");
  return {
    decrypt(stored) {
      if (stored.length < boxNonceBytes + tagBytes) throw tooShort();
      const { nonce, text } = { nonce: stored.subarray(0, boxNonceBytes), text: stored.subarray(boxNonceBytes) };
      return authentic(() => xsalsa20poly1305(key, nonce).decrypt(text), "output array was not large enough for encryption");
    },
    encrypt(plain) {
      const nonce = randomBytes(boxNonceBytes);
      return Buffer.concat([nonce, xsalsa20poly1305(key, nonce).encrypt(plain)]);
    },
  };
}

const tooShort = (): DecryptError => new DecryptError("the stored data was shorter than the required size");

/** `refusal`: what upstream says of another key and of a changed value alike. */
function authentic(decrypt: () => Uint8Array, refusal: string): Uint8Array {
  try {
    return decrypt();
  } catch (cause) {
    throw new DecryptError(refusal, { cause });
  }
}
