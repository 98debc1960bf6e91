// Asks a kubelet that is in the same process, over the network of simulated nodes: a plain request on a connection of its own.
import type { IncomingMessage } from "node:http";
import type { Clock } from "../base/clock.ts";
import { type Dial, requestTo } from "../rpc/dial.ts";

export interface InProcessGet {
  readonly dial: Dial;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface InProcessAnswer {
  readonly status: number;
  readonly body: string;
}

/** Throws where there is no whole answer in time. */
export async function getInProcess(url: URL, { dial, clock, signal, timeoutMs, maxBytes }: InProcessGet): Promise<InProcessAnswer> {
  const request = requestTo(url, { signal, headers: { accept: "text/plain" } }, dial);
  const timer = clock.after(timeoutMs, () => request.destroy(new Error(`no answer from ${url.host} in ${timeoutMs} ms`)));
  try {
    return await new Promise<InProcessAnswer>((resolve, reject) => {
      request.on("error", reject);
      request.on("response", (response) => {
        readText(response, maxBytes).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
      });
      request.end();
    });
  } finally {
    timer.cancel();
  }
}

async function readText(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).length;
    if (size > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
