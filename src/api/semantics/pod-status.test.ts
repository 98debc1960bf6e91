import { describe, expect, it } from "vitest";
import type { Pod } from "../types/core-v1.ts";
import { findCondition, withCondition, withoutCondition } from "./conditions.ts";
import { isPodActive, isPodAvailable, isPodTerminating, nextPodAvailabilityMs } from "./pod-status.ts";
import { canonicalJson, templateHash } from "./template-hash.ts";

const at = Date.UTC(2026, 0, 1);

function pod(phase: "Running" | "Failed", more: { readonly ready?: string; readonly deleting?: boolean } = {}): Pod {
  const conditions = more.ready ? [{ type: "Ready", status: "True", lastTransitionTime: more.ready }] : [];
  return {
    metadata: more.deleting ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {},
    spec: {},
    status: { phase, conditions },
  } as unknown as Pod;
}

describe("a pod", () => {
  it("is active until it has ended or is being deleted", () => {
    expect([pod("Running"), pod("Failed"), pod("Running", { deleting: true })].map(isPodActive)).toEqual([true, false, false]);
    expect([pod("Running"), pod("Failed", { deleting: true }), pod("Running", { deleting: true })].map(isPodTerminating)).toEqual([
      false,
      false,
      true,
    ]);
  });

  it("is available when it has been ready for long enough", () => {
    const ready = pod("Running", { ready: "2026-01-01T00:00:00Z" });
    expect(isPodAvailable(ready, 0, at)).toBe(true);
    expect(isPodAvailable(ready, 10, at + 9_999)).toBe(false);
    expect(isPodAvailable(ready, 10, at + 10_000)).toBe(true);
    expect(isPodAvailable(pod("Running"), 0, at)).toBe(false);
    const later = pod("Running", { ready: "2026-01-01T00:00:05Z" });
    expect(nextPodAvailabilityMs([later, ready], 10, at + 6_000)).toBe(4_000);
    expect(nextPodAvailabilityMs([ready], 10, at + 20_000)).toBeUndefined();
  });
});

describe("conditions", () => {
  it("are replaced in place, added at the end, and taken away", () => {
    const two = withCondition(withCondition([], { type: "A", status: "True" }), { type: "B", status: "False" });
    const changed = withCondition(two, { type: "A", status: "False" });
    expect(changed.map(({ type, status }) => `${type}=${status}`)).toEqual(["A=False", "B=False"]);
    expect(findCondition(two, "A")?.status).toBe("True");
    expect(withoutCondition(changed, "A").map(({ type }) => type)).toEqual(["B"]);
  });
});

describe("templateHash()", () => {
  it("does not depend on the order of fields or on absent ones, and differs by content and collision count", () => {
    const hash = templateHash({ a: 1, b: { c: [1, 2] } });
    expect(templateHash({ b: { c: [1, 2], d: undefined }, a: 1, e: null })).toBe(hash);
    expect(templateHash({ a: 1, b: { c: [2, 1] } })).not.toBe(hash);
    expect(new Set([hash, templateHash({ a: 1, b: { c: [1, 2] } }, 0), templateHash({ a: 1, b: { c: [1, 2] } }, 1)]).size).toBe(3);
  });

  it("stays what it is: names of stored objects depend on it", () => {
    expect(templateHash({ metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "img:1" }] } })).toBe(
      "79d5cb5964",
    );
  });

  it("uses letters that form no words", () => {
    for (let i = 0; i < 50; i++) expect(templateHash({ i })).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{1,10}$/);
  });

  it("writes JSON with sorted keys", () => {
    expect(canonicalJson({ b: [{ d: 1, c: null }], a: "x" })).toBe('{"a":"x","b":[{"d":1}]}');
  });
});
