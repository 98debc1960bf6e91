import { describe, expect, it } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { fakeContext } from "./authn/request-fixture.ts";
import { createZPages } from "./z-pages.ts";

const clock = new VirtualClock(Date.parse("2026-03-05T07:08:09Z"));
const pages = createZPages({ clock, flags: { "secure-port": "6443", "audit-log-path": "" } });

async function get(path: string, accept = ""): Promise<{ readonly status: number; readonly contentType: string; readonly text: string }> {
  const answer = await pages.find(path)?.(fakeContext({ headers: { accept } }));
  if (answer?.kind !== "bytes") throw new Error("no bytes");
  return { status: answer.status, contentType: answer.contentType, text: Buffer.from(answer.bytes).toString() };
}

describe("createZPages()", () => {
  it("tells people since when the server runs, and as what", async () => {
    await clock.advance(3_723_000);
    const { contentType, text } = await get("/statusz");
    expect(contentType).toBe("text/plain; charset=utf-8");
    expect(text).toContain("\napiserver statusz\nWarning: This endpoint is not meant to be machine parseable");
    expect(text).toContain("\nStarted: Thu Mar  5 07:08:09 UTC 2026\nUp: 1 hr 02 min 03 sec\n");
    expect(text).toContain("\nEmulation version: 1.36\nPaths: /flagz /healthz /livez /metrics /readyz /statusz /version\n");
  });

  it("lists the flags in order", async () => {
    expect((await get("/flagz", "*/*")).text).toMatch(/purposes only\.\naudit-log-path=\nsecure-port=6443\n$/);
  });

  it("gives programs the form that they name, in JSON and YAML", async () => {
    const { contentType, text } = await get("/flagz", "application/json;v=v1beta1;g=config.k8s.io;as=Flagz");
    expect(contentType).toBe("application/json;g=config.k8s.io;v=v1beta1;as=Flagz");
    expect(JSON.parse(text)).toEqual({
      kind: "Flagz",
      apiVersion: "config.k8s.io/v1beta1",
      metadata: { name: "apiserver" },
      flags: { "audit-log-path": "", "secure-port": "6443" },
    });
    const status = await get("/statusz", "application/yaml;v=v1alpha1;g=config.k8s.io;as=Statusz");
    expect(status.text).toContain("apiVersion: config.k8s.io/v1alpha1\n");
    expect(status.text).toContain('startTime: "2026-03-05T07:08:09Z"\n');
  });

  it("refuses other forms", async () => {
    for (const accept of ["application/json", "application/json;v=v1beta1;g=config.k8s.io;as=Flagz", "text/html"]) {
      const { status, text } = await get("/statusz", accept);
      expect([status, JSON.parse(text)]).toMatchObject([406, { reason: "NotAcceptable" }]);
    }
  });
});
