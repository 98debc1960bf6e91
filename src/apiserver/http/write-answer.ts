// Puts an answer on the wire: encodes objects in what the client accepts, adds the headers every answer carries,
// compresses what is large, and streams watches and logs at the client's pace.
import { promisify } from "node:util";
import { constants, createGzip, type Gzip, gzip } from "node:zlib";
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import { encodeProtobuf } from "../../api/encode/protobuf/envelope.ts";
import type { Logger } from "../../base/log.ts";
import type { HistogramSeries } from "../../base/metrics.ts";
import {
  type ApiRequest,
  type ApiResponse,
  type EncodedAnswer,
  loggedAuditId,
  type WatchStream,
  type WatchStreamEvent,
} from "../request.ts";
import type { Answer } from "../server.ts";
import { cborWatchFrames } from "./cbor-watch-frames.ts";
import { encodeJson, encodeYaml } from "./encode.ts";
import { cborSequence, mediaTypes, negotiateError, negotiateLeniently, negotiationOf } from "./negotiate.ts";
import { protobufWatchFrames } from "./protobuf-watch-frames.ts";
import { ClientGone, type HeaderValues, type Sink } from "./sink.ts";
import { warningHeaders } from "./warnings.ts";
import { watchFrames } from "./watch-frames.ts";
import type { WatchPace } from "./watch-pace.ts";

/** As upstream: smaller answers are not worth the time. */
const compressFromBytes = 128 * 1024;
/** Longer answers are sent as bytes: they would not go out with their head in one piece. */
const maxTextBytes = 32 * 1024;
const fastest = { level: constants.Z_BEST_SPEED };
const compress = promisify<Uint8Array, { level: number }, Buffer>(gzip);

export interface WriteDeps {
  readonly logger: Logger;
  /** Shared by all watches of a server. */
  readonly pace: WatchPace;
}

/** Never rejects; failures after the head are logged and break the answer off. */
export async function writeAnswer(answer: Answer, sink: Sink, { logger, pace }: WriteDeps): Promise<void> {
  const { response, context } = answer;
  try {
    if (sink.closed) {
      answer.counted?.aborted();
      return abandon(response);
    }
    const writing = write(answer, sink, pace);
    if (writing) await writing;
  } catch (error) {
    abandon(response);
    answer.counted?.aborted();
    if (error instanceof ClientGone) return;
    const { method, path } = context.request;
    logger.error("Answer broken off", { method, path, auditId: loggedAuditId(context.auditId), error });
    sink.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

/** At once where the answer is there as bytes. */
function write(answer: Answer, sink: Sink, pace: WatchPace): Promise<void> | undefined {
  const { response } = answer;
  const head = answer.context.request.method === "HEAD";
  switch (response.kind) {
    case "object": {
      const asked = negotiationOf(answer.context);
      const { encoding, pretty } = (response.status < 400 ? negotiateLeniently : negotiateError)(asked);
      if (encoding === "yaml") return sendYaml(response, answer, sink);
      if (encoding === "cbor" && asked.cbor) return sendCbor(response, answer, sink, asked.cbor);
      // What has no protobuf encoding (a table, a custom resource) is JSON: the handler has negotiated that it may be.
      const message = encoding === "protobuf" ? encodeProtobuf(response.object, response.protobuf?.bind(response)) : undefined;
      const headers = headersOf(answer, message ? mediaTypes.protobuf : mediaTypes.json, response.headers);
      const encoded = message === undefined && !pretty ? response.encoded?.() : undefined;
      if (encoded && !head && encoded.tail.length <= maxTextBytes) {
        answer.counted?.sizes?.observe(encoded.head.length + encoded.tail.length + 1);
        return sendText(sink, response.status, headers, encoded);
      }
      const bytes = message ?? (encoded ? joined(encoded) : encodeJson(response.object, pretty));
      return sendWhole(sink, response.status, headers, {
        body: head ? undefined : bytes,
        compressible: true,
        sizes: answer.counted?.sizes,
      });
    }
    case "bytes": {
      const headers = headersOf(answer, response.contentType, response.headers);
      const body = head || isWithoutBody(response.status) ? undefined : response.bytes;
      const compressible = isObjects(response.contentType) && !response.headers?.["Content-Encoding"];
      return sendWhole(sink, response.status, headers, { body, compressible, sizes: answer.counted?.sizes });
    }
    case "stream":
      return sendStream(answer, response, sink);
    case "watch": {
      const { contentType, frames } = watchForm(response.encoding, answer.context.request);
      sink.open(200, headersOf(answer, contentType));
      return sendWatch(response.stream, { frames, counted: answer.counted }, sink, pace);
    }
    case "upgrade":
      throw new Error("the request is not an upgrade, its answer is one");
  }
}

interface WatchForm {
  readonly contentType: string;
  readonly frames: Frames;
}

function watchForm(encoding: Extract<ApiResponse, { kind: "watch" }>["encoding"], { cbor }: ApiRequest): WatchForm {
  if (encoding === "cbor" && cbor) return { contentType: cborSequence, frames: cborWatchFrames(cbor) };
  if (encoding === "protobuf") return { contentType: `${mediaTypes.protobuf};stream=watch`, frames: protobufWatchFrames };
  return { contentType: mediaTypes.json, frames: watchFrames };
}

/** No content, and not modified: nothing follows, and nothing is said of its length. */
const isWithoutBody = (status: number): boolean => status === 204 || status === 304;

/** Objects, in whatever encoding. */
const isObjects = (contentType: string): boolean => Object.values(mediaTypes).some((type) => contentType.startsWith(type));

/** The answer will not be read: whoever produces it is told. */
function abandon(response: ApiResponse): void {
  if (response.kind === "watch") response.stream.close();
  if (response.kind === "stream") void response.chunks[Symbol.asyncIterator]().return?.();
}

type ObjectResponse = Extract<ApiResponse, { kind: "object" }>;

async function sendYaml(response: ObjectResponse, answer: Answer, sink: Sink): Promise<void> {
  const headers = headersOf(answer, mediaTypes.yaml, response.headers);
  const bytes = await encodeYaml(response.object);
  const body = answer.context.request.method === "HEAD" ? undefined : bytes;
  return sendWhole(sink, response.status, headers, { body, compressible: true, sizes: answer.counted?.sizes });
}

function sendCbor(response: ObjectResponse, answer: Answer, sink: Sink, cbor: CborCodec): Promise<void> | undefined {
  const headers = headersOf(answer, mediaTypes.cbor, response.headers);
  const body = answer.context.request.method === "HEAD" ? undefined : cbor.write(response.object);
  return sendWhole(sink, response.status, headers, { body, compressible: true, sizes: answer.counted?.sizes });
}

/**
 * Headers of every answer: what it is, that it is the asker's own and not to be cached, and the server's remarks. One that
 * an answer sets to "" is left out.
 */
export function headersOf(answer: Answer, contentType: string, own?: Readonly<Record<string, string>>): HeaderValues {
  const { warnings, auditId, flow, headers: early } = answer.context;
  const headers: HeaderValues = { "audit-id": auditId ?? "", "cache-control": "no-cache, private" };
  if (contentType !== "") headers["content-type"] = contentType;
  if (flow) {
    headers["x-kubernetes-pf-flowschema-uid"] = flow.schemaUid;
    headers["x-kubernetes-pf-prioritylevel-uid"] = flow.levelUid;
  }
  if (warnings.length > 0) headers.warning = warningHeaders(warnings);
  if (early) Object.assign(headers, early);
  for (const name in own) {
    if (own[name] === "") delete headers[name.toLowerCase()];
    else headers[name.toLowerCase()] = own[name] ?? "";
  }
  return headers;
}

/** Head and body as one text of a byte a character: one write, and no memory but the text's. */
function sendText(sink: Sink, status: number, headers: HeaderValues, { head, tail }: EncodedAnswer): undefined {
  sink.sendText(status, headers, `${head}${latin1(tail)}\n`);
}

const latin1 = ({ buffer, byteOffset, length }: Uint8Array): string => Buffer.from(buffer, byteOffset, length).toString("latin1");

const lineEnd = Buffer.from("\n");

function joined({ head, tail }: EncodedAnswer): Uint8Array {
  return Buffer.concat([Buffer.from(head, "latin1"), tail, lineEnd]);
}

interface Whole {
  readonly body: Uint8Array | undefined;
  readonly compressible: boolean;
  readonly sizes: HistogramSeries | undefined;
}

function sendWhole(sink: Sink, status: number, headers: HeaderValues, { body, compressible, sizes }: Whole): Promise<void> | undefined {
  if (body !== undefined && compressible && sink.acceptsGzip && body.length >= compressFromBytes)
    return sendCompressed(sink, status, headers, { body, sizes });
  sizes?.observe(body?.length ?? 0);
  sink.send(status, headers, body);
  return undefined;
}

async function sendCompressed(
  sink: Sink,
  status: number,
  headers: HeaderValues,
  { body, sizes }: { readonly body: Uint8Array; readonly sizes: HistogramSeries | undefined },
): Promise<void> {
  const compressed = await compress(body, fastest);
  sizes?.observe(compressed.length);
  sink.send(status, compressedHeaders(headers), compressed);
}

function compressedHeaders(headers: HeaderValues): HeaderValues {
  const { vary } = headers;
  return { ...headers, "content-encoding": "gzip", vary: vary === undefined ? "Accept-Encoding" : `Accept-Encoding, ${String(vary)}` };
}

type StreamResponse = Extract<ApiResponse, { kind: "stream" }>;

async function sendStream(answer: Answer, response: StreamResponse, sink: Sink): Promise<void> {
  const ended = answer.counted?.begun();
  try {
    await sendChunks(answer, response, sink);
  } finally {
    ended?.();
  }
}

const listTypes: ReadonlySet<string> = new Set([mediaTypes.json, mediaTypes.protobuf, mediaTypes.cbor]);

async function sendChunks(answer: Answer, response: StreamResponse, sink: Sink): Promise<void> {
  const headers = headersOf(answer, response.contentType, response.headers);
  // Lists are compressed as upstream's are; logs and the like go out as they come.
  const isList = listTypes.has(response.contentType);
  let sent = 0;
  const counting = (length: number): void => void (sent += length);
  if (isList && sink.acceptsGzip && !response.asIs) await sendCompressedStream(response, sink, { headers, counting });
  else {
    // Pieces of an answer whose length is known are written as they are; others are copied together with the length of each.
    if (response.length !== undefined) headers["content-length"] = String(response.length);
    sink.open(response.status, headers);
    for await (const chunk of response.chunks) {
      sent += chunk.length;
      await sink.writeThrough(chunk);
    }
    sink.end();
  }
  answer.counted?.sizes?.observe(sent);
}

/** Resolves when the chunk has been read, or nothing can be any more. */
function compressed(zip: Gzip, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    zip.once("close", resolve);
    zip.write(chunk, () => {
      zip.off("close", resolve);
      resolve();
    });
  });
}

async function sendCompressedStream(
  response: StreamResponse,
  sink: Sink,
  { headers, counting }: { readonly headers: HeaderValues; readonly counting: (length: number) => void },
): Promise<void> {
  const zip = createGzip(fastest);
  sink.open(response.status, compressedHeaders(headers));
  const feed = (async () => {
    for await (const chunk of response.chunks) {
      await compressed(zip, chunk);
      // Nobody reads on: the rest is not made.
      if (zip.destroyed) return;
    }
    zip.end();
  })();
  feed.catch((error: unknown) => zip.destroy(error instanceof Error ? error : new Error(String(error))));
  try {
    for await (const chunk of zip as AsyncIterable<Buffer>) {
      counting(chunk.length);
      await sink.write(chunk);
    }
    await feed;
  } finally {
    zip.destroy();
  }
  sink.end();
}

type Frames = (batch: readonly WatchStreamEvent[], sizes: HistogramSeries | undefined) => Iterable<Uint8Array>;

interface Watching {
  readonly frames: Frames;
  readonly counted: Answer["counted"];
}

async function sendWatch(stream: WatchStream, { frames, counted }: Watching, sink: Sink, pace: WatchPace): Promise<void> {
  sink.onClose(() => stream.close());
  const [events, eventSizes] = [counted?.events, counted?.eventSizes];
  let sent = 0;
  for await (const batch of stream.batches) {
    for (const chunk of frames(batch, eventSizes)) {
      sent += chunk.length;
      const wait = sink.write(chunk);
      if (wait) await wait;
    }
    events?.add(batch.length);
    const pause = pace.wrote();
    if (pause) await pause;
  }
  counted?.sizes?.observe(sent);
  if (!sink.closed) sink.end();
}
