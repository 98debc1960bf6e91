// The small plain HTTP servers of the proxy: its health, its metrics, and the health of services with a health-check port.
// One that cannot have its port tries again, as another program may hold it for a while.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Clock, Timer } from "../base/clock.ts";
import { guardedAnswers } from "../base/guarded-answers.ts";
import type { Running } from "../base/lifecycle.ts";
import { listen } from "../base/listen.ts";
import { errorText, type Logger } from "../base/log.ts";

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpServerDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface HttpServerOptions {
  /** For the log: "health". */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Undefined is 404. Whatever the method is, as upstream. */
  readonly answer: (path: string, accept: string | undefined) => Promise<HttpAnswer> | HttpAnswer | undefined;
  /** The proxy does its work without it: that its port is taken is for the talkative log only. Default false. */
  readonly isOptional?: boolean;
  /** Told of each failure to listen, besides the log. */
  readonly onFailure?: (error: Error) => void;
}

const retryMs = 5_000;
const headersTimeoutMs = 10_000;
const maxConnections = 100;

/** Resolves after the first try to listen. */
export async function startHttpServer({ clock, logger }: HttpServerDeps, options: HttpServerOptions): Promise<Running> {
  const failed = (error: unknown): void => logger.error("A server of the proxy failed", { server: options.name, error });
  const server = createHttpServer(options, failed);
  let retry: Timer | undefined;
  let hasFailed = false;
  const tryToListen = async (): Promise<void> => {
    try {
      await listen(server, { port: options.port, host: options.address }, failed);
      if (hasFailed) logger.info("A server of the proxy has its port now", { server: options.name, port: options.port }, 1);
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause));
      options.onFailure?.(error);
      const values = { server: options.name, error: errorText(error) };
      if (!hasFailed && options.isOptional) logger.info("A server of the proxy cannot listen", values, 1);
      else if (!hasFailed) logger.warn("A server of the proxy cannot listen", values);
      hasFailed = true;
      retry = clock.after(retryMs, () => void tryToListen());
    }
  };
  await tryToListen();
  return {
    async stop() {
      retry?.cancel();
      if (!server.listening) return;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

const notFound: HttpAnswer = { status: 404, body: "404 page not found\n", contentType: "text/plain; charset=utf-8" };

function createHttpServer({ answer }: HttpServerOptions, failed: (error: unknown) => void): Server {
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const { status, body, contentType, headers } = (await answer(path, request.headers.accept)) ?? notFound;
    const length = Buffer.byteLength(body);
    response.writeHead(status, { "content-type": contentType, "content-length": length, "x-content-type-options": "nosniff", ...headers });
    response.end(request.method === "HEAD" ? undefined : body);
  };
  const server = createServer({ headersTimeout: headersTimeoutMs, requestTimeout: headersTimeoutMs }, guardedAnswers(serve, failed));
  server.maxConnections = maxConnections;
  return server;
}
