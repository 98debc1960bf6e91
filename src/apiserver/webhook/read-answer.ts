// What a webhook has answered: an object in JSON (YAML is read too), or a failure, in whose text a Status counts for more than the
// code. Answers are read up to a limit, also when they are compressed.
import type { IncomingMessage } from "node:http";
import { gunzip } from "node:zlib";
import { JsonSyntaxError, parseJson, withPlainNumbers } from "../../api/encode/json-text.ts";
import { typeProblem } from "../../api/encode/type-meta.ts";
import { statusError, WebhookError } from "./webhook-error.ts";

/** How much of a failed call's answer goes into the message. */
const maxQuotedBytes = 2048;

/** Reads to the end. Throws WebhookError for what is no success, or no object. */
export async function readAnswer(response: IncomingMessage, maxBytes: number): Promise<unknown> {
  const httpStatus = response.statusCode ?? 0;
  const bytes = await plainBytes(response, await readBytes(response, maxBytes), maxBytes);
  if (httpStatus < 200 || httpStatus > 206) throw failure(response, httpStatus, bytes);
  const answerError = (why: string, cause?: unknown): WebhookError => new WebhookError("answer", why, { httpStatus, cause });
  if (bytes.length === 0) {
    const type = response.headers["content-type"] ?? "";
    throw answerError(`0-length response with status code: ${httpStatus} and content type: ${type}`);
  }
  try {
    const value = await parseText(bytes.toString("utf8"));
    const problem = typeProblem(value);
    if (problem !== undefined) throw answerError(problem);
    return value;
  } catch (error) {
    if (error instanceof WebhookError) throw error;
    throw answerError(`couldn't get version/kind; json parse error: ${(error as Error).message}`, error);
  }
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
    const why = "unexpected error when reading response body. Please retry. Original error: unexpected EOF";
    throw new WebhookError("connection", why, { cause });
  }
  return Buffer.concat(chunks, length);
}

function plainBytes({ headers }: IncomingMessage, bytes: Buffer, maxBytes: number): Promise<Buffer> | Buffer {
  if (headers["content-encoding"] !== "gzip" || bytes.length === 0) return bytes;
  return new Promise((resolve, reject) => {
    gunzip(bytes, { maxOutputLength: maxBytes }, (error, plain) =>
      error ? reject(new WebhookError("answer", `gzip: ${error.message}`, { cause: error })) : resolve(plain),
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
  const quoted = isText ? bytes.subarray(0, maxQuotedBytes).toString() : "unknown";
  const error = statusError(httpStatus, quoted, headers["retry-after"]);
  const message = statusMessage(bytes);
  return message === undefined ? error : new WebhookError("status", message, { httpStatus, retryAfterSeconds: error.retryAfterSeconds });
}

/** The message of a body that is a Status of a failure. */
function statusMessage(bytes: Buffer): string | undefined {
  try {
    const {
      apiVersion,
      kind,
      status,
      message = "",
    } = withPlainNumbers(parseJson(bytes.toString("utf8")).value) as {
      readonly [field: string]: unknown;
    };
    return apiVersion === "v1" && kind === "Status" && status !== "Success" ? String(message) : undefined;
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}
