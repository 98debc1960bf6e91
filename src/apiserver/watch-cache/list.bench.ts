// A list of 5,000 objects, from the cache to its bytes: the first encodes every object, the others share the bytes.
import { bench, describe } from "vitest";
import { configmaps } from "../../api/resources.generated.ts";
import { VirtualClock } from "../../base/clock.ts";
import { createMemoryStore } from "../../storage/memory.ts";
import { builtInDefinitions } from "../registry/definitions.ts";
import { encodedList, listPage } from "../registry/list.ts";
import type { ListBlocks } from "../registry/list-blocks.ts";
import { parseListOptions } from "../registry/request-options.ts";
import { scopeOf } from "../registry/scope.ts";
import { createResourceStores } from "../registry/stores.ts";

const clock = new VirtualClock();
const stores = createResourceStores({ store: createMemoryStore({ clock }), clock, definitions: builtInDefinitions([]) });
const configMapStore = stores.forType(configmaps);
const options = parseListOptions(new URLSearchParams(), false);
const scope = scopeOf(configMapStore, { namespace: "", labelSelector: "", fieldSelector: "" });

for (let i = 0; i < 5000; i++) {
  const metadata = {
    name: `object-${i}`,
    namespace: "default",
    uid: `${i}`,
    creationTimestamp: "2026-01-01T00:00:00Z",
    resourceVersion: "",
  };
  const object = { kind: "ConfigMap", apiVersion: "v1", metadata, data: { key: "x".repeat(700) } };
  await configMapStore.commit(`default/object-${i}`, object, undefined);
}
await configMapStore.cache.catchUp();

describe("list of 5,000 objects of 1 KB", () => {
  const read = async (blocks?: ListBlocks): Promise<void> => {
    let bytes = 0;
    for (const chunk of encodedList(configmaps, await listPage(configMapStore, scope, options), blocks).chunks) bytes += chunk.length;
    if (bytes < 4_000_000) throw new Error(`only ${bytes} bytes`);
  };
  bench("as JSON chunks", () => read());
  bench("as JSON chunks, again and again", () => read(configMapStore.blocks));
  bench("a page of 100", async () => {
    await listPage(configMapStore, scope, { ...options, limit: 100 });
  });
});
