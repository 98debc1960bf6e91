import { describe, expect, test } from "vitest";
import { answerPage, flagzPage, statuszPage } from "./component-pages.ts";

const startedMs = Date.UTC(2026, 10, 1, 21, 5, 39);
const status = statuszPage({
  component: "kube-proxy",
  startedMs,
  nowMs: startedMs + 3_691_500,
  platformVersion: "v20.20.0",
  binaryVersion: "1.36.2",
  paths: ["/metrics", "/configz"],
});
const flags = flagzPage("kube-proxy", { v: "2", config: "" });
const object = (type: string, version: string, kind: string) => `application/${type};v=${version};g=config.k8s.io;as=${kind}`;

describe("statuszPage() and flagzPage()", () => {
  test("are text unless an object is asked for", async () => {
    const warning =
      "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.";
    for (const accept of [undefined, "*/*", "text/plain", "text/html, text/*;q=0.1"]) {
      const { contentType, body } = await answerPage(status, { accept });
      expect([contentType, body]).toEqual([
        "text/plain; charset=utf-8",
        `\nkube-proxy statusz\n${warning}\n\nStarted: Sun Nov  1 21:05:39 UTC 2026\nUp: 1 hr 01 min 31 sec\nGo version: v20.20.0\nBinary version: 1.36.2\nEmulation version: 1.36\nPaths: /configz /metrics\n`,
      ]);
    }
    expect((await answerPage(flags, { accept: "" })).body).toBe(`\nkube-proxy flagz\n${warning}\nconfig=\nv=2\n`);
  });

  test("are objects of the version that is named", async () => {
    const answer = await answerPage(status, { accept: object("json", "v1beta1", "Statusz") });
    expect([answer.contentType, answer.headers]).toEqual(["application/json;g=config.k8s.io;v=v1beta1;as=Statusz", {}]);
    expect(answer.body.startsWith('{\n  "kind": "Statusz",\n  "apiVersion": "config.k8s.io/v1beta1",\n  "metadata": {\n')).toBe(true);
    expect(JSON.parse(answer.body)).toMatchObject({
      startTime: "2026-11-01T21:05:39Z",
      uptimeSeconds: 3691,
      paths: ["/configz", "/metrics"],
    });
    expect((await answerPage(flags, { accept: object("yaml", "v1beta1", "Flagz") })).body).toBe(
      'apiVersion: config.k8s.io/v1beta1\nflags:\n  config: ""\n  v: "2"\nkind: Flagz\nmetadata:\n  name: kube-proxy\n',
    );
  });

  test("warn of the older version", async () => {
    expect(await answerPage(flags, { accept: object("json", "v1alpha1", "Flagz") })).toMatchObject({
      contentType: "application/json;g=config.k8s.io;v=v1alpha1;as=Flagz",
      headers: { warning: '299 - "This version of the flagz endpoint is deprecated. Please use a newer version."' },
    });
  });

  test("what is liked best counts", async () => {
    const both = await answerPage(status, { accept: `text/plain;q=0.5, ${object("json", "v1beta1", "Statusz")}` });
    expect(both.contentType).toMatch(/^application\/json/);
  });

  test.each(["application/json", "application/cbor", "text/html", object("json", "v9", "Statusz"), object("json", "v1beta1", "Flagz")])(
    "there is nothing else: %s",
    async (accept) => {
      const { status: code, body } = await answerPage(status, { accept });
      expect([code, JSON.parse(body)]).toEqual([
        406,
        expect.objectContaining({
          reason: "NotAcceptable",
          message: "only the following media types are accepted: application/json, application/yaml, text/plain",
        }),
      ]);
    },
  );
});
