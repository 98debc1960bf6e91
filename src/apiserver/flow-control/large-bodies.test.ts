import { Readable } from "node:stream";
import { expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { requestBody } from "../http/request-body.ts";
import { readBytes } from "../registry/parse-body.ts";
import type { ApiResponse, RequestContext } from "../request.ts";
import { largeBodyBytes, largeBodyStage } from "./large-bodies.ts";

const done: ApiResponse = { kind: "bytes", status: 200, contentType: "text/plain", bytes: new Uint8Array() };

interface Asked {
  readonly context: RequestContext;
  readonly abort: AbortController;
}

function post(bytes: number): Asked {
  const abort = new AbortController();
  const declaredBytes = String(bytes);
  const stream = Readable.from([Buffer.alloc(bytes)], { objectMode: false });
  const body = requestBody(stream, { method: "POST", declaredBytes, chunked: false });
  const request = { body, headers: { "content-length": declaredBytes }, signal: abort.signal };
  return { context: { request } as unknown as RequestContext, abort };
}

async function read(context: RequestContext): Promise<void> {
  const { body } = context.request;
  if (body.kind !== "value") await readBytes(context, body);
}

it("largeBodyStage() has one large body worked on at a time, small ones beside it, and hears others in between", async () => {
  const stage = largeBodyStage(new VirtualClock());
  const seen: string[] = [];
  const work = (name: string, bytes: number): Promise<ApiResponse> =>
    stage(post(bytes).context, async (context) => {
      await read(context);
      seen.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(`${name} ends`);
      setImmediate(() => seen.push(`others are heard after ${name}`));
      return done;
    });
  await Promise.all([work("first", largeBodyBytes + 1), work("second", largeBodyBytes + 1), work("small", 10)]);
  const large = seen.filter((line) => !line.includes("small"));
  expect(large.slice(0, 4)).toEqual(["first begins", "first ends", "others are heard after first", "second begins"]);
  expect(seen.indexOf("small begins")).toBeLessThan(seen.indexOf("first ends"));
});

it("largeBodyStage() lets the next one begin beside one that waits for others, and forgets who was aborted", async () => {
  const clock = new VirtualClock();
  const stage = largeBodyStage(clock);
  const begun: string[] = [];
  const work = (name: string, { context }: Asked): Promise<ApiResponse> =>
    stage(context, async (given) => {
      await read(given);
      begun.push(name);
      return new Promise<ApiResponse>(() => undefined);
    });
  const ofSize = largeBodyBytes + 1;
  const aborted = post(ofSize);
  void work("first", post(ofSize));
  await expect.poll(() => begun).toEqual(["first"]);
  const gone = work("aborted", aborted);
  void work("next", post(ofSize));
  aborted.abort.abort(new Error("gone"));
  await expect(gone).rejects.toThrow("gone");
  await clock.advance(1100);
  await expect.poll(() => begun).toEqual(["first", "next"]);
});
