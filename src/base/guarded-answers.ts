// One request that cannot be answered must not end the process: what its handler throws, at once or later, becomes a 500.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

/** `failed` is told what was thrown. */
export function guardedAnswers(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void> | void,
  failed: (error: unknown) => void,
): RequestListener {
  return (request, response) => {
    const fail = (error: unknown): void => {
      failed(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { "content-type": "text/plain; charset=utf-8" }).end("500 internal server error\n");
    };
    try {
      void answer(request, response)?.catch(fail);
    } catch (error) {
      fail(error);
    }
  };
}
