// Brings the default roles and bindings into being at start, and repairs those that have lost something. Nothing is taken
// away: rules and subjects an administrator has added stay, and an object whose autoupdate annotation is "false" is left
// alone. Only a binding that binds another role than it should is made anew. One list of each kind tells whether there is anything
// to do, so a start with nothing to do is four requests.
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
    reconcileKind<ClusterRole>(client, clusterroles, policy.clusterRoles, {
      repair: repairRole,
      sources: aggregatedFrom,
      prime: primeRole,
    }),
    reconcileKind<ClusterRoleBinding>(client, clusterrolebindings, policy.clusterRoleBindings, {
      repair: repairBinding,
      isOther: bindsAnother,
      sources: splitFrom,
      prime: primeBinding,
    }),
    reconcileKind<Role>(client, roles, policy.roles, { repair: repairRole }),
    reconcileKind<RoleBinding>(client, rolebindings, policy.roleBindings, { repair: repairBinding, isOther: bindsAnother }),
  ]);
}

/** How objects of a kind are made what they should be. */
interface Reconciling<T> {
  /** Gives the object as it should be; the same one where nothing is missing. */
  readonly repair: (existing: T, expected: New<T>) => T;
  /** It cannot be repaired, as it is fixed to something else: it is made anew. */
  readonly isOther?: (existing: T, expected: New<T>) => boolean;
  /** Objects that held, in an older release, what a missing one is to hold: their names by its name. */
  readonly sources?: ReadonlyMap<string, string>;
  /** The missing object with what an administrator made of the older one; undefined where there is nothing of it to keep. */
  readonly prime?: (source: T, expected: New<T>) => T | undefined;
}

const aggregatedFrom = new Map(["admin", "edit", "view"].map((name) => [`system:aggregate-to-${name}`, name]));
const splitFrom = new Map([["system:public-info-viewer", "system:discovery"]]);

/** A role that collects others has no rules of its own to hand on. */
function primeRole(source: ClusterRole, expected: New<ClusterRole>): ClusterRole | undefined {
  return source.aggregationRule ? undefined : primed(expected, source, { rules: source.rules ?? [] });
}

function primeBinding(source: ClusterRoleBinding, expected: New<ClusterRoleBinding>): ClusterRoleBinding {
  return primed(expected, source, { subjects: source.subjects ?? [] });
}

function primed<T extends KubernetesObject>(expected: New<T>, source: T, fields: Partial<T>): T {
  const { labels = {}, annotations = {} } = source.metadata;
  const metadata = { ...expected.metadata, labels, annotations };
  return { ...expected, ...fields, metadata } as unknown as T; // as it would be stored, without a uid yet
}

async function reconcileKind<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  expected: readonly New<T>[],
  reconciling: Reconciling<T>,
): Promise<void> {
  const found = await client.list(type, { labelSelector: bootstrapLabel });
  const key = (o: { readonly metadata: { readonly namespace?: string; readonly name?: string } }): string =>
    `${o.metadata.namespace ?? ""}/${o.metadata.name ?? ""}`;
  const known = new Map(found.items.map((o) => [key(o), o]));
  await Promise.all(
    expected.map(async (wanted) => {
      const existing = known.get(key(wanted));
      const source = existing ? undefined : known.get(`/${reconciling.sources?.get(wanted.metadata.name ?? "")}`);
      const first = source && reconciling.prime?.(source, wanted);
      await reconcileOne(client, type, { wanted, first, existing }, reconciling);
    }),
  );
}

interface Known<T> {
  readonly wanted: New<T>;
  /** As which it is made where it is missing, and then repaired. Absent: as it is wanted. */
  readonly first: T | undefined;
  readonly existing: T | undefined;
}

async function reconcileOne<T extends KubernetesObject>(
  client: Client,
  type: ResourceType<T>,
  { wanted, first, existing: known }: Known<T>,
  reconciling: Reconciling<T>,
): Promise<void> {
  let existing = known;
  for (let attempt = 1; ; attempt++) {
    try {
      if (!existing) await client.create(type, first ? (repaired(first, wanted, reconciling) as unknown as New<T>) : wanted);
      else if (!isProtected(existing) && reconciling.isOther?.(existing, wanted)) await recreate(client, type, existing, wanted);
      else await repairOne(client, type, existing, repaired(existing, wanted, reconciling));
      return;
    } catch (error) {
      // Another API server starts at the same time, or the object lost its label: look again.
      if (!isStatus(error, "AlreadyExists", "Conflict", "NotFound") || attempt === attempts) throw error;
      existing = await getIfPresent(client, type, wanted);
    }
  }
}

const isProtected = ({ metadata }: KubernetesObject): boolean => metadata.annotations?.[autoUpdate] === "false";

const repaired = <T extends KubernetesObject>(existing: T, wanted: New<T>, { repair }: Reconciling<T>): T =>
  isProtected(existing) ? existing : repair(existing, wanted);

async function recreate<T extends KubernetesObject>(client: Client, type: ResourceType<T>, existing: T, wanted: New<T>): Promise<void> {
  const { namespace, name, uid } = existing.metadata;
  await client.delete(type, { name, ...(namespace === undefined ? {} : { namespace }) }, { body: { preconditions: { uid } } });
  await client.create(type, wanted);
}

async function repairOne<T extends KubernetesObject>(client: Client, type: ResourceType<T>, existing: T, wanted: T): Promise<void> {
  if (wanted !== existing) await client.update(type, wanted);
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

/** What a binding binds to can never be changed. */
function bindsAnother({ roleRef }: ClusterRoleBinding | RoleBinding, expected: New<ClusterRoleBinding> | New<RoleBinding>): boolean {
  const { apiGroup, kind, name } = expected.roleRef;
  return roleRef.apiGroup !== apiGroup || roleRef.kind !== kind || roleRef.name !== name;
}

export function repairBinding<T extends ClusterRoleBinding | RoleBinding>(existing: T, expected: New<T>): T {
  const repaired = repairMetadata(existing, expected);
  const key = (s: Subject): string => [s.kind, s.apiGroup ?? "", s.namespace ?? "", s.name].join("|");
  const own = new Set((existing.subjects ?? []).map(key));
  const missing = (expected.subjects ?? []).filter((s) => !own.has(key(s)));
  return missing.length === 0 ? repaired : { ...repaired, subjects: [...(existing.subjects ?? []), ...missing] };
}
