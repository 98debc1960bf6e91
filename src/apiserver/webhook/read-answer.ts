// What a webhook has answered: an object in JSON (YAML is read too), or a failure, in whose text a Status counts for more than the
// code. Answers are read up to a limit, also when they are compressed.
import type { IncomingMessage } from "node:http";
import { gunzip } from "node:zlib";
import { JsonSyntaxError, parseJson, withPlainNumbers } from "../../api/encode/json-text.ts";
import { typeProblem } from "../../api/encode/type-meta.ts";
import { statusError, WebhookError, type WebhookFailure } from "./webhook-error.ts";

/** How much of a failed call's answer goes into the message. */
const maxQuotedBytes = 2048;

/** Reads to the end. Throws WebhookError for what is no success, or no object. */
export async function readAnswer(response: IncomingMessage, maxBytes: number): Promise<unknown> {
  const httpStatus = response.statusCode ?? 0;
  const bytes = await plainBytes(response, await readBytes(response, maxBytes), maxBytes);
  if (httpStatus < 200 || httpStatus > 206) throw failure(response, httpStatus, bytes);
  const answerError = (why: string, cause?: unknown): WebhookError => new WebhookError("answer", why, { httpStatus, cause });
  if (bytes.length === 0) throw emptyAnswer(response);
  const wrongType = mediaTypeProblem(response.headers["content-type"]);
  if (wrongType !== undefined) throw answerError(`Internal error occurred: mime: ${wrongType}`);
  try {
    const value = await parseText(bytes.toString("utf8").replace(/^\ufeff/, ""));
    const problem = typeProblem(value);
    if (problem !== undefined) throw answerError(problem);
    return value;
  } catch (error) {
    if (error instanceof WebhookError) throw error;
    throw answerError(`couldn't get version/kind; json parse error: ${(error as Error).message}`, error);
  }
}

/** A success that says nothing. */
export function emptyAnswer({ statusCode = 0, headers }: IncomingMessage): WebhookError {
  const why = `0-length response with status code: ${statusCode} and content type: ${headers["content-type"] ?? ""}`;
  return new WebhookError("answer", why, { httpStatus: statusCode });
}

/** What is wrong with a Content-Type; one that is not there is JSON's. */
function mediaTypeProblem(type = ""): string | undefined {
  if (type === "") return undefined;
  const name = type.split(";", 1)[0]?.trim() ?? "";
  if (name === "") return "no media type";
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  if (!new RegExp(`^${token}(?:$|/)`).test(name)) return "expected slash after first token";
  return new RegExp(`^${token}(?:/${token})?$`).test(name) ? undefined : "unexpected content after media subtype";
}

async function readBytes(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const tooLong = new WebhookError("answer", `webhook response body exceeds ${maxBytes} bytes`, { httpStatus: response.statusCode });
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw tooLong;
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause === tooLong) throw cause;
    throw bodyError("connection", "unexpected EOF", cause);
  }
  return Buffer.concat(chunks, length);
}

/** What ends an answer before its end. */
export function bodyError(failure: WebhookFailure, why: string, cause?: unknown): WebhookError {
  return new WebhookError(failure, `unexpected error when reading response body. Please retry. Original error: ${why}`, { cause });
}

const gzipProblem = ({ message }: Error): string => `gzip: ${message === "incorrect header check" ? "invalid header" : message}`;

function plainBytes({ headers }: IncomingMessage, bytes: Buffer, maxBytes: number): Promise<Buffer> | Buffer {
  if (headers["content-encoding"] !== "gzip" || bytes.length === 0) return bytes;
  return new Promise((resolve, reject) => {
    gunzip(bytes, { maxOutputLength: maxBytes }, (error, plain) =>
      error ? reject(bodyError("answer", gzipProblem(error), error)) : resolve(plain),
    );
  });
}

/** Throws the parsers' errors, whose words are Go's. */
async function parseText(text: string): Promise<unknown> {
  if (/^\s*\{/.test(text)) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return withPlainNumbers(parseJson(text).value);
    }
  }
  // The YAML parser is loaded when the first one answers so.
  const { parseYaml } = await import("../../api/encode/yaml-text.ts");
  return withPlainNumbers(parseYaml(text).value);
}

function failure({ headers }: IncomingMessage, httpStatus: number, bytes: Buffer): WebhookError {
  const type = headers["content-type"];
  const isText = type === undefined || /^text\//i.test(type);
  const quoted = isText ? bytes.subarray(0, maxQuotedBytes) : "unknown";
  const error = statusError(httpStatus, quoted, headers["retry-after"]);
  const status = failureStatus(bytes);
  if (!status) return error;
  const { message, reason } = status;
  return new WebhookError("status", message, { httpStatus, retryAfterSeconds: error.retryAfterSeconds, reason });
}

/** A body that is a Status of a failure. */
function failureStatus(bytes: Buffer): { readonly message: string; readonly reason: string } | undefined {
  try {
    const value = withPlainNumbers(parseJson(bytes.toString("utf8")).value) as { readonly [field: string]: unknown };
    const { apiVersion, kind, status, message = "", reason = "" } = value;
    if (apiVersion !== "v1" || kind !== "Status" || status !== "Failure") return undefined;
    return { message: String(message), reason: String(reason) };
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}
