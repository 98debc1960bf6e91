// What a change costs in the watch cache: to watchers of everything (each gets the shared event), and past a thousand
// watchers of other nodes' pods (which it must not meet).
import { bench, describe } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { CacheEvent } from "./cache-event.ts";
import { ObjectVersion } from "./object-version.ts";
import { type CacheScope, CacheWatcher, type FieldValue } from "./watcher.ts";
import { WatcherIndex } from "./watcher-index.ts";

interface Pod extends KubernetesObject {
  readonly spec: { readonly nodeName: string };
}

const nodeOf: FieldValue = ({ object }) => (object as Pod).spec.nodeName;

function podVersion(i: number): ObjectVersion {
  const metadata = {
    name: `pod-${i}`,
    namespace: "default",
    uid: `${i}`,
    creationTimestamp: "2026-01-01T00:00:00Z",
    resourceVersion: `${i}`,
  };
  const pod: Pod = { kind: "Pod", apiVersion: "v1", metadata, spec: { nodeName: `node-${i % 1000}` } };
  return new ObjectVersion(`default/pod-${i}`, pod, i);
}

function indexOf(scopes: readonly CacheScope[]): { readonly index: WatcherIndex; readonly watchers: readonly CacheWatcher[] } {
  const index = new WatcherIndex();
  const watchers = scopes.map(
    (scope) => new CacheWatcher({ scope, afterRevision: 0, initial: [], maxPending: 2 ** 31, onClose: () => undefined }),
  );
  for (const watcher of watchers) index.add(watcher);
  return { index, watchers };
}

let revision = 1;
function dispatchMany({ index, watchers }: ReturnType<typeof indexOf>, count: number): void {
  for (let i = 0; i < count; i++) {
    const version = podVersion(revision++);
    index.dispatch(new CacheEvent(version.key, version.revision, version, undefined));
  }
  for (const watcher of watchers) void watcher.batches().next();
}

const everything = indexOf(Array.from({ length: 100 }, () => ({ prefix: "" })));
const byNode = indexOf(Array.from({ length: 1000 }, (_, i) => ({ prefix: "", field: { fieldOf: nodeOf, value: `node-${i}` } })));

describe("fan-out of 1,000 events", () => {
  bench("100 watchers of all pods", () => dispatchMany(everything, 1000));
  bench("1,000 watchers, each of one node's pods", () => dispatchMany(byNode, 1000));
});
