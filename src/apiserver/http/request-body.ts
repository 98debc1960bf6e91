// Reads a request's body into one buffer, within a limit and without trusting Content-Length.
import type { Readable } from "node:stream";
import { badRequest, StatusError } from "../../api/meta/status-error.ts";
import type { RequestBody } from "../request.ts";

const noBody: RequestBody = { kind: "none" };

export interface BodyFacts {
  readonly method: string;
  /** Content-Length, where there is one. */
  readonly declaredBytes: string | undefined;
  /** Whether a body may follow without one. */
  readonly chunked: boolean;
  /** Where the client waits to be told that its body is wanted (Expect: 100-continue): called when it is read. */
  readonly sendContinue?: (() => void) | undefined;
}

/** The body of a message of either HTTP version. */
export function requestBody(stream: Readable, { method, declaredBytes, chunked, sendContinue }: BodyFacts): RequestBody {
  if (declaredBytes === "0" || (declaredBytes === undefined && !chunked) || method === "GET" || method === "HEAD") return noBody;
  const declared = declaredBytes === undefined ? 0 : Number(declaredBytes);
  return new ReadableBody(stream, declared, sendContinue);
}

class ReadableBody {
  readonly kind = "bytes";
  readonly #stream: Readable;
  readonly #declared: number;
  readonly #sendContinue: (() => void) | undefined;
  #fail: ((reason: unknown) => void) | undefined = undefined;

  constructor(stream: Readable, declared: number, sendContinue: (() => void) | undefined) {
    this.#stream = stream;
    this.#declared = declared;
    this.#sendContinue = sendContinue;
  }

  read(limitBytes: number): Promise<Uint8Array> {
    if (this.#declared <= limitBytes) this.#sendContinue?.();
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      readAll(this.#stream, { declared: this.#declared, limitBytes, resolve, reject });
    });
  }

  cutShort(reason: unknown): void {
    this.#fail?.(reason);
  }

  stream(): Readable {
    this.#sendContinue?.();
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

interface Reading {
  readonly declared: number;
  readonly limitBytes: number;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

function readAll(stream: Readable, { declared, limitBytes, resolve, reject }: Reading): void {
  if (declared > limitBytes) return reject(bodyTooLarge(limitBytes));
  const chunks: Buffer[] = [];
  let length = 0;
  const onBroken = (error?: Error): void => reject(badRequest(`the body of the request was cut short${error ? `: ${error.message}` : ""}`));
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
}
