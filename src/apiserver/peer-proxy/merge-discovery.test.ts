import { describe, expect, it } from "vitest";
import type { DiscoveredGroup, DiscoveredResource } from "../discovery/documents.ts";
import { mergeDiscovery } from "./merge-discovery.ts";
import { mergeNames } from "./merge-names.ts";

describe("mergeNames()", () => {
  it("keeps the order of every list, and puts what no list decides in the order of letters", () => {
    expect(
      mergeNames([
        ["a", "c"],
        ["b", "c"],
      ]),
    ).toEqual(["a", "b", "c"]);
    expect(
      mergeNames([
        ["z", "m"],
        ["m", "a"],
        ["z", "b", "a"],
      ]),
    ).toEqual(["z", "b", "m", "a"]);
    expect(mergeNames([])).toEqual([]);
  });

  it("is the first list that has all names, whatever the others say", () => {
    expect(
      mergeNames([
        ["b", "a"],
        ["a", "b"],
      ]),
    ).toEqual(["b", "a"]);
  });

  it("is the order of letters where the lists contradict each other", () => {
    expect(
      mergeNames([
        ["c", "b", "x"],
        ["b", "c", "a"],
      ]),
    ).toEqual(["a", "b", "c", "x"]);
  });
});

const resource = (name: string, more: Partial<DiscoveredResource> = {}): DiscoveredResource => ({
  resource: name,
  verbs: ["get"],
  ...more,
});
const group = (name: string, versions: Readonly<Record<string, readonly DiscoveredResource[]>>): DiscoveredGroup => ({
  metadata: { name },
  versions: Object.entries(versions).map(([version, resources]) => ({ version, resources, freshness: "Current" })),
});

describe("mergeDiscovery()", () => {
  const apps = group("apps", { v1: [resource("deployments")] });

  it("is this server's own where peers add nothing", () => {
    const own = [apps];
    expect(mergeDiscovery({ identity: "a", own, peers: new Map() })).toBe(own);
    expect(mergeDiscovery({ identity: "a", own, peers: new Map([["b", [group("apps", { v1: [resource("deployments")] })]]]) })).toBe(own);
  });

  it("has groups, versions and resources of all, each server's in its order, the same on each", () => {
    const [first, second] = [
      [apps, group("batch", { v2: [resource("jobs")], v1: [resource("jobs")] }), group("zoo", { v1: [] })],
      [group("apps", { v1: [resource("daemonsets"), resource("deployments")] }), group("policy", { v1: [] }), group("zoo", { v1: [] })],
    ];
    const merged = mergeDiscovery({ identity: "a", own: first, peers: new Map([["b", second]]) });
    expect(merged.map(({ metadata }) => metadata.name)).toEqual(["apps", "batch", "policy", "zoo"]);
    expect(merged[0]).toEqual(group("apps", { v1: [resource("daemonsets"), resource("deployments")] }));
    expect(merged[1]?.versions.map(({ version }) => version)).toEqual(["v2", "v1"]);
    expect(mergeDiscovery({ identity: "b", own: second, peers: new Map([["a", first]]) })).toEqual(merged);
  });

  it("joins verbs and subresources of a resource that two describe differently", () => {
    const scale = { subresource: "scale", verbs: ["get"] };
    const own = [group("apps", { v1: [resource("deployments", { verbs: ["watch", "get"], subresources: [scale] })] })];
    const peers = new Map([
      ["b", [group("apps", { v1: [resource("deployments", { verbs: ["list"], subresources: [{ subresource: "log" }] })] })]],
    ]);
    expect(mergeDiscovery({ identity: "a", own, peers })[0]?.versions[0]?.resources).toEqual([
      { resource: "deployments", verbs: ["get", "list", "watch"], subresources: [{ subresource: "log" }, scale] },
    ]);
  });
});
