import { describe, expect, it } from "vitest";
import { type ContainerGarbageInput, deadContainers, deadSandboxes, type GarbageContainer, type PodPresence } from "./container-garbage.ts";

/** "pod/name@created", a "+" behind it when it runs. */
function container(text: string): GarbageContainer {
  const [, podUid = "", name = "", created = "0", running] = /^(\w+)\/(\w+)@(\d+)(\+)?$/.exec(text) ?? [];
  return { id: text, podUid, name, sandboxId: `${podUid}-box`, createdAtMs: Number(created), running: running !== undefined };
}

const presence = (uid: string): PodPresence => (uid.startsWith("gone") ? "gone" : uid.startsWith("ended") ? "ended" : "live");
const keepAll = { maxPerPodContainer: -1, maxContainers: -1, minAgeMs: 0 };

const removed = (texts: readonly string[], given: Partial<ContainerGarbageInput> = {}): readonly string[] =>
  deadContainers({ containers: texts.map(container), presence, policy: keepAll, nowMs: 1000, ...given }).map((c) => c.id);

describe("deadContainers()", () => {
  it("keeps so many dead instances of each container, the newest, and all that run", () => {
    const policy = { ...keepAll, maxPerPodContainer: 1 };
    const given = ["a/main@1", "a/main@3", "a/main@2", "a/main@4+", "a/side@1", "b/main@1"];
    expect(removed(given, { policy })).toEqual(["a/main@1", "a/main@2"]);
    expect(removed(given)).toEqual([]);
  });

  it("keeps none of pods that are gone, and of ended ones only while there is room", () => {
    const given = ["gone/main@1", "gone/main@2+", "ended/main@3", "live/main@4"];
    expect(removed(given)).toEqual(["gone/main@1"]);
    expect(removed(given, { evenOfEnded: true })).toEqual(["gone/main@1", "ended/main@3"]);
  });

  it("keeps the young", () => {
    expect(removed(["gone/a@900", "gone/b@901"], { policy: { ...keepAll, minAgeMs: 100 } })).toEqual(["gone/a@900"]);
  });

  it("keeps so many altogether: as many of each as there is room for, then the newest", () => {
    const policy = { ...keepAll, maxContainers: 4 };
    const given = ["a/m@1", "a/m@2", "a/m@3", "b/m@4", "b/m@5", "c/m@6"];
    expect(removed(given, { policy })).toEqual(["a/m@1", "a/m@2", "b/m@4"]);
    expect(removed(["a/m@1", "b/m@2", "c/m@3"], { policy: { ...keepAll, maxContainers: 2 } })).toEqual(["a/m@1"]);
    expect(removed(given, { policy: { ...keepAll, maxContainers: 6 } })).toEqual([]);
  });
});

describe("deadSandboxes()", () => {
  const box = (id: string, podUid: string, createdAtMs: number, ready = false) => ({ id, podUid, createdAtMs, ready });
  const gone = (boxes: readonly ReturnType<typeof box>[], holding: readonly string[] = [], evenOfEnded = false): readonly string[] => {
    const containers = holding.map((sandboxId) => ({ ...container("x/y@1"), sandboxId }));
    return deadSandboxes(boxes, containers, { presence, evenOfEnded }).map((s) => s.id);
  };

  it("removes empty ones that are not ready, but for the newest of a pod", () => {
    expect(gone([box("old", "a", 1), box("new", "a", 2)])).toEqual(["old"]);
    expect(gone([box("old", "a", 1), box("new", "a", 2, true)])).toEqual(["old"]);
    expect(gone([box("old", "a", 1, true), box("new", "a", 2)])).toEqual([]);
    expect(gone([box("old", "a", 1), box("new", "a", 2)], ["old"])).toEqual([]);
  });

  it("removes all of pods that are gone, and of ended ones when room is needed", () => {
    const boxes = [box("g", "gone", 1), box("e", "ended", 1)];
    expect(gone(boxes)).toEqual(["g"]);
    expect(gone(boxes, [], true)).toEqual(["g", "e"]);
  });
});
