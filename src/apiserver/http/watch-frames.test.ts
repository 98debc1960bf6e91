import { describe, expect, it } from "vitest";
import type { WatchStreamEvent } from "../request.ts";
import { parseWarnings, warningHeaders } from "./warnings.ts";
import { watchFrames } from "./watch-frames.ts";

const event = (type: WatchStreamEvent["type"], object: unknown): WatchStreamEvent => ({
  type,
  object,
  bytes: () => Buffer.from(JSON.stringify(object)),
});

describe("watchFrames()", () => {
  it("writes a JSON line for each event, many to a chunk", () => {
    const batch = [event("ADDED", { name: "é" }), event("DELETED", {}), event("BOOKMARK", 1), event("ERROR", []), event("MODIFIED", null)];
    const chunks = [...watchFrames(batch)];
    expect(chunks).toHaveLength(1);
    const lines = Buffer.concat(chunks).toString().trimEnd().split("\n");
    expect(lines.map((l) => JSON.parse(l) as unknown)).toEqual(batch.map(({ type, object }) => ({ type, object })));
  });

  it("makes one chunk for watchers that are sent the same events, and others for others", () => {
    const [a, b] = [event("ADDED", { name: "a" }), event("ADDED", { name: "b" })];
    const [first] = [...watchFrames([a, b])];
    expect([...watchFrames([a, b])][0]).toBe(first);
    expect([...watchFrames([b, a])][0]).not.toEqual(first);
    expect([...watchFrames([a])].toString()).toBe('{"type":"ADDED","object":{"name":"a"}}\n');
  });

  it("cuts a large batch into chunks that hold whole events", () => {
    const batch = Array.from({ length: 50 }, (_, i) => event("ADDED", { i, text: "x".repeat(20_000) }));
    const chunks = [...watchFrames(batch)];
    expect(chunks.length).toBeGreaterThan(3);
    for (const chunk of chunks) expect(chunk.length).toBeLessThanOrEqual(256 * 1024);
    const seen = chunks
      .flatMap((c) => c.toString().trimEnd().split("\n"))
      .map((l) => (JSON.parse(l) as { object: { i: number } }).object.i);
    expect(seen).toEqual(batch.map((_, i) => i));
  });
});

describe("warningHeaders()", () => {
  it("quotes, escapes and keeps each text once", () => {
    expect(warningHeaders(['unknown field "x\\y"', "b", "b", ""])).toEqual(['299 - "unknown field \\"x\\\\y\\""', '299 - "b"']);
    expect(parseWarnings(warningHeaders(['a "q"', "line\nbreak"]).join(", "))).toEqual(['a "q"']);
  });

  it("cuts texts short when they would fill the head", () => {
    const headers = warningHeaders(Array.from({ length: 30 }, (_, i) => `${i} ${"w".repeat(1000)}`));
    expect(headers.length).toBeLessThan(20);
    expect(headers.join("").length).toBeLessThan(6000);
  });
});
