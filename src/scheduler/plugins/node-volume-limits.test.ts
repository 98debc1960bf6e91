import { describe, expect, it } from "vitest";
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { CSINode, StorageClass } from "../../api/types/storage-v1.ts";
import { SchedulerCache } from "../cache.ts";
import { decide } from "../schedule.ts";
import { testNode, testPod } from "../test-objects.ts";
import { createNodeVolumeLimits } from "./node-volume-limits.ts";

const driver = "csi.example.com";
const meta = (name: string) => ({ name, namespace: "default", uid: name, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" });

/** Claims are bound to the volume of their name, except those that begin with "new". Node a may have `limit` volumes. */
const view = (limit: number | undefined) => ({
  claim: (key: string): PersistentVolumeClaim => {
    const name = key.split("/")[1] ?? "";
    const bound = name.startsWith("new") ? { storageClassName: "class" } : { volumeName: name };
    return { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: meta(name), spec: { accessModes: ["ReadWriteOnce"], ...bound } };
  },
  volume: (name: string): PersistentVolume => {
    const source = name.startsWith("local") ? { local: { path: "/x" } } : { csi: { driver, volumeHandle: name } };
    return { apiVersion: "v1", kind: "PersistentVolume", metadata: meta(name), spec: { accessModes: ["ReadWriteOnce"], ...source } };
  },
  storageClass: (name: string): StorageClass => ({
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: meta(name),
    provisioner: driver,
  }),
  csiNode: (name: string): CSINode => ({
    apiVersion: "storage.k8s.io/v1",
    kind: "CSINode",
    metadata: meta(name),
    spec: {
      drivers: [{ name: driver, nodeID: name, topologyKeys: [], ...(limit === undefined ? {} : { allocatable: { count: limit } }) }],
    },
  }),
});

const using = (name: string, ...claims: string[]): Pod =>
  testPod(name, { spec: { volumes: claims.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } })) } });

function place(pod: Pod, limit: number | undefined, there: readonly Pod[] = []): string {
  const cache = new SchedulerCache();
  cache.setNode(testNode("a"));
  for (const other of there) cache.setPod({ ...other, spec: { ...other.spec, nodeName: "a" } });
  const plugins = [createNodeVolumeLimits(view(limit))];
  const cycle = { pod, snapshot: cache, state: new Map<string, unknown>() };
  const result = decide(cycle, { schedulerName: "s", plugins }, { random: () => 0.5, startAt: 0 });
  return result.kind === "node" ? result.nodeName : result.message;
}

const full = "0/1 nodes are available: 1 node(s) exceed max volume count.";

describe("NodeVolumeLimits", () => {
  it("keeps a pod off a node that cannot attach its volumes besides those that are there", () => {
    expect(place(using("p", "v1"), 2, [using("q", "v2")])).toBe("a");
    expect(place(using("p", "v1", "v3"), 2, [using("q", "v2")])).toBe(full);
    expect(place(using("p", "v1"), 0)).toBe(full);
  });

  it("counts a shared volume once", () => {
    expect(place(using("p", "v1"), 1, [using("q", "v1")])).toBe("a");
    expect(place(using("p", "v1"), 1, [using("q", "v1"), using("r", "v2")])).toBe("a");
  });

  it("counts claims that are still to be provisioned, and not volumes of other kinds", () => {
    expect(place(using("p", "new1"), 1, [using("q", "new2")])).toBe(full);
    expect(place(using("p", "local1"), 0)).toBe("a");
    expect(place(testPod("p"), 0)).toBe("a");
  });

  it("knows no limit where the driver says none", () => {
    expect(place(using("p", "v1", "v2", "v3"), undefined)).toBe("a");
  });
});
