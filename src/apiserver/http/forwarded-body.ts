// The body of a request on its way to another server: passed on as it comes, so that no more of it is held than is on its way.
import type { ClientRequest } from "node:http";
import type { ClientHttp2Stream } from "node:http2";
import type { Readable } from "node:stream";
import type { ApiRequest } from "../request.ts";

export type ForwardedBody = Readable | Uint8Array | undefined;

export interface OutgoingBody {
  readonly body?: Readable | Uint8Array;
  /** What is known of its length. */
  readonly headers: Readonly<Record<string, string>>;
}

export function forwardedBody({ body, headers }: ApiRequest): OutgoingBody {
  if (body.kind === "none") return { headers: {} };
  if (body.kind === "value") {
    const bytes = Buffer.from(JSON.stringify(body.value));
    return { body: bytes, headers: { "content-length": String(bytes.length) } };
  }
  const length = headers["content-length"];
  return { body: body.stream(), headers: length === undefined ? {} : { "content-length": length } };
}

export const isStream = (body: ForwardedBody): body is Readable => body !== undefined && !(body instanceof Uint8Array);

/** Sends what there is of a body and ends the request. */
export function sendBody(outgoing: ClientRequest | ClientHttp2Stream, body: ForwardedBody): void {
  if (!isStream(body)) {
    outgoing.end(body);
    return;
  }
  const broken = (): void => {
    if (!body.readableEnded) outgoing.destroy(new Error("the body of the request was cut short"));
  };
  body.pipe(outgoing);
  body.once("error", broken).once("close", broken);
  // Who answers before all has been sent does not want the rest.
  outgoing.once("close", () => {
    body.off("error", broken).off("close", broken);
    body.unpipe(outgoing);
    body.resume();
  });
}
