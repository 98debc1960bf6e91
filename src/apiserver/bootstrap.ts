// What the API server puts into an empty cluster, and restores when it is missing: the system namespaces, the two system
// priority classes, and since when the use of legacy tokens is noted. (The service "kubernetes" and its range are in peers/.)

import { formatIP, parseCIDR } from "../api/meta/ip.ts";
import type { KubernetesObject, New } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { namespaces, priorityclasses } from "../api/resources.generated.ts";
import type { Client, NamedTarget } from "../client/client.ts";

export const systemNamespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];

const priorityClasses = [
  {
    name: "system-node-critical",
    value: 2_000_001_000,
    description: "Used for system critical pods that must not be moved from their current node.",
  },
  {
    name: "system-cluster-critical",
    value: 2_000_000_000,
    description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
  },
];

/** The first address of the (first) service range: that of the service "kubernetes". */
export function firstServiceIp(range: string): string {
  const cidr = parseCIDR(range.split(",")[0] ?? "");
  if (!cidr) throw new Error(`${range} is not a range of addresses`);
  const bytes = [...cidr.network];
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 1;
  return formatIP(bytes);
}

/** Creates the system namespaces: what everything else lies in. */
export async function ensureSystemNamespaces(client: Client): Promise<void> {
  await Promise.all(systemNamespaces.map((name) => createMissing(client, namespaces, { metadata: { name }, spec: {} })));
}

export async function ensurePriorityClasses(client: Client): Promise<void> {
  await Promise.all(
    priorityClasses.map(({ name, value, description }) =>
      createMissing(client, priorityclasses, { metadata: { name }, value, description }),
    ),
  );
}

/** Creates an object unless there is one of its name. */
export async function createMissing<T extends KubernetesObject>(client: Client, type: ResourceType<T>, object: New<T>): Promise<void> {
  if (await find(client, type, targetOf(object))) return;
  try {
    await client.create(type, object);
  } catch (error) {
    // Another API server on the same store may be starting too.
    if (!isStatus(error, "AlreadyExists")) throw error;
  }
}

/** Undefined where there is none. */
export async function find<T extends KubernetesObject>(client: Client, type: ResourceType<T>, at: NamedTarget): Promise<T | undefined> {
  try {
    return await client.get(type, at);
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

function targetOf(object: { readonly metadata: { readonly name?: string; readonly namespace?: string } }): NamedTarget {
  const { name = "", namespace } = object.metadata;
  return namespace === undefined ? { name } : { name, namespace };
}
