import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { requestBody } from "./request-body.ts";

const bodyOf = (stream: PassThrough) => {
  const body = requestBody(stream, { method: "POST", declaredBytes: "100", chunked: false });
  if (body.kind !== "bytes") throw new Error("no body");
  return body;
};

describe("a request's body", () => {
  it("is not waited for any longer than the request lasts, however long its client holds the rest back", async () => {
    const stream = new PassThrough();
    const body = bodyOf(stream);
    const reading = body.read(1000);
    stream.write("half of");
    body.cutShort?.(new Error("too late"));
    await expect(reading).rejects.toThrow("too late");
    // What comes now, and its end, is nobody's any more.
    stream.end("the rest");
  });

  it("is whole where it was cut short too late, or before anybody read it", async () => {
    const stream = new PassThrough();
    const body = bodyOf(stream);
    body.cutShort?.(new Error("nobody reads"));
    const reading = body.read(1000);
    stream.end("all of it");
    expect(Buffer.from(await reading).toString()).toBe("all of it");
    body.cutShort?.(new Error("too late"));
  });
});
