// HTTP/2 by the raw stream API (the compatibility layer halves the rate): a stream as an ApiRequest, and as a Sink.
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { RequestBody } from "../request.ts";
import { headerText } from "./header-text.ts";
import { allowsGzip, type ConnectionFacts, ReceivedRequest } from "./http1.ts";
import { requestBody } from "./request-body.ts";
import { ClientGone, drained, type HeaderValues, type Sink, writtenThrough } from "./sink.ts";

export interface Http2Head {
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  /** Whether the stream has no body. */
  readonly endStream: boolean;
}

export class Http2Request extends ReceivedRequest {
  readonly body: RequestBody;
  readonly #rawHeaders: readonly string[];

  constructor(stream: ServerHttp2Stream, head: Http2Head, facts: ConnectionFacts) {
    const { endStream } = head;
    const headers = head.headers as Readonly<Record<string, string | undefined>>;
    const method = headers[":method"] ?? "GET";
    super({ method, target: headers[":path"] ?? "/", headers }, facts);
    const sendContinue = headers.expect === "100-continue" ? () => continueStream(stream) : undefined;
    this.body = endStream
      ? { kind: "none" }
      : requestBody(stream, { method, declaredBytes: headers["content-length"], chunked: true, sendContinue });
    this.#rawHeaders = head.rawHeaders;
  }

  headerLines(name: string): readonly string[] {
    return linesOf(this.#rawHeaders, name.toLowerCase());
  }
}

function continueStream(stream: ServerHttp2Stream): void {
  if (!stream.headersSent && !stream.destroyed) stream.additionalHeaders({ ":status": 100 });
}

function linesOf(rawHeaders: readonly string[], name: string): string[] {
  const lines: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) if (rawHeaders[i] === name) lines.push(headerText(rawHeaders[i + 1] ?? ""));
  return lines;
}

export class Http2Sink implements Sink {
  readonly acceptsGzip: boolean;
  readonly #stream: ServerHttp2Stream;
  /** Node has ended such a stream's writing side before anybody answers: only its head can be sent. */
  readonly #isHead: boolean;

  constructor(stream: ServerHttp2Stream, headers: Pick<IncomingHttpHeaders, "accept-encoding" | ":method">) {
    this.#stream = stream;
    this.acceptsGzip = allowsGzip(headers["accept-encoding"]);
    this.#isHead = headers[":method"] === "HEAD";
    // A request that is answered before its body was read: the client is told to stop sending.
    if (this.#isHead) return;
    stream.once("finish", () => {
      if (!stream.readableEnded && !stream.closed) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  get closed(): boolean {
    const isAnswered = this.#isHead ? this.#stream.headersSent : this.#stream.writableEnded;
    return this.#stream.destroyed || this.#stream.closed || isAnswered;
  }

  send(status: number, headers: HeaderValues, body: Uint8Array | undefined): void {
    if (this.closed) return;
    const endStream = body === undefined || body.length === 0;
    this.#stream.respond(responseHeaders(status, headers, body?.length), { endStream });
    if (!endStream) this.#stream.end(body);
  }

  sendText(status: number, headers: HeaderValues, body: string): void {
    this.send(status, headers, Buffer.from(body, "latin1"));
  }

  open(status: number, headers: HeaderValues): void {
    if (!this.closed) this.#stream.respond(responseHeaders(status, headers));
  }

  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#isHead) return undefined;
    if (this.closed) return Promise.reject(new ClientGone());
    return this.#stream.write(chunk) ? undefined : drained(this.#stream);
  }

  writeThrough(chunk: Uint8Array): Promise<void> {
    return this.closed ? Promise.reject(new ClientGone()) : writtenThrough(this.#stream, chunk);
  }

  end(): void {
    if (!this.#isHead) this.#stream.end();
  }

  destroy(_error: Error): void {
    // The error itself is logged by whoever breaks off; the client learns INTERNAL_ERROR.
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  onClose(listener: () => void): void {
    this.#stream.once("close", listener);
  }
}

function responseHeaders(status: number, headers: HeaderValues, length?: number): Record<string, string | number | string[]> {
  const all: Record<string, string | number | string[]> = { ":status": status };
  for (const name in headers) all[name] = headers[name] as string | string[];
  if (length !== undefined) all["content-length"] = length;
  return all;
}
