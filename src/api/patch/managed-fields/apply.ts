// Server-side apply: merges a configuration into the live object, removes what its manager applied before and no longer
// does (unless someone else owns it), and records the ownership. Changing a field that another manager owns is a conflict
// unless forced.
import { sortedKeys } from "../../encode/sorted-keys.ts";
import type { KubernetesObject } from "../../meta/object.ts";
import { badRequest, StatusError } from "../../meta/status-error.ts";
import type { GroupVersionKind } from "../../resource-type.ts";
import { jsonEqual } from "../json-patch.ts";
import { type Conflict, conflictError } from "./conflicts.ts";
import { difference, type FieldSet, intersection, isEmptySet, recursiveDifference, union } from "./field-set.ts";
import { identityOf, type Owner, type Owners, readOwners, setOwner, withSet, writeOwners } from "./managers.ts";
import { mergeApplied } from "./merge-objects.ts";
import { compareFields, fieldsOf } from "./object-fields.ts";
import { Changes } from "./other-versions.ts";
import { prune } from "./prune.ts";
import { isObject, type JsonObject, KeylessItemError, type Shape } from "./shape.ts";
import { ownersAfterWrite, reconciledOwners, serverFields, typeProblem, type WriteContext, withManagedFields, writerOf } from "./update.ts";
import { appliedProblem, validateApplied } from "./validate-applied.ts";

export interface ApplyContext extends WriteContext {
  readonly kind: GroupVersionKind;
  /** The decoded empty object of the kind, for objects that nobody's fields are known of. */
  readonly empty: KubernetesObject;
  /** Take fields over from other managers. Default false. */
  readonly force?: boolean;
}

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";
const beforeFirstApply = "before-first-apply";

/**
 * The live object with the configuration applied, not yet decoded and defaulted: applied values stand as they were sent.
 * To create, `live` is `context.empty`. Throws StatusError: 409 with every conflict, 400 for another kind, 500 for values
 * of the wrong type.
 */
export function applyPatch<T extends KubernetesObject>(live: T, applied: KubernetesObject, context: ApplyContext): T {
  const kindText = checkKind(applied, context);
  const recorded = ownersBeforeApply(live, context);
  checkApplied(applied, kindText, context);
  if (context.isCustom) checkLive(live, context);
  const owners = reconciledOwners(recorded, applied.apiVersion, context);
  let outcome = attempt(live, applied, owners, context);
  if (outcome.conflicts.length > 0 && !context.force) {
    const refused = context.manager === "kubectl" ? notFromClientSide(outcome.conflicts, live, context) : outcome.conflicts;
    if (refused.length > 0) throw conflictError(refused);
    outcome = attempt(live, applied, owners, context);
  }
  const object = withLastApplied(outcome.object, applied, context.manager);
  return withManagedFields(object as T, writeOwners(outcome.owners));
}

/** "apps/v1, Kind=Deployment", which an object of the kind has to say of itself. */
function checkKind(applied: KubernetesObject, { kind }: ApplyContext): string {
  const [first = "", second] = (applied.apiVersion ?? "").split("/");
  const sent = second === undefined ? { group: "", version: first } : { group: first, version: second };
  const sentText = `${sent.group}/${sent.version}, Kind=${applied.kind ?? ""}`;
  if (sent.group !== kind.group || sent.version !== kind.version || applied.kind !== kind.kind)
    throw badRequest(`invalid object type: ${sentText}`);
  return sentText;
}

function checkApplied(applied: KubernetesObject, kindText: string, { shape }: ApplyContext): void {
  if (saysOwners(applied.metadata?.managedFields)) throw badRequest("metadata.managedFields must be nil");
  const { namespace, name } = applied.metadata ?? {};
  validateApplied(applied as unknown as JsonObject, shape, `${textOr(namespace)}/${textOr(name)}; ${kindText}`);
}

/** What is no text is no name: its type is refused afterwards. */
const textOr = (value: unknown): string => (typeof value === "string" ? value : "");

const ownerTexts = ["apiVersion", "fieldsType", "manager", "operation", "subresource"] as const;

/** A list that cannot be read as one of owners is none: where it is not of its type, that is what is refused. */
function saysOwners(sent: unknown): boolean {
  return Array.isArray(sent) && sent.every(isOwner);
}

function isOwner(item: unknown): boolean {
  if (!isObject(item)) return false;
  const { time } = item;
  const isTime = time === undefined || time === null || (typeof time === "string" && !Number.isNaN(Date.parse(time)));
  return isTime && ownerTexts.every((field) => item[field] === undefined || item[field] === null || typeof item[field] === "string");
}

/** What was stored before the definition changed need not be of the type that it has now. */
function checkLive(live: KubernetesObject, context: ApplyContext): void {
  const problem = typeProblem(live, context.shape);
  if (problem === undefined) return;
  throw new StatusError({ code: 500, message: `failed to create typed live object (${subjectOf(live, context)}): ${problem}` });
}

function subjectOf({ metadata }: KubernetesObject, { kind }: ApplyContext): string {
  return `${metadata.namespace ?? ""}/${metadata.name}; ${kind.group}/${kind.version}, Kind=${kind.kind}`;
}

/** Fields of an object that has no owners are those of a manager of their own, so that applying can conflict with them. */
function ownersBeforeApply(live: KubernetesObject, context: ApplyContext): Owners {
  const owners = readOwners(live.metadata?.managedFields) ?? new Map<string, Owner>();
  if (owners.size > 0 || live === context.empty) return owners;
  const problem = context.isCustom ? typeProblem(live, context.shape) : undefined;
  if (problem !== undefined) throw cannotBeOwned(live, problem, context);
  try {
    return ownersAfterWrite(context.empty, live, owners, { ...context, manager: beforeFirstApply });
  } catch (error) {
    if (!(error instanceof KeylessItemError)) throw error;
    throw cannotBeOwned(live, appliedProblem(live as unknown as JsonObject, context.shape) ?? error.message, context);
  }
}

function cannotBeOwned(live: KubernetesObject, why: string, context: ApplyContext): StatusError {
  const what = `failed to convert new object (${subjectOf(live, context)}) to smd typed`;
  return new StatusError({ code: 500, message: `failed to create manager for existing fields: ${what}: ${why}` });
}

interface Outcome {
  readonly object: KubernetesObject;
  readonly owners: Owners;
  readonly conflicts: readonly Conflict[];
}

/** What an apply that takes over every conflict comes to. */
function attempt(live: KubernetesObject, applied: KubernetesObject, owners: Owners, context: ApplyContext): Outcome {
  const { shape, resetFields } = context;
  const applier = writerOf(context, "Apply", applied.apiVersion);
  const identity = identityOf(applier);
  const before = owners.get(identity);
  const wanted = fieldsOf(applied, shape);
  const set = resetFields ? recursiveDifference(wanted, resetFields) : wanted;
  const others = [...owners].filter(([other]) => other !== identity);

  const merged = mergeApplied(live, applied, shape);
  const wantedBy = [{ apiVersion: applied.apiVersion, set }, ...others.map(([, owner]) => owner)] as const;
  const object = (before ? prune(merged, before, wantedBy, context) : merged) as KubernetesObject;
  const changes = new Changes(live, object, applied.apiVersion, context);
  const result = new Map<string, Owner>();
  const conflicts: Conflict[] = [];
  for (const [other, owner] of others) {
    const own = changes.in(owner.apiVersion);
    if (!own) continue;
    const taken = intersection(owner.set, union(own.modified, own.added));
    if (!isEmptySet(taken)) conflicts.push({ owner, set: taken });
    setOwner(result, other, withSet(owner, difference(difference(owner.set, taken), own.removed)));
  }
  const unchanged = jsonEqual(live, object);
  const time = unchanged ? before?.time : context.now;
  setOwner(result, identity, { ...applier, time, set: difference(set, serverFields) });
  return { object, owners: result, conflicts };
}

/**
 * kubectl that moves from client-side to server-side apply may take over what it applied before: the fields of the
 * last-applied annotation that the live object still has as they were.
 */
function notFromClientSide(conflicts: readonly Conflict[], live: KubernetesObject, { shape }: ApplyContext): readonly Conflict[] {
  const allowed = lastAppliedFields(live, shape);
  if (!allowed) return conflicts;
  return conflicts.map(({ owner, set }) => ({ owner, set: difference(set, allowed) })).filter(({ set }) => !isEmptySet(set));
}

function lastAppliedFields(live: KubernetesObject, shape: Shape): FieldSet | undefined {
  const text = live.metadata.annotations?.[lastApplied];
  if (!text) return undefined;
  let config: Partial<KubernetesObject>;
  try {
    config = JSON.parse(text) as Partial<KubernetesObject>;
  } catch {
    return undefined; // an annotation that is no JSON allows nothing
  }
  if (config.apiVersion !== live.apiVersion) return undefined;
  if (appliedProblem(config as JsonObject, shape) !== undefined) return undefined; // it was never applied as it stands there
  const changes = compareFields(config, live, shape);
  return difference(fieldsOf(config, shape), union(changes.modified, union(changes.added, changes.removed)));
}

/** Keeps the annotation of client-side apply up to date where there is one, so that kubectl can go back to it. */
function withLastApplied(object: KubernetesObject, applied: KubernetesObject, manager: string): KubernetesObject {
  const annotations = object.metadata?.annotations;
  if (manager !== "kubectl" || !annotations?.[lastApplied]) return object;
  const { [lastApplied]: _, ...rest } = applied.metadata.annotations ?? {};
  const metadata = applied.metadata.annotations ? { ...applied.metadata, annotations: rest } : applied.metadata;
  const text = `${JSON.stringify(sortedKeys({ ...applied, metadata }))}\n`;
  return { ...object, metadata: { ...object.metadata, annotations: { ...annotations, [lastApplied]: text } } };
}
