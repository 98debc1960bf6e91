// From a request's namespace and selectors to what the watch cache looks through: one object, a namespace, the objects
// that have a value in a field, and what is left of the selectors as a predicate.
import {
  everyFields,
  type FieldMatcher,
  type LabelMatcher,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
} from "../../api/meta/selectors.ts";
import { badRequest } from "../../api/meta/status-error.ts";
import { goQuoted } from "../../base/go-quoted.ts";
import type { ObjectVersion } from "../watch-cache/object-version.ts";
import type { CacheScope, FieldTerm } from "../watch-cache/watcher.ts";
import type { ResourceStore } from "./resource-store.ts";
import { isInShard, parseShardSelector, type ShardSelector, shardSelectorText, uidOf } from "./shard-selector.ts";

export interface ScopeRequest {
  readonly namespace: string;
  /** Of the path: a watch of one object. */
  readonly name?: string;
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly shardSelector?: string;
}

export interface RequestScope extends CacheScope {
  /** The selector of a shard, as the list says it. */
  readonly shard?: string;
  /** Whether selectors leave objects of the key range out: then what remains of a limited list is not counted. */
  readonly selective: boolean;
  /** The selectors where stored objects have to be prepared before they can be asked (see ResourceStore.prepare): then not in `matches`. */
  readonly select?: Predicate | undefined;
}

/** Throws 400 for a selector that cannot be read or names a field that is not supported. */
export function scopeOf(store: ResourceStore, request: ScopeRequest): RequestScope {
  const labels = parsed(() => parseLabelSelector(request.labelSelector));
  const fields = parsed(() => parseFieldSelector(request.fieldSelector));
  for (const { field } of fields.requirements) if (!store.field(field)) throw unsupportedField(store, field);
  if (request.name !== undefined && fields.requirements.length > 0 && fields.exactValue("metadata.name") !== request.name)
    throw badRequest("fieldSelector metadata.name doesn't match requested name");
  const namespaced = store.type.namespaced;
  const namespace = namespaced ? request.namespace || (fields.exactValue("metadata.namespace") ?? "") : "";
  const name = request.name ?? fields.exactValue("metadata.name");
  const selectors = predicate(store, labels, fields);
  const shard = store.shards && request.shardSelector ? parseShardSelector(request.shardSelector) : undefined;
  const inShard = shard && shardPredicate(store, shard);
  // No conversion changes what shards go by.
  const matches = store.converts ? inShard : both(inShard, selectors);
  const selection = {
    matches,
    selective: (matches ?? selectors) !== undefined,
    select: store.converts ? selectors : undefined,
    ...(shard ? { shard: shardSelectorText(shard) } : {}),
  };
  if (name !== undefined && (namespace !== "" || !namespaced)) return { key: store.keyOf(namespace, name), prefix: "", ...selection };
  const field = store.converts ? undefined : fieldTerm(store, fields);
  return { prefix: namespace === "" ? "" : `${namespace}/`, field, ...selection };
}

type Predicate = (version: ObjectVersion) => boolean;

function both(first: Predicate | undefined, second: Predicate | undefined): Predicate | undefined {
  return first && second ? (version) => first(version) && second(version) : (first ?? second);
}

function shardPredicate({ type }: ResourceStore, shard: ShardSelector): Predicate {
  if (shard.field === "object.metadata.uid") return (version) => isInShard(shard, version.field(uidOf));
  return ({ key }) => isInShard(shard, type.namespaced ? key.slice(0, key.indexOf("/")) : "");
}

function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
}

function unsupportedField(store: ResourceStore, field: string): Error {
  const { selectableFields, fieldRefusal } = store.definition;
  if (selectableFields) return badRequest(fieldRefusal?.(field, store.definition.type) ?? `field label not supported: ${field}`);
  return badRequest(`${goQuoted(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`);
}

function predicate(store: ResourceStore, labels: LabelMatcher, fields: FieldMatcher): Predicate | undefined {
  if (labels.everything && fields.everything) return undefined;
  // Conversion may change labels; nothing else does.
  const matchesLabels = store.converts
    ? (version: ObjectVersion): boolean => labels.matches(store.view(version).object.metadata.labels)
    : (version: ObjectVersion): boolean => labels.matches(version.labels);
  if (fields.everything || fields === everyFields) return matchesLabels;
  const matchesFields = (version: ObjectVersion): boolean => fields.matches((field) => store.field(field)?.(version));
  if (labels.everything) return matchesFields;
  return (version) => matchesLabels(version) && matchesFields(version);
}

/** The field by which watchers and objects are looked up: the first that must have one value. */
function fieldTerm(store: ResourceStore, fields: FieldMatcher): FieldTerm | undefined {
  for (const { field, operator, value } of fields.requirements) {
    const fieldOf = store.field(field);
    if (operator === "=" && fieldOf && !field.startsWith("metadata.")) return { fieldOf, value };
  }
  return undefined;
}
