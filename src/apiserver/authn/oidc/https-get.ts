// Fetches documents of OpenID providers: discovery, keys, distributed claims. Each call has a deadline, answers have a bound,
// redirects are followed a few times.

import type { IncomingMessage } from "node:http";
import https from "node:https";
import type { Clock } from "../../../base/clock.ts";
import { machineRoots } from "../../../base/x509/machine-roots.ts";

export interface HttpsGetOptions {
  readonly clock: Clock;
  /** PEM of what may have signed the server's certificate; "" for the machine's authorities. */
  readonly caPem: string;
}

export interface Fetched {
  readonly status: number;
  readonly statusText: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Throws where there is no answer. */
export type HttpsGet = (url: string, options?: { readonly bearerToken?: string }) => Promise<Fetched>;

const timeoutMs = 30_000;
const maxBytes = 1024 * 1024;
const maxRedirects = 10;

export function createHttpsGet({ clock, caPem }: HttpsGetOptions): HttpsGet {
  let roots: Promise<string | undefined> | undefined;
  return async (url, { bearerToken } = {}) => {
    const ca = caPem === "" ? await (roots ??= machineRoots()) : caPem;
    const deadline = new AbortController();
    const timer = clock.after(timeoutMs, () => deadline.abort(new Error(`Get ${JSON.stringify(url)}: context deadline exceeded`)));
    try {
      let next = url;
      for (let redirects = 0; redirects <= maxRedirects; redirects++) {
        // A token is for the server it was meant for.
        const token = bearerToken !== undefined && new URL(next).origin === new URL(url).origin ? bearerToken : undefined;
        const answer = await getOnce(next, { ca, token, signal: deadline.signal });
        const { location } = answer.headers;
        if (answer.status < 300 || answer.status > 399 || location === undefined) return answer;
        next = new URL(location, next).href;
      }
      throw new Error(`Get ${JSON.stringify(url)}: stopped after ${maxRedirects} redirects`);
    } finally {
      timer.cancel();
    }
  };
}

interface GetOptions {
  readonly ca: string | undefined;
  readonly token: string | undefined;
  readonly signal: AbortSignal;
}

function getOnce(url: string, { ca, token, signal }: GetOptions): Promise<Fetched> {
  if (!URL.canParse(url) || new URL(url).protocol !== "https:")
    return Promise.reject(new Error(`Get ${JSON.stringify(url)}: expected https`));
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      const cause: unknown = signal.aborted ? signal.reason : error;
      const why = cause instanceof Error ? cause.message : String(cause);
      reject(signal.aborted ? cause : new Error(`Get ${JSON.stringify(url)}: ${why}`));
    };
    const headers = { accept: "application/json", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    const request = https.get(url, { agent: false, signal, headers, ...(ca === undefined ? {} : { ca }) }, (response) => {
      readBody(response).then(
        (body) =>
          resolve({
            status: response.statusCode ?? 0,
            statusText: `${response.statusCode} ${response.statusMessage ?? ""}`.trim(),
            headers: response.headers,
            body,
          }),
        fail,
      );
    });
    request.on("error", fail);
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length).toString();
}
