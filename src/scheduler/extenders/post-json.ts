// POSTs JSON to an extender and reads its JSON answer, within a deadline and a bound on the answer's size. Connections are
// kept, a bounded number of them.
import { readFileSync } from "node:fs";
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Clock } from "../../base/clock.ts";
import type { ExtenderSettings, ExtenderTls } from "../configuration/extender-settings.ts";

export interface JsonPoster {
  /** `verb` is the last part of the URL. Rejects with what went wrong. */
  post(verb: string, body: unknown, signal: AbortSignal): Promise<unknown>;
  close(): void;
}

const maxConnections = 16;
const maxAnswerBytes = 64 * 1024 * 1024;

export function createJsonPoster(
  { urlPrefix, timeoutMs, tls, enableHttps }: Pick<ExtenderSettings, "urlPrefix" | "timeoutMs" | "tls" | "enableHttps">,
  clock: Clock,
): JsonPoster {
  const base = urlPrefix.replace(/\/+$/, "");
  const isHttps = new URL(base).protocol === "https:";
  const pool = { keepAlive: true, maxSockets: maxConnections };
  const agent = isHttps ? new HttpsAgent({ ...pool, ...tlsOptions(tls, enableHttps) }) : new HttpAgent(pool);
  const send = (url: string, text: string, signal: AbortSignal): Promise<string> =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
      const request = (isHttps ? httpsRequest : httpRequest)(url, { method: "POST", agent, headers, signal }, (response) => {
        readText(response).then(resolve, reject);
      });
      // An abort is told with its reason, not as "the operation was aborted".
      request.on("error", (error) => reject(signal.aborted ? signal.reason : error));
      request.end(text);
    });
  return {
    async post(verb, body, signal) {
      const url = `${base}/${verb}`;
      const deadline = new AbortController();
      const timer = clock.after(timeoutMs, () => deadline.abort(new Error(tooLate)));
      let answer: string;
      try {
        answer = await send(url, JSON.stringify(body), AbortSignal.any([signal, deadline.signal]));
      } catch (error) {
        if (error instanceof RefusedError) throw new Error(`failed ${verb} with extender at URL ${url}, code ${error.code}`);
        throw new Error(`Post ${JSON.stringify(url)}: ${failureText(error, url)}`);
      } finally {
        timer.cancel();
      }
      try {
        return JSON.parse(answer);
      } catch (error) {
        throw new Error(`the answer of extender ${url} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    close: () => agent.destroy(),
  };
}

/** In upstream's words. */
const tooLate = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";

/** An answer with another status than 200. */
class RefusedError extends Error {
  readonly code: number | undefined;

  constructor(code: number | undefined) {
    super(`code ${code}`);
    this.name = "RefusedError";
    this.code = code;
  }
}

function failureText(error: unknown, url: string): string {
  if (!(error instanceof Error)) return String(error);
  if (!("code" in error) || error.code !== "ECONNREFUSED") return error.message;
  const { hostname, port, protocol } = new URL(url);
  return `dial tcp ${hostname}:${port || (protocol === "https:" ? "443" : "80")}: connect: connection refused`;
}

async function readText(response: IncomingMessage): Promise<string> {
  if (response.statusCode !== 200) {
    response.resume();
    throw new RefusedError(response.statusCode);
  }
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxAnswerBytes) {
      response.destroy();
      throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

/** Throws where certificates of an extender cannot be read, or do not go together. */
export function checkTls({ tls, enableHttps }: Pick<ExtenderSettings, "tls" | "enableHttps">): void {
  if (tls?.insecure && (tls.caData !== undefined || tls.caFile !== undefined))
    throw new Error("specifying a root certificates file with the insecure flag is not allowed");
  tlsOptions(tls, enableHttps);
}

/** As upstream: `enableHTTPS` without an authority believes any certificate. */
function tlsOptions(tls: ExtenderTls | undefined, enableHttps: boolean) {
  const pem = (data: string | undefined, file: string | undefined): string | undefined => {
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    return file === undefined ? undefined : contentOf(file);
  };
  const [ca, cert, key] = [pem(tls?.caData, tls?.caFile), pem(tls?.certData, tls?.certFile), pem(tls?.keyData, tls?.keyFile)];
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
    rejectUnauthorized: !(tls?.insecure || (enableHttps && ca === undefined)),
  };
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const isMissing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    throw new Error(`open ${file}: ${isMissing ? "no such file or directory" : "cannot be read"}`, { cause });
  }
}
