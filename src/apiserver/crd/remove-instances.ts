// The end of a definition: all its objects are deleted; when none is left, the finalizer that kept the definition goes.
// Objects with finalizers of their own keep it waiting.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { Client } from "../../client/client.ts";

/** Objects listed at a time. */
const pageSize = 500;

/** Asks for the deletion of every object. Gives how many are left. */
export async function removeInstances(client: Client, resource: ResourceType, signal: AbortSignal): Promise<number> {
  const type = resource as ResourceType<KubernetesObject>;
  const namespaces = new Set<string>();
  let next = "";
  do {
    const page = await client.list(type, { limit: pageSize, signal, ...(next === "" ? {} : { continue: next }) });
    for (const { metadata } of page.items) namespaces.add(metadata.namespace ?? "");
    next = page.metadata.continue ?? "";
  } while (next !== "");
  for (const namespace of namespaces) await client.deleteCollection(type, { namespace, signal });
  if (namespaces.size === 0) return 0;
  return (await client.list(type, { signal })).items.length;
}
