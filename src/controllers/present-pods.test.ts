import { describe, expect, it } from "vitest";
import type { Pod } from "../api/types/core-v1.ts";
import { RecentWrites } from "../client/recent-writes.ts";
import { presentPods } from "./present-pods.ts";

const nowMs = Date.UTC(2026, 0, 1, 12);

const pod = (name: string, deletionTimestamp?: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name,
    namespace: "default",
    uid: name,
    resourceVersion: "5",
    creationTimestamp: "2026-01-01T00:00:00Z",
    ...(deletionTimestamp ? { deletionTimestamp } : {}),
  },
  spec: { containers: [] },
});

describe("presentPods()", () => {
  it("shows a deleted pod as terminating until the cache does", () => {
    const cached = new Map([["default/a", pod("a")]]);
    const recent = new RecentWrites<Pod>({ isAtLeast: () => false, get: (key) => cached.get(key) });
    recent.deleted("set", pod("a"));
    const present = (): readonly unknown[] =>
      presentPods(recent, [...cached.values()], { key: "set", nowMs }).map(({ metadata }) => [metadata.name, metadata.deletionTimestamp]);
    expect(present()).toEqual([["a", "2026-01-01T12:00:00Z"]]);
    cached.set("default/a", pod("a", "2026-01-01T11:59:59Z"));
    expect(present()).toEqual([["a", "2026-01-01T11:59:59Z"]]);
    cached.clear();
    expect(present()).toEqual([]);
  });

  it("shows pods that were made before the cache does", () => {
    const recent = new RecentWrites<Pod>({ isAtLeast: () => false, get: () => undefined });
    recent.written("set", pod("b"));
    expect(presentPods(recent, [pod("a")], { key: "set", nowMs }).map(({ metadata }) => metadata.name)).toEqual(["a", "b"]);
  });
});
