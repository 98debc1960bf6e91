// The form of one version on disk: a header of fixed size, the key in UTF-8, the value as it was given.
//   0  uint32  length of the key in bytes
//   4  uint32  zero, for what may come
//   8  double  modRevision    16  double  createRevision    24  double  version, 0 for a tombstone    32  double  expiresAtMs
import type { Version } from "./version-index.ts";

const headerBytes = 40;
const empty = new Uint8Array(0);

/** Larger batches get memory of their own. */
const keptBytes = 1024 * 1024;

/** Encodes batches one after the other: the records of a batch are good until the next is encoded. */
export class RecordEncoder {
  #kept = Buffer.alloc(0);

  encode(versions: readonly Version[]): Buffer[] {
    let total = 0;
    // Keys are UTF-8: a character is at most three bytes.
    for (const version of versions) total += headerBytes + 3 * version.key.length + bytesOf(version).length;
    const memory = this.#memoryOf(total);
    let start = 0;
    return versions.map((version) => {
      const end = writeRecord(memory, start, version);
      const record = memory.subarray(start, end);
      start = end;
      return record;
    });
  }

  #memoryOf(bytes: number): Buffer {
    if (bytes > keptBytes) return Buffer.allocUnsafeSlow(bytes);
    if (this.#kept.length < bytes) this.#kept = Buffer.allocUnsafeSlow(Math.min(keptBytes, Math.max(64 * 1024, 2 * bytes)));
    return this.#kept;
  }
}

/** Returns where the record ends. */
function writeRecord(memory: Buffer, start: number, version: Version): number {
  const value = bytesOf(version);
  const keyBytes = memory.write(version.key, start + headerBytes);
  memory.writeUInt32LE(keyBytes, start);
  memory.writeUInt32LE(0, start + 4);
  memory.writeDoubleLE(version.modRevision, start + 8);
  memory.writeDoubleLE(version.createRevision, start + 16);
  memory.writeDoubleLE(version.version, start + 24);
  memory.writeDoubleLE(version.expiresAtMs, start + 32);
  memory.set(value, start + headerBytes + keyBytes);
  return start + headerBytes + keyBytes + value.length;
}

function bytesOf({ value }: Version): Uint8Array {
  return value instanceof Uint8Array ? value : empty;
}

/** Everything but the value, which is not looked at. */
export function decodeVersion(record: Buffer, position: number): Version {
  return {
    key: record.toString("utf8", headerBytes, headerBytes + record.readUInt32LE(0)),
    modRevision: record.readDoubleLE(8),
    createRevision: record.readDoubleLE(16),
    version: record.readDoubleLE(24),
    expiresAtMs: record.readDoubleLE(32),
    previous: undefined,
    value: undefined,
    position,
  };
}

/** The value, sharing the record's memory. */
export function recordValue(record: Buffer): Uint8Array {
  const start = headerBytes + record.readUInt32LE(0);
  return new Uint8Array(record.buffer, record.byteOffset + start, record.length - start);
}
