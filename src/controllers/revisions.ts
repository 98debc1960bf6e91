// The history of a daemon set or stateful set: ControllerRevisions, each with the pod template of one version as a strategic
// merge patch that puts it back. They are numbered upwards; a version that comes back keeps its revision under a new number.
// `kubectl rollout history` lists them, `rollout undo` applies their patch.
import { semanticallyEqual } from "../api/meta/equality.ts";
import { controllerRef } from "../api/meta/object.ts";
import { type LabelMatcher, labelMatcher } from "../api/meta/selectors.ts";
import { isStatus } from "../api/meta/status-error.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { controllerrevisions } from "../api/resources.generated.ts";
import { canonicalJson, templateHash } from "../api/semantics/template-hash.ts";
import type { ControllerRevision, DaemonSet, StatefulSet } from "../api/types/apps-v1.ts";
import type { PodTemplateSpec } from "../api/types/core-v1.ts";
import type { Client } from "../client/client.ts";
import type { Informer } from "../client/informer.ts";
import type { RecentWrites } from "../client/recent-writes.ts";
import { claim } from "./claim.ts";
import { orphansIn, ownedBy } from "./owner-index.ts";

/** On revisions their hash; on pods what names their revision: the hash for daemon sets, the name for stateful sets. */
export const revisionHashLabel = "controller-revision-hash";

export type RevisionOwner = DaemonSet | StatefulSet;

/** A patch that gives its object the template of this version, whatever it has now. */
interface RevisionData {
  readonly spec: { readonly template: PodTemplateSpec & { readonly $patch: "replace" } };
}

export function revisionData(owner: RevisionOwner): RevisionData {
  return { spec: { template: { ...owner.spec.template, $patch: "replace" } } };
}

/** The template that a revision keeps. */
export function templateOf(revision: ControllerRevision): PodTemplateSpec {
  const { $patch: _, ...template } = (revision.data as unknown as RevisionData).spec.template;
  return template;
}

/** Lower numbers first; among equals, which only a foreign hand can make, the older one. */
export function byRevision(a: ControllerRevision, b: ControllerRevision): number {
  if (a.revision !== b.revision) return a.revision - b.revision;
  const [left, right] = [a.metadata, b.metadata];
  if (left.creationTimestamp !== right.creationTimestamp) return left.creationTimestamp < right.creationTimestamp ? -1 : 1;
  return left.name < right.name ? -1 : 1;
}

/** What is known of an object's versions. */
export interface History {
  /** The revision of its present template; undefined where there is none yet. */
  readonly present: ControllerRevision | undefined;
  /** Others of the present template, which can come about when orphans are adopted. */
  readonly duplicates: readonly ControllerRevision[];
  /** Of other templates, by number. */
  readonly older: readonly ControllerRevision[];
  /** The number that the present version has or has to get: above all others. */
  readonly number: number;
}

export function historyOf(owner: RevisionOwner, revisions: readonly ControllerRevision[]): History {
  const sorted = [...revisions].sort(byRevision);
  const data = revisionData(owner);
  const same = sorted.filter((revision) => semanticallyEqual(revision.data, data));
  const older = sorted.filter((revision) => !same.includes(revision));
  const present = same.at(-1);
  return {
    present,
    duplicates: same.slice(0, -1),
    older,
    number: Math.max(present?.revision ?? 0, (older.at(-1)?.revision ?? 0) + 1),
  };
}

export interface RevisionWork<T extends RevisionOwner> {
  readonly client: Client;
  readonly signal: AbortSignal;
  /** The owner's key. */
  readonly key: string;
  readonly owner: T;
  readonly type: ResourceType<T>;
  readonly informer: Informer<ControllerRevision>;
  readonly recent: RecentWrites<ControllerRevision>;
}

/** The owner's revisions: those it controls, and matching orphans, which it adopts. */
export function claimRevisions<T extends RevisionOwner>(work: RevisionWork<T>): Promise<readonly ControllerRevision[]> {
  const { client, signal, key, owner, type, informer, recent } = work;
  const selector: LabelMatcher = labelMatcher(owner.spec.selector);
  const orphans = orphansIn(informer, owner.metadata.namespace).filter((revision) => selector.matches(revision.metadata.labels));
  const candidates = recent.correct(key, [...ownedBy(informer, owner.metadata.uid), ...orphans]);
  return claim(candidates, {
    client,
    signal,
    ownerType: type,
    owner,
    type: controllerrevisions,
    selector,
    onWrite: (revision) => recent.written(key, revision),
  });
}

/** The revision of the owner's present template, made or renumbered as necessary; with the collisions met in naming it. */
export async function ensureRevision<T extends RevisionOwner>(
  work: RevisionWork<T>,
  history: History,
): Promise<{ readonly revision: ControllerRevision; readonly collisionCount: number }> {
  const { client, signal, key, owner, recent } = work;
  const collisionCount = owner.status?.collisionCount ?? 0;
  const { present, number } = history;
  if (!present) return createRevision(work, number);
  if (present.revision === number) return { revision: present, collisionCount };
  const renumbered = await client.update(controllerrevisions, { ...present, revision: number }, { signal });
  return { revision: recent.written(key, renumbered), collisionCount };
}

const maxCollisions = 20;

async function createRevision<T extends RevisionOwner>(
  { client, signal, key, owner, type, recent }: RevisionWork<T>,
  number: number,
): Promise<{ readonly revision: ControllerRevision; readonly collisionCount: number }> {
  const { name, namespace, annotations } = owner.metadata;
  const data = revisionData(owner);
  const first = owner.status?.collisionCount ?? 0;
  for (let collisionCount = first; ; collisionCount++) {
    const hash = templateHash(data, collisionCount);
    const metadata = {
      name: `${name.slice(0, maxNamePrefix)}-${hash}`,
      namespace,
      labels: { ...owner.spec.template.metadata?.labels, [revisionHashLabel]: hash },
      ...(annotations ? { annotations } : {}),
      ownerReferences: [controllerRef(owner, type)],
    };
    try {
      const created = await client.create(controllerrevisions, { metadata, data: inOrder(data), revision: number }, { signal });
      return { revision: recent.written(key, created), collisionCount };
    } catch (error) {
      if (!isStatus(error, "AlreadyExists") || collisionCount - first >= maxCollisions) throw error;
    }
    // Taken: by our own, which the cache does not show yet, or by another template of the same hash.
    const existing = await client.get(controllerrevisions, { namespace, name: metadata.name }, { signal });
    const isOurs = existing.metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) ?? false;
    if (isOurs && semanticallyEqual(existing.data, data)) return { revision: recent.written(key, existing), collisionCount };
  }
}

/** Clients find an owner's revision by comparing its bytes with their own: fields are in the order of their names. */
const inOrder = (data: RevisionData): Record<string, unknown> => JSON.parse(canonicalJson(data)) as Record<string, unknown>;

/** Names end at 253 characters, hashes at ten; upstream leaves room for 30. */
const maxNamePrefix = 223;

/** Deletes revisions; one that is gone already is fine. */
export async function deleteRevisions<T extends RevisionOwner>(
  { client, signal, key, recent }: RevisionWork<T>,
  revisions: readonly ControllerRevision[],
): Promise<void> {
  for (const revision of revisions) {
    const { namespace, name, uid } = revision.metadata;
    try {
      await client.delete(controllerrevisions, { namespace, name }, { signal, body: { preconditions: { uid } } });
    } catch (error) {
      if (!isStatus(error, "NotFound", "Conflict")) throw error;
    }
    recent.deleted(key, revision);
  }
}
