// Header blocks of SPDY/3.1. All blocks of one direction of a connection share one zlib stream. Decoding inflates with
// node:zlib; encoding writes stored (uncompressed) deflate blocks, which need no compressor state and end on a byte. An empty
// one after each block makes the peer's inflater hand over what it has (a sync flush): Go's would wait for more.
import { constants, createInflate, type Inflate, type ZlibOptions } from "node:zlib";
import { spdyDictionary, spdyDictionaryId } from "./dictionary.ts";

export type SpdyHeaders = Readonly<Record<string, string>>;

const maxBlockBytes = 64 * 1024;
const syncFlush = Buffer.from([0, 0, 0, 0xff, 0xff]);
/** Of a block that has been inflated: a short one can hold very much. */
const maxInflatedBytes = 16 * maxBlockBytes;
const inflateOptions: ZlibOptions = { dictionary: spdyDictionary, finishFlush: constants.Z_SYNC_FLUSH };

export class HeaderEncoder {
  #started = false;

  encode(headers: SpdyHeaders): Buffer {
    const parts: Buffer[] = [uint32(Object.keys(headers).length)];
    for (const [name, value] of Object.entries(headers)) {
      for (const text of [name.toLowerCase(), value]) {
        const bytes = Buffer.from(text);
        parts.push(uint32(bytes.length), bytes);
      }
    }
    const block = Buffer.concat(parts);
    if (block.length > 0xffff) throw new Error(`SPDY headers of ${block.length} bytes; at most 65535 are possible`);
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(block.length, 1);
    stored.writeUInt16LE(block.length ^ 0xffff, 3);
    const start = this.#started ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x78, 0xf9]), uint32(spdyDictionaryId)]);
    this.#started = true;
    return Buffer.concat([start, stored, block, syncFlush]);
  }
}

export class HeaderDecoder {
  readonly #inflate: Inflate = createInflate(inflateOptions);
  #failure: Error | undefined;
  #inflated: Buffer[] = [];
  #size = 0;

  constructor() {
    this.#inflate.on("error", (error) => {
      this.#failure = error;
    });
    // Taken as it comes: a write waits for ever where nobody reads.
    this.#inflate.on("data", (chunk: Buffer) => {
      this.#size += chunk.length;
      if (this.#size <= maxInflatedBytes) return void this.#inflated.push(chunk);
      this.#failure ??= new Error(`SPDY header block of more than ${maxInflatedBytes} bytes when inflated`);
      this.#inflate.destroy(this.#failure);
    });
  }

  /** Blocks must be decoded in the order of their arrival, one at a time. */
  async decode(block: Uint8Array): Promise<SpdyHeaders> {
    if (block.length > maxBlockBytes) throw new Error(`SPDY header block of ${block.length} bytes; at most ${maxBlockBytes} are accepted`);
    await new Promise<void>((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#inflate.once("error", reject);
      this.#inflate.write(block, () => {
        this.#inflate.off("error", reject);
        resolve();
      });
    });
    if (this.#failure) throw this.#failure;
    const inflated = Buffer.concat(this.#inflated);
    this.#inflated = [];
    this.#size = 0;
    return parseBlock(inflated);
  }

  close(): void {
    this.#inflate.destroy();
  }
}

function parseBlock(bytes: Buffer): SpdyHeaders {
  let at = 0;
  const next = (): Buffer => {
    const length = bytes.readUInt32BE(at);
    at += 4 + length;
    if (at > bytes.length) throw new Error("SPDY header block ends in the middle of a header");
    return bytes.subarray(at - length, at);
  };
  if (bytes.length < 4) throw new Error("SPDY header block without a count");
  const count = bytes.readUInt32BE(0);
  at = 4;
  const headers: Record<string, string> = {};
  for (let i = 0; i < count; i++) {
    const name = next().toString("latin1").toLowerCase();
    headers[name] = next().toString("utf8").replaceAll("\0", ", ");
  }
  return headers;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
