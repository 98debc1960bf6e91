import { describe, expect, it } from "vitest";
import type { ApiResponse, RequestContext } from "../request.ts";
import { createEndpoints, fixedEndpoints } from "./endpoints.ts";

const served = (text: string) => async (): Promise<ApiResponse> => ({
  kind: "bytes",
  status: 200,
  contentType: "text/plain",
  bytes: Buffer.from(text),
});

const endpoints = createEndpoints([fixedEndpoints({ "/version": served("v"), "/healthz": served("h"), "/statusz": served("s") })]);

async function answer(path: string): Promise<string> {
  // The path is all that endpoints look at.
  const response = await endpoints({ info: { path } } as RequestContext);
  if (response.kind !== "bytes") throw new Error("expected bytes");
  return response.status === 200 ? Buffer.from(response.bytes).toString() : String(response.status);
}

describe("createEndpoints()", () => {
  it.each([
    ["/version", "v"],
    ["/version/", "v"],
    ["/version//", "v"],
    ["//version", "404"],
    ["/healthz", "h"],
    ["/healthz/", "404"],
    ["/statusz/", "404"],
    ["/nothing", "404"],
    ["//", "404"],
    ["/index.html/", "404"],
  ])("answers %s with %s", async (path, expected) => {
    expect(await answer(path)).toBe(expected);
  });

  it("lists the paths at the root and at /index.html, which is not among them", async () => {
    const expected = { paths: ["/healthz", "/statusz", "/version"] };
    expect([JSON.parse(await answer("/")), JSON.parse(await answer("/index.html"))]).toEqual([expected, expected]);
  });
});
