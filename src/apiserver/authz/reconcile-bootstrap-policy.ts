// Brings the default roles and bindings into being at start, and repairs those that have lost something. Nothing is taken
// away: rules and subjects an administrator has added stay, and an object whose autoupdate annotation is "false" is left
// alone. One list of each kind tells whether there is anything to do, so a start with nothing to do is four requests.
import type { KubernetesObject, New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { clusterrolebindings, clusterroles, rolebindings, roles } from "../../api/resources.generated.ts";
import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding, Subject } from "../../api/types/rbac-v1.ts";
import type { Client } from "../../client/client.ts";
import { type BootstrapPolicy, bootstrapPolicy } from "./bootstrap-policy.ts";
import { uncoveredRules } from "./rules.ts";

const bootstrapLabel = "kubernetes.io/bootstrapping=rbac-defaults";
const autoUpdate = "rbac.authorization.kubernetes.io/autoupdate";
const attempts = 3;

/** Creates and repairs. The namespaces kube-system and kube-public must exist. Resolves when everything is as it should be. */
export async function reconcileBootstrapPolicy(client: Client, policy: BootstrapPolicy = bootstrapPolicy()): Promise<void> {
  await Promise.all([
    reconcileKind(client, clusterroles, policy.clusterRoles, repairRole<ClusterRole>),
    reconcileKind(client, clusterrolebindings, policy.clusterRoleBindings, repairBinding<ClusterRoleBinding>),
    reconcileKind(client, roles, policy.roles, repairRole<Role>),
    reconcileKind(client, rolebindings, policy.roleBindings, repairBinding<RoleBinding>),
  ]);
}

/** Gives the object as it should be; the same one where nothing is missing. */
type Repair<T> = (existing: T, expected: New<T>) => T;

async function reconcileKind<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  expected: readonly New<T>[],
  repair: Repair<T>,
): Promise<void> {
  const found = await client.list(type, { labelSelector: bootstrapLabel });
  const key = (o: { readonly metadata: { readonly namespace?: string; readonly name?: string } }): string =>
    `${o.metadata.namespace ?? ""}/${o.metadata.name ?? ""}`;
  const known = new Map(found.items.map((o) => [key(o), o]));
  await Promise.all(expected.map((wanted) => reconcileOne(client, type, wanted, known.get(key(wanted)), repair)));
}

async function reconcileOne<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  wanted: New<T>,
  known: T | undefined,
  repair: Repair<T>,
): Promise<void> {
  let existing = known;
  for (let attempt = 1; ; attempt++) {
    try {
      if (existing) await repairOne(client, type, existing, repair(existing, wanted));
      else await client.create(type, wanted);
      return;
    } catch (error) {
      // Another API server starts at the same time, or the object lost its label: look again.
      if (!isStatus(error, "AlreadyExists", "Conflict", "NotFound") || attempt === attempts) throw error;
      existing = await getIfPresent(client, type, wanted);
    }
  }
}

async function repairOne<T extends KubernetesObject>(client: Client, type: ResourceType<T>, existing: T, repaired: T): Promise<void> {
  if (repaired === existing || existing.metadata.annotations?.[autoUpdate] === "false") return;
  await client.update(type, repaired);
}

async function getIfPresent<T extends KubernetesObject>(client: Client, type: ResourceType<T>, wanted: New<T>): Promise<T | undefined> {
  const { namespace, name = "" } = wanted.metadata;
  try {
    return await client.get(type, { name, ...(namespace === undefined ? {} : { namespace }) });
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

/** The existing object with the labels and annotations that are missing; the same one where none are. */
function repairMetadata<T extends KubernetesObject>(existing: T, expected: New<T>): T {
  const { labels, annotations } = existing.metadata;
  const lacks = (has: Readonly<Record<string, string>> = {}, wants: Readonly<Record<string, string>> = {}): boolean =>
    Object.keys(wants).some((k) => has[k] === undefined);
  if (!lacks(labels, expected.metadata.labels) && !lacks(annotations, expected.metadata.annotations)) return existing;
  return {
    ...existing,
    metadata: {
      ...existing.metadata,
      labels: { ...expected.metadata.labels, ...labels },
      annotations: { ...expected.metadata.annotations, ...annotations },
    },
  };
}

export function repairRole<T extends ClusterRole | Role>(existing: T, expected: New<T>): T {
  const repaired = repairMetadata(existing, expected);
  const rules = existing.rules ?? [];
  const collects = "aggregationRule" in expected && expected.aggregationRule !== undefined;
  if (collects) return withSelectors(repaired as ClusterRole, expected as New<ClusterRole>) as T;
  const missing = uncoveredRules(rules, expected.rules ?? []);
  return missing.length === 0 ? repaired : { ...repaired, rules: [...rules, ...missing] };
}

/** Rules of a collecting role are the aggregation controller's business once it exists; its selectors are ours. */
function withSelectors(role: ClusterRole, expected: New<ClusterRole>): ClusterRole {
  const own = role.aggregationRule?.clusterRoleSelectors ?? [];
  const texts = new Set(own.map((s) => JSON.stringify(s)));
  const missing = (expected.aggregationRule?.clusterRoleSelectors ?? []).filter((s) => !texts.has(JSON.stringify(s)));
  return missing.length === 0 ? role : { ...role, aggregationRule: { clusterRoleSelectors: [...own, ...missing] } };
}

export function repairBinding<T extends ClusterRoleBinding | RoleBinding>(existing: T, expected: New<T>): T {
  const repaired = repairMetadata(existing, expected);
  const key = (s: Subject): string => [s.kind, s.apiGroup ?? "", s.namespace ?? "", s.name].join("|");
  const own = new Set((existing.subjects ?? []).map(key));
  const missing = (expected.subjects ?? []).filter((s) => !own.has(key(s)));
  return missing.length === 0 ? repaired : { ...repaired, subjects: [...(existing.subjects ?? []), ...missing] };
}
