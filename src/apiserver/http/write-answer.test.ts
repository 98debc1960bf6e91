import { setImmediate } from "node:timers/promises";
import { expect, it } from "vitest";
import { silentLogger } from "../../base/log.ts";
import type { RequestContext } from "../request.ts";
import { ClientGone, type Sink } from "./sink.ts";
import { writeAnswer } from "./write-answer.ts";

it("a compressed list whose client goes is not made to its end", async () => {
  let made = 0;
  let released = false;
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for (; made < 1000; made++) {
        await setImmediate();
        yield Buffer.from(Array.from({ length: 100_000 }, () => Math.floor(Math.random() * 256)));
      }
    } finally {
      released = true;
    }
  };
  let writes = 0;
  const gone = (): Promise<void> | undefined => (++writes > 3 ? Promise.reject(new ClientGone()) : undefined);
  const nothing = (): void => undefined;
  const sink: Sink = {
    acceptsGzip: true,
    closed: false,
    ...{ send: nothing, sendText: nothing, open: nothing, end: nothing, destroy: nothing, onClose: nothing },
    write: gone,
    writeThrough: async () => gone(),
  };
  const context = { request: { method: "GET", path: "/api/v1/pods", headers: {} }, warnings: [], auditId: "" } as unknown as RequestContext;
  const response = { kind: "stream", status: 200, contentType: "application/json", chunks: chunks() } as const;
  await writeAnswer({ response, context } as never, sink, { logger: silentLogger, pace: {} as never });
  await expect.poll(() => released, { timeout: 60_000 }).toBe(true);
  expect(made).toBeLessThan(100);
});
