// An answer that is no HTTP, in the words of Go's net/http, which stand in the messages about calls of webhooks.
import { goQuoted } from "../../base/go-quoted.ts";

/** What node's parser gives with its error. */
export interface HttpParseError extends Error {
  readonly code?: string | undefined;
  /** What could not be read. */
  readonly rawPacket?: Buffer;
}

/** Why the head of an answer cannot be read; undefined where the error is about something else. */
export function httpParseProblem({ code = "", rawPacket }: HttpParseError): string | undefined {
  if (!code.startsWith("HPE_")) return undefined;
  return `net/http: HTTP/1.x transport connection broken: ${headProblem(rawPacket?.toString("latin1") ?? "", code)}`;
}

/** Why the rest of an answer cannot be read. */
export function httpBodyProblem({ code = "" }: HttpParseError): string {
  return code === "HPE_INVALID_CHUNK_SIZE" ? "invalid byte in chunk length" : "unexpected EOF";
}

function headProblem(text: string, code: string): string {
  const end = text.indexOf("\r\n\r\n");
  const [first = "", ...headers] = (end < 0 ? text : text.slice(0, end)).split(/\r?\n/);
  const [protocol = "", status] = first.split(" ");
  if (status === undefined) return `malformed HTTP response ${goQuoted(first)}`;
  if (!/^\d{3}$/.test(status)) return `malformed HTTP status code ${goQuoted(status)}`;
  if (!/^HTTP\/\d\.\d$/.test(protocol)) return `malformed HTTP version ${goQuoted(protocol)}`;
  const colonless = headers.find((line) => line !== "" && !line.includes(":"));
  if (colonless !== undefined) return `malformed MIME header: missing colon: ${goQuoted(colonless)}`;
  const lengths = headers.flatMap((line) => /^content-length:\s*(.*?)\s*$/i.exec(line)?.[1] ?? []);
  if (new Set(lengths).size > 1)
    return `http: message cannot contain multiple Content-Length headers; got [${lengths.map(goQuoted).join(" ")}]`;
  if (code === "HPE_HEADER_OVERFLOW") return "net/http: server response headers exceeded 1048576 bytes; aborted";
  return `malformed HTTP response ${goQuoted(first)}`;
}
