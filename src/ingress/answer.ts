// Answers that this server gives itself.
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { constants } from "node:http2";
import type { ClientResponse } from "./client-request.ts";

const texts: Readonly<Record<number, string>> = {
  301: "moved permanently",
  302: "found",
  303: "see other",
  307: "temporary redirect",
  308: "permanent redirect",
  400: "bad request",
  404: "no route leads from this host and path",
  413: "the request's body is too large",
  500: "this request could not be served",
  502: "the backend did not answer as it should",
  503: "no backend is ready",
  504: "the backend did not answer in time",
};

/** Nothing where the answer has begun already. */
export function answerWith(response: ClientResponse, status: number, headers: OutgoingHttpHeaders = {}): void {
  if (response.headersSent || response.writableEnded) return;
  const body = `${status} ${texts[status] ?? ""}\n`;
  writeHead(response, status, { "content-type": "text/plain; charset=utf-8", "content-length": body.length, ...headers });
  response.end(body);
}

/** Both kinds take the same; their types do not say so together. */
export function writeHead(response: ClientResponse, status: number, headers: OutgoingHttpHeaders): void {
  (response as ServerResponse).writeHead(status, headers);
}

/** An answer that cannot be completed ends so that the client notices. */
export function abort(response: ClientResponse): void {
  if (response.writableEnded) return;
  if ("stream" in response) response.stream?.close(constants.NGHTTP2_INTERNAL_ERROR);
  else response.destroy();
}
