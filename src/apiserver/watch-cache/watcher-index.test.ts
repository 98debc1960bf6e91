import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { CacheEvent } from "./cache-event.ts";
import { ObjectVersion } from "./object-version.ts";
import { type CacheScope, CacheWatcher, type FieldValue } from "./watcher.ts";
import { WatcherIndex } from "./watcher-index.ts";

interface Pod extends KubernetesObject {
  readonly spec: { readonly nodeName?: string };
}

let asked = 0;
const nodeOf: FieldValue = ({ object }) => (object as Pod).spec.nodeName ?? "";

function version(key: string, revision: number, nodeName?: string): ObjectVersion {
  const [namespace = "", name = ""] = key.split("/");
  const metadata = { namespace, name, uid: name, creationTimestamp: "", resourceVersion: `${revision}` };
  const pod: Pod = { kind: "Pod", apiVersion: "v1", metadata, spec: nodeName === undefined ? {} : { nodeName } };
  return new ObjectVersion(key, pod, revision);
}

function watcherOf(index: WatcherIndex, scope: CacheScope): CacheWatcher {
  const counted = {
    ...scope,
    matches: (v: ObjectVersion) => ++asked > 0 && (!scope.field || scope.field.fieldOf(v) === scope.field.value),
  };
  const watcher = new CacheWatcher({ scope: counted, afterRevision: 0, initial: [], onClose: (closed) => index.delete(closed) });
  index.add(watcher);
  return watcher;
}

async function taken(watcher: CacheWatcher): Promise<string[]> {
  watcher.close();
  const seen: string[] = [];
  for await (const batch of watcher.batches()) for (const event of batch) seen.push(event.type);
  return seen;
}

describe("WatcherIndex", () => {
  it("offers an event to the watchers of its object, namespace, field values and of everything, and to no others", async () => {
    const index = new WatcherIndex();
    const onNode = (value: string): CacheScope => ({ prefix: "", field: { fieldOf: nodeOf, value } });
    const concerned = [{ prefix: "" }, { prefix: "a/" }, { prefix: "", key: "a/x" }, onNode("n1"), onNode("")].map((s) =>
      watcherOf(index, s),
    );
    const others = [{ prefix: "b/" }, { prefix: "", key: "a/y" }, onNode("n2")].map((scope) => watcherOf(index, scope));
    asked = 0;
    const pending = version("a/x", 1);
    index.dispatch(new CacheEvent("a/x", 2, version("a/x", 2, "n1"), pending));
    // Two questions each: about the state now and before.
    expect(asked).toBe(concerned.length * 2);
    expect(await Promise.all(concerned.map(taken))).toEqual([["MODIFIED"], ["MODIFIED"], ["MODIFIED"], ["ADDED"], ["DELETED"]]);
    expect(await Promise.all(others.map(taken))).toEqual([[], [], []]);
    expect(index.size).toBe(0);
  });

  it("gives all watchers of one event the same bytes", async () => {
    const index = new WatcherIndex();
    const watchers = [1, 2, 3].map(() => watcherOf(index, { prefix: "" }));
    index.dispatch(new CacheEvent("a/x", 1, version("a/x", 1), undefined));
    const firsts = await Promise.all(watchers.map(async (w) => (await w.batches().next()).value?.[0]));
    expect(new Set(firsts).size).toBe(1);
    expect(new Set(firsts.map((event) => event?.bytes())).size).toBe(1);
  });
});
