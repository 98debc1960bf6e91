// One request that cannot be answered must not end the process: what its handler throws becomes a 500.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

/** `failed` is told what was thrown. */
export function guardedAnswers(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  failed: (error: unknown) => void,
): RequestListener {
  return (request, response) => {
    try {
      answer(request, response);
    } catch (error) {
      failed(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { "content-type": "text/plain; charset=utf-8" }).end("500 internal server error\n");
    }
  };
}
