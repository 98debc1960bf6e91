// Looks at the pages of an LMDB file with plain reads. LMDB maps the file and trusts it: a page that is not there, or is no page,
// ends the process with a signal instead of an error. So where a file is shorter than it says, or a process died while it was
// opening it, the trees of the newest transaction are walked first. Values are not looked at. The tree of free pages is walked
// each time, for LMDB itself looks at it first when it writes; it is small.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { endianness } from "node:os";

/** What stands at the beginning of LMDB's file, behind the header of its first page. */
const magic = 0xbeefc0de;
const magicOffset = 24;
const minPageBytes = 4096;
/** Of every page; offsets within a page are counted from its end. */
const headerBytes = 24;
/** In a record of metadata: the two trees' descriptions, the last page, the transaction. */
const [treesOffset, lastPageOffset, transactionOffset] = [24, 120, 128];
/** A tree's description, and its root in it. */
const [treeBytes, rootOffset] = [48, 40];
const [branchFlag, leafFlag, overflowFlag] = [1, 2, 4];
/** Of entries: the value has pages of its own; it describes a tree. */
const [bigFlag, treeFlag] = [1, 2];
const noPage = 2n ** 64n - 1n;
const maxDepth = 32;
/** Of a transaction's number. */
const transactionBytes = 8;

/** Throws where the file is none of LMDB's, and, if it is short or `always`, where pages that are in use are damaged or not there. */
export function checkLmdbFile(path: string, always: boolean): void {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
    throw error;
  }
  try {
    const { size } = fstatSync(file);
    // Both pages of metadata are written at once when the file is created; until then it is empty.
    if (size === 0) return;
    new Pages(file, { path, size }).check(always);
  } finally {
    closeSync(file);
  }
}

class Pages {
  readonly #file: number;
  readonly #path: string;
  readonly #size: number;
  #pageBytes = minPageBytes;
  #left = 0;

  constructor(file: number, { path, size }: { readonly path: string; readonly size: number }) {
    this.#file = file;
    this.#path = path;
    this.#size = size;
  }

  check(always: boolean): void {
    const first = this.#metadata(0);
    if (this.#size < 2 * minPageBytes || !first) throw new Error(`${this.#path} is damaged, or not of LMDB`);
    // Its numbers are the machine's, as LMDB writes them.
    if (endianness() !== "LE") return;
    this.#pageBytes = first.readUInt32LE(treesOffset);
    if (this.#pageBytes < minPageBytes || this.#pageBytes > 65_536) throw this.#damaged(0);
    const second = this.#metadata(1);
    const newest = second && second.readBigUInt64LE(transactionOffset) > first.readBigUInt64LE(transactionOffset) ? second : first;
    const pages = Number(newest.readBigUInt64LE(lastPageOffset)) + 1;
    this.#left = pages;
    this.#tree(newest.readBigUInt64LE(treesOffset + rootOffset), { ofFreePages: true });
    if (always || this.#size < pages * this.#pageBytes) this.#tree(newest.readBigUInt64LE(treesOffset + treeBytes + rootOffset));
  }

  #metadata(number: number): Buffer | undefined {
    const bytes = Buffer.alloc(minPageBytes);
    readSync(this.#file, bytes, 0, bytes.length, number * this.#pageBytes);
    const record = bytes.subarray(magicOffset);
    const found = endianness() === "LE" ? record.readUInt32LE(0) : record.readUInt32BE(0);
    return found === magic ? record : undefined;
  }

  #damaged(page: number): Error {
    return new Error(
      `${this.#path} is damaged: page ${page}, which is in use, is ${page * this.#pageBytes < this.#size ? "none" : "not there"}; restore the store from a copy`,
    );
  }

  #page(number: bigint, isWanted: (flags: number) => boolean): Buffer {
    const bytes = Buffer.alloc(this.#pageBytes);
    const page = number <= BigInt(this.#size) ? Number(number) : this.#size;
    // More pages than there are: one leads back to another.
    if (this.#left-- <= 0) throw this.#damaged(page);
    const length = readSync(this.#file, bytes, 0, bytes.length, page * this.#pageBytes);
    if (length < bytes.length || bytes.readBigUInt64LE(0) !== number || !isWanted(bytes.readUInt16LE(18))) throw this.#damaged(page);
    return bytes;
  }

  #tree(number: bigint, { depth = 0, ofFreePages = false } = {}): void {
    if (number === noPage) return;
    const page = this.#page(number, (flags) => (flags & (branchFlag | leafFlag)) !== 0);
    const isBranch = (page.readUInt16LE(18) & branchFlag) !== 0;
    if (depth > maxDepth) throw this.#damaged(Number(number));
    const count = page.readUInt16LE(20) / 2;
    if (ofFreePages && headerBytes + count * 2 > page.length) throw this.#damaged(Number(number));
    for (let i = 0; i < count; i++) {
      const entry = headerBytes + (i * 2 + 2 <= page.length - headerBytes ? page.readUInt16LE(headerBytes + i * 2) : page.length);
      if (entry + 8 > page.length) throw this.#damaged(Number(number));
      if (isBranch) this.#tree(BigInt(page.readUIntLE(entry, 6)), { depth: depth + 1, ofFreePages });
      else if (ofFreePages) this.#freePages(page, entry, Number(number));
      else this.#value(page, entry, Number(number));
    }
  }

  /** Under the number of a transaction the pages that it freed: how many there are, and they. */
  #freePages(page: Buffer, entry: number, number: number): void {
    const value = entry + 8 + transactionBytes;
    const bytes = page.readUInt16LE(entry) + page.readUInt16LE(entry + 2) * 65_536;
    const flags = page.readUInt16LE(entry + 4);
    const isBig = (flags & bigFlag) !== 0;
    if (page.readUInt16LE(entry + 6) !== transactionBytes || (flags & ~bigFlag) !== 0 || value + (isBig ? 8 : bytes) > page.length)
      throw this.#damaged(number);
    let list = page.subarray(value);
    if (isBig) {
      this.#value(page, entry, number);
      list = this.#page(page.readBigUInt64LE(value), () => true).subarray(headerBytes);
      this.#left++;
    }
    if (bytes < 8 || list.readBigUInt64LE(0) > BigInt(bytes / 8 - 1)) throw this.#damaged(number);
  }

  #value(page: Buffer, entry: number, number: number): void {
    const flags = page.readUInt16LE(entry + 4);
    if ((flags & (bigFlag | treeFlag)) === 0) return;
    const value = entry + 8 + page.readUInt16LE(entry + 6);
    if (value + ((flags & treeFlag) !== 0 ? treeBytes : 8) > page.length) throw this.#damaged(number);
    if ((flags & treeFlag) !== 0) return this.#tree(page.readBigUInt64LE(value + rootOffset));
    const first = page.readBigUInt64LE(value);
    const count = this.#page(first, (kind) => (kind & overflowFlag) !== 0).readUInt32LE(20);
    if ((Number(first) + count) * this.#pageBytes > this.#size) throw this.#damaged(Number(first) + count - 1);
    this.#left -= count - 1;
  }
}
