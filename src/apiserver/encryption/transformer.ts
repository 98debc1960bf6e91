// What stands between objects and the store where they are encrypted at rest. A transformer is given the whole key in the store
// besides the value, so that a value moved to another key does not decrypt.
import type { TransformFigures } from "./encryption-metrics.ts";

export interface Plain {
  readonly bytes: Uint8Array;
  /** It would be written otherwise now (another provider or key is first): the next write of the object does so. */
  readonly stale: boolean;
}

export interface Transformer {
  /** At once where the key is at hand; throws or rejects with DecryptError. Without figures nothing is counted. */
  decrypt(stored: Uint8Array, storageKey: string, figures?: TransformFigures): Plain | Promise<Plain>;
  encrypt(plain: Uint8Array, storageKey: string, figures?: TransformFigures): Uint8Array | Promise<Uint8Array>;
}

export class DecryptError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DecryptError";
  }
}

/** A cipher with its key: the stored form without its prefix. */
export interface Cipher {
  decrypt(stored: Uint8Array, storageKey: string): Uint8Array;
  encrypt(plain: Uint8Array, storageKey: string): Uint8Array;
}

/** One entry of a provider list: what its values begin with, and how they are made. */
export interface PrefixedTransformer {
  /** "k8s:enc:aescbc:v1:key1:"; "" for values as they are. */
  readonly prefix: string;
  readonly transformer: Transformer;
}

/** A cipher whose values are never stale of themselves. */
export function ofCipher(prefix: string, cipher: Cipher): PrefixedTransformer {
  return {
    prefix,
    transformer: {
      decrypt: (stored, key) => ({ bytes: cipher.decrypt(stored, key), stale: false }),
      encrypt: (plain, key) => cipher.encrypt(plain, key),
    },
  };
}

const encryptedPrefix = Buffer.from("k8s:enc:");

/** Values as they are; those that somebody has encrypted are not handed out as objects. */
export const identity: PrefixedTransformer = {
  prefix: "",
  transformer: {
    decrypt(stored) {
      if (startsWith(stored, encryptedPrefix)) throw new DecryptError("identity transformer tried to read encrypted data");
      return { bytes: stored, stale: false };
    },
    encrypt: (plain) => plain,
  },
};

/** The first writes; every one reads what begins with its prefix. What any but the first has read is stale. */
export function firstOf(list: readonly PrefixedTransformer[]): Transformer {
  const entries = list.map(({ prefix, transformer }) => ({ prefix: Buffer.from(prefix), name: prefix, transformer }));
  const [first] = entries;
  if (!first) throw new Error("a list of transformers is empty");
  return {
    decrypt(stored, key, figures) {
      const problems: unknown[] = [];
      const begunMs = figures?.clock.monotonic() ?? 0;
      for (const { prefix, name, transformer } of entries) {
        if (!startsWith(stored, prefix)) continue;
        const stale = transformer !== first.transformer;
        try {
          const plain = transformer.decrypt(stored.subarray(prefix.length), key);
          const counted = counting(plain, (error) => figures?.done("from_storage", name, begunMs, error));
          if (counted instanceof Promise) return counted.then((found) => ({ bytes: found.bytes, stale: stale || found.stale }));
          return stale ? { bytes: counted.bytes, stale } : counted;
        } catch (error) {
          // Two keys of one name: the other may be the right one. That identity is none of encrypted values does not count.
          problems.push(error);
          if (name !== "") figures?.done("from_storage", name, begunMs, error);
        }
      }
      const [cause] = problems;
      const problem = cause instanceof Error ? cause : new DecryptError("no matching prefix found");
      figures?.done("from_storage", undefined, begunMs, problem);
      throw problem;
    },
    encrypt(plain, key, figures) {
      const begunMs = figures?.clock.monotonic() ?? 0;
      let value: Uint8Array | Promise<Uint8Array>;
      try {
        value = first.transformer.encrypt(plain, key);
      } catch (error) {
        figures?.done("to_storage", first.name, begunMs, error);
        throw error;
      }
      const counted = counting(value, (error) => figures?.done("to_storage", first.name, begunMs, error));
      return counted instanceof Promise ? counted.then((bytes) => prefixed(first.prefix, bytes)) : prefixed(first.prefix, counted);
    },
  };
}

/** Tells when the value is there, or why it is not. */
function counting<T>(value: T | Promise<T>, done: (error?: unknown) => void): T | Promise<T> {
  if (!(value instanceof Promise)) {
    done();
    return value;
  }
  return value.then(
    (found) => {
      done();
      return found;
    },
    (error: unknown) => {
      done(error);
      throw error;
    },
  );
}

function prefixed(prefix: Buffer, bytes: Uint8Array): Uint8Array {
  return prefix.length === 0 ? bytes : Buffer.concat([prefix, bytes]);
}

function startsWith(bytes: Uint8Array, prefix: Buffer): boolean {
  return bytes.length >= prefix.length && prefix.equals(bytes.subarray(0, prefix.length));
}
