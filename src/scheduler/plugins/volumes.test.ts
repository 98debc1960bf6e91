import { describe, expect, it } from "vitest";
import { applyMergePatch } from "../../api/patch/merge-patch.ts";
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, Volume } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import { SchedulerCache } from "../cache.ts";
import { decide } from "../schedule.ts";
import { testNode, testPod } from "../test-objects.ts";
import { createVolumeBinding } from "./volume-binding.ts";
import { createVolumeRestrictions } from "./volume-restrictions.ts";
import { createVolumeZone } from "./volume-zone.ts";

const meta = (name: string, more: object = {}) => ({
  name,
  uid: `uid-${name}`,
  resourceVersion: "1",
  creationTimestamp: "2026-01-01T00:00:00Z",
  ...more,
});
const onHost = (host: string) => ({
  required: { nodeSelectorTerms: [{ matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In" as const, values: [host] }] }] },
});

function volume(name: string, host: string, size = "1Gi", more: object = {}): PersistentVolume {
  const spec = {
    capacity: { storage: size },
    accessModes: ["ReadWriteOnce"],
    storageClassName: "late",
    nodeAffinity: onHost(host),
    local: { path: "/x" },
  };
  return { apiVersion: "v1", kind: "PersistentVolume", metadata: meta(name), spec: { ...spec, ...more }, status: { phase: "Available" } };
}

function claim(name: string, spec: object = {}, annotations: Record<string, string> = {}): PersistentVolumeClaim {
  const wanted = { accessModes: ["ReadWriteOnce"], storageClassName: "late", resources: { requests: { storage: "1Gi" } }, ...spec };
  return {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { ...meta(name), namespace: "default", annotations },
    spec: wanted,
    status: { phase: "Pending" },
  };
}

const bound = (name: string, volumeName: string, spec: object = {}): PersistentVolumeClaim =>
  claim(name, { volumeName, ...spec }, { "pv.kubernetes.io/bind-completed": "yes" });

const storageClass = (name: string, provisioner: string, volumeBindingMode: "Immediate" | "WaitForFirstConsumer"): StorageClass => ({
  apiVersion: "storage.k8s.io/v1",
  kind: "StorageClass",
  metadata: meta(name),
  provisioner,
  volumeBindingMode,
});

const using = (name: string, ...claims: string[]): Pod => {
  const volumes: Volume[] = claims.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } }));
  return testPod(name, { spec: { volumes } });
};

function setUp(
  objects: readonly (PersistentVolume | PersistentVolumeClaim | StorageClass)[],
  nodes: readonly Node[] = [testNode("a"), testNode("b")],
) {
  const stored = new Map(objects.map((o) => [`${o.kind}/${o.metadata.name}`, o]));
  const patches: string[] = [];
  const storage = {
    claim: (key: string) => stored.get(`PersistentVolumeClaim/${key.split("/")[1]}`) as PersistentVolumeClaim | undefined,
    volume: (name: string) => stored.get(`PersistentVolume/${name}`) as PersistentVolume | undefined,
    volumes: () => [...stored.values()].filter((o): o is PersistentVolume => o.kind === "PersistentVolume"),
    storageClass: (name: string) => stored.get(`StorageClass/${name}`) as StorageClass | undefined,
  };
  // Only patches are sent by these plugins.
  const client = {
    async patch(type: { kind: string }, at: { name: string }, patch: object) {
      const key = `${type.kind}/${at.name}`;
      patches.push(key);
      const before = stored.get(key);
      if (before) stored.set(key, applyMergePatch(before, patch as Record<string, unknown>));
    },
  } as unknown as Client;
  const clock = new VirtualClock();
  const deps = { client, clock, storage };
  const binding = createVolumeBinding(deps);
  const plugins = [createVolumeRestrictions(storage), binding, createVolumeZone(storage)];
  const cache = new SchedulerCache();
  for (const node of nodes) cache.setNode(node);
  const cycleOf = (pod: Pod) => ({ pod, snapshot: cache, state: new Map<string, unknown>() });
  const place = (pod: Pod, cycle = cycleOf(pod)): string => {
    const result = decide(cycle, { schedulerName: "s", plugins }, { random: () => 0.99, startAt: 0 });
    return result.kind === "node" ? result.nodeName : result.message;
  };
  return { stored, patches, clock, deps, binding, cache, cycleOf, place };
}

const late = storageClass("late", "kubernetes.io/no-provisioner", "WaitForFirstConsumer");

describe("the volume plugins", () => {
  it("refuse a pod whose claim does not exist, is being deleted, lost its volume, or is still to be bound", () => {
    const deleting = { ...claim("going"), metadata: { ...claim("going").metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
    const lost = { ...bound("lost", "gone"), status: { phase: "Lost" as const } };
    const t = setUp([deleting, lost, claim("unbound", { storageClassName: "" })]);
    const reason = (name: string): string => t.place(using("p", name));
    expect(reason("nope")).toBe('0/2 nodes are available: persistentvolumeclaim "nope" not found.');
    expect(reason("going")).toBe('0/2 nodes are available: persistentvolumeclaim "going" is being deleted.');
    expect(reason("lost")).toBe('0/2 nodes are available: persistentvolumeclaim "lost" bound to non-existent persistentvolume "gone".');
    expect(reason("unbound")).toBe("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.");
  });

  it("send a pod to where its bound volume can be reached", () => {
    const t = setUp([volume("v", "b"), volume("w", "c"), bound("here", "v"), bound("nowhere", "w"), bound("dangling", "x")]);
    expect(t.place(using("p", "here"))).toBe("b");
    expect(t.place(using("p", "nowhere"))).toBe("0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.");
    expect(t.place(using("p", "dangling"))).toBe('0/2 nodes are available: persistentvolume "x" not found.');
  });

  it("keep a claim for one pod to one pod", () => {
    const t = setUp([volume("v", "a"), bound("c", "v", { accessModes: ["ReadWriteOncePod"] })]);
    expect(t.place(using("p", "c"))).toBe("a");
    t.cache.setPod({ ...using("first", "c"), spec: { ...using("first", "c").spec, nodeName: "a" } });
    expect(t.place(using("p", "c"))).toMatch(
      "2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use",
    );
  });

  it("choose a node with a free volume that suits, the smallest, and bind it before the pod", async () => {
    const volumes = [volume("large", "b", "5Gi"), volume("fits", "b", "2Gi"), volume("small", "a", "500Mi")];
    const t = setUp([late, ...volumes, claim("c")]);
    const cycle = t.cycleOf(using("p", "c"));
    expect(t.place(cycle.pod, cycle)).toBe("b");
    t.binding.reserve?.(cycle, "b");
    // Promised to one pod: not for the next.
    t.stored.set("PersistentVolumeClaim/d", claim("d", { resources: { requests: { storage: "2Gi" } } }));
    const other = t.cycleOf(using("q", "d"));
    expect(t.place(other.pod, other)).toBe("b");
    t.binding.reserve?.(other, "b");
    expect(t.place(using("r", "c", "d"))).toMatch("2 node(s) didn't find available persistent volumes to bind");

    let done = false;
    const work = t.binding.preBind?.(cycle, "b", new AbortController().signal)?.then(() => {
      done = true;
    });
    await t.clock.advance(1_000);
    expect(t.patches).toEqual(["PersistentVolume/fits"]);
    expect(t.stored.get("PersistentVolume/fits")).toMatchObject({ spec: { claimRef: { name: "c", namespace: "default", uid: "uid-c" } } });
    expect(done).toBe(false);
    t.stored.set("PersistentVolumeClaim/c", bound("c", "fits"));
    await t.clock.advance(1_000);
    await work;
    expect(done).toBe(true);
  });

  it("ask for a volume to be provisioned for the chosen node, and stay with that node", async () => {
    const t = setUp([storageClass("made", "example.com/driver", "WaitForFirstConsumer"), claim("c", { storageClassName: "made" })]);
    const cycle = t.cycleOf(using("p", "c"));
    t.place(cycle.pod, cycle);
    t.binding.reserve?.(cycle, "a");
    const failed = t.binding.preBind?.(cycle, "a", new AbortController().signal)?.then(
      () => "bound",
      (error: Error) => error.message,
    );
    await t.clock.advance(1_000);
    expect(t.stored.get("PersistentVolumeClaim/c")?.metadata.annotations).toEqual({ "volume.kubernetes.io/selected-node": "a" });
    expect(t.place(using("p", "c"))).toBe("a");
    // The provisioner gives the node back.
    t.binding.unreserve?.(cycle, "a");
    t.stored.set("PersistentVolumeClaim/c", claim("c", { storageClassName: "made" }));
    await t.clock.advance(1_000);
    expect(await failed).toBe('binding volumes: provisioning failed for PVC "c"');
  });

  it("give up on volumes that are not bound in the time that the profile allows", async () => {
    const t = setUp([late, volume("fits", "b"), claim("c")]);
    const binding = createVolumeBinding({ ...t.deps, bindTimeoutMs: 3_000 });
    const cycle = t.cycleOf(using("p", "c"));
    binding.preFilter?.(cycle);
    binding.reserve?.(cycle, "b");
    const failed = binding.preBind?.(cycle, "b", new AbortController().signal)?.then(
      () => "bound",
      (error: Error) => error.message,
    );
    await t.clock.advance(3_500);
    expect(await failed).toBe("binding volumes: context deadline exceeded");
  });

  it("respect the zone labels of volumes", () => {
    const zone = "topology.kubernetes.io/zone";
    const nodes = [testNode("a", { labels: { [zone]: "x" } }), testNode("b", { labels: { [zone]: "y" } })];
    const labelled = { ...volume("v", "a", "1Gi", { nodeAffinity: undefined }), metadata: meta("v", { labels: { [zone]: "y__z" } }) };
    expect(setUp([labelled, bound("c", "v")], nodes).place(using("p", "c"))).toBe("b");
  });
});
