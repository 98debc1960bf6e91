// Reads a request's body into one buffer, within a limit and without trusting Content-Length.
import type { Readable } from "node:stream";
import { badRequest, StatusError } from "../../api/meta/status-error.ts";
import type { RequestBody } from "../request.ts";

const noBody: RequestBody = { kind: "none" };

/** The body of a message of either HTTP version. `declaredBytes`: its Content-Length, where it has one. */
export function requestBody(stream: Readable, method: string, declaredBytes: string | undefined, chunked: boolean): RequestBody {
  if (declaredBytes === "0" || (declaredBytes === undefined && !chunked) || method === "GET" || method === "HEAD") return noBody;
  const declared = declaredBytes === undefined ? 0 : Number(declaredBytes);
  return new ReadableBody(stream, declared);
}

class ReadableBody {
  readonly kind = "bytes";
  readonly #stream: Readable;
  readonly #declared: number;

  constructor(stream: Readable, declared: number) {
    this.#stream = stream;
    this.#declared = declared;
  }

  read(limitBytes: number): Promise<Uint8Array> {
    return readAll(this.#stream, this.#declared, limitBytes);
  }

  stream(): Readable {
    return this.#stream;
  }
}

export function bodyTooLarge(limitBytes: number): StatusError {
  return new StatusError({
    code: 413,
    reason: "RequestEntityTooLarge",
    message: `Request entity too large: limit is ${limitBytes}`,
  });
}

function readAll(stream: Readable, declared: number, limitBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    if (declared > limitBytes) return reject(bodyTooLarge(limitBytes));
    const chunks: Buffer[] = [];
    let length = 0;
    const onBroken = (error?: Error): void =>
      reject(badRequest(`the body of the request was cut short${error ? `: ${error.message}` : ""}`));
    if (stream.destroyed) return onBroken();
    // The listeners stay: the stream ends with its request, and what comes after the first answer counts for nothing.
    stream.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= limitBytes) chunks.push(chunk);
      else {
        stream.pause();
        reject(bodyTooLarge(limitBytes));
      }
    });
    stream.on("end", () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, length)));
    stream.on("error", onBroken);
    stream.on("close", () => {
      // Every stream closes: after its end that is no news, and an Error costs its stack.
      if (!stream.readableEnded) onBroken();
    });
  });
}
