// Wires what --profiling and --debug-socket-path serve. Nothing of it is loaded without them.
import { rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { dirname, resolve } from "node:path";
import { loopbackUser } from "../../apiserver/authn/user.ts";
import { createDebugEndpoints } from "../../apiserver/debug/debug-endpoints.ts";
import { createEndpoints, type EndpointSource } from "../../apiserver/http/endpoints.ts";
import { Http1Request } from "../../apiserver/http/http1.ts";
import { parseRequestInfo } from "../../apiserver/http/request-info.ts";
import type { Handler } from "../../apiserver/request.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger, type LogLevel } from "../../base/log.ts";
import { makeDirectory } from "../../base/make-directory.ts";
import { CommandError } from "../command-error.ts";

export interface DebuggingDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly level: LogLevel;
}

export interface Debugging extends Running {
  readonly endpoints: EndpointSource;
}

/** Served at the socket, where there is a path of one, to whoever may open it. Throws CommandError. */
export async function openDebugging({ clock, logger, level }: DebuggingDeps, socketPath: string | undefined): Promise<Debugging> {
  const endpoints = createDebugEndpoints({ clock, level });
  if (socketPath === undefined) return { endpoints, stop: async () => undefined };
  const handler = createEndpoints([endpoints]);
  const server = createServer((message, response) => {
    answer(handler, { message, response, clock }).catch((error: unknown) => {
      logger.info("Debugging request failed", { path: message.url ?? "", error }, 1);
      response.destroy();
    });
  });
  try {
    makeDirectory(dirname(resolve(socketPath)), 0o700);
    await rm(socketPath, { force: true });
    await new Promise<void>((listening, reject) => server.once("error", reject).listen(socketPath, listening));
  } catch (error) {
    throw new CommandError(`--debug-socket-path: ${errorText(error)}`);
  }
  return {
    endpoints,
    stop: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

interface Exchange {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly clock: Clock;
}

const noFacts = { remoteAddress: "", clientCertificate: undefined, frontProxyCertificate: undefined, hasUnknownCertificate: false };

async function answer(handler: Handler, { message, response, clock }: Exchange): Promise<void> {
  const request = new Http1Request(message, noFacts, {});
  response.on("close", () => request.clientGone());
  const info = parseRequestInfo(request.method, request.path, request.query);
  const answered = await handler({ request, info, user: loopbackUser, warnings: [], receivedAtMs: clock.now() });
  // All that is served here is.
  if (answered.kind !== "bytes") throw new Error(`answered with ${answered.kind}`);
  const { status, contentType, bytes, headers } = answered;
  response.writeHead(status, { "content-type": contentType, "content-length": bytes.length, ...headers });
  response.end(bytes);
}
