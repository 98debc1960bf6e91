import { describe, expect, it } from "vitest";
import type { Pod } from "../api/types/core-v1.ts";
import { isNewer, RecentWrites } from "./recent-writes.ts";

function pod(name: string, resourceVersion: string, deleting = false): Pod {
  const deletionTimestamp = deleting ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {};
  const metadata = { name, namespace: "d", uid: name, resourceVersion, creationTimestamp: "2026-01-01T00:00:00Z", ...deletionTimestamp };
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [] } };
}

/** A cache that has come to a version. */
function cacheAt(version: string, ...objects: Pod[]) {
  const cache = { version, objects };
  const recent = new RecentWrites<Pod>({
    isAtLeast: (wanted) => !isNewer(wanted, cache.version),
    get: (key) => cache.objects.find((object) => `d/${object.metadata.name}` === key),
  });
  const names = (): readonly string[] => recent.correct("k", cache.objects).map((o) => `${o.metadata.name}@${o.metadata.resourceVersion}`);
  return { cache, recent, names };
}

describe("RecentWrites", () => {
  it("adds what the cache does not show yet, until the cache has come past it", () => {
    const { cache, recent, names } = cacheAt("9");
    recent.written("k", pod("a", "10"));
    expect(names()).toEqual(["a@10"]);
    expect(names()).toEqual(["a@10"]);
    cache.version = "12";
    expect(names()).toEqual([]);
  });

  it("prefers its own newer state, and the cache's when that is newer", () => {
    const { cache, recent, names } = cacheAt("5", pod("a", "5"));
    recent.written("k", pod("a", "10"));
    expect(names()).toEqual(["a@10"]);
    cache.objects = [pod("a", "11")];
    cache.version = "11";
    expect(names()).toEqual(["a@11"]);
  });

  it("hides what was deleted until the cache shows its deletion", () => {
    const { cache, recent, names } = cacheAt("5", pod("a", "5"), pod("b", "5"));
    recent.deleted("k", pod("a", "5"));
    expect(names()).toEqual(["b@5"]);
    cache.objects = [pod("a", "7", true), pod("b", "5")];
    expect(names()).toEqual(["a@7", "b@5"]);
  });

  it("may be asked about its own answers", () => {
    const { cache, recent } = cacheAt("5", pod("a", "5"));
    recent.written("k", pod("new", "6"));
    recent.deleted("k", pod("a", "5"));
    const once = recent.correct("k", cache.objects);
    expect(recent.correct("k", once)).toEqual(once);
    expect(recent.correct("k", cache.objects)).toEqual(once);
  });

  it("keeps the writes of different keys apart", () => {
    const { recent } = cacheAt("5");
    recent.written("other", pod("a", "6"));
    expect(recent.correct("k", [])).toEqual([]);
    recent.forget("other");
    expect(recent.correct("other", [])).toEqual([]);
  });
});
