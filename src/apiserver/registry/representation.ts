// How objects are shown: as they are, as a Table (what kubectl prints) or as metadata only. Which one, the client says by
// parameters of Accept ("application/json;as=Table;v=v1;g=meta.k8s.io"), and what a table's rows hold by ?includeObject=.
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import type { TableColumnDefinition, TableConvertor } from "../../api/encode/table/table.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { badRequest, StatusError } from "../../api/meta/status-error.ts";
import type { GroupVersionKind, ResourceType } from "../../api/resource-type.ts";
import type { ListMeta, ObjectMeta } from "../../api/types/meta-v1.ts";
import { type Encoding, negotiateOutput } from "../http/negotiate.ts";
import type { ApiRequest } from "../request.ts";
import { ObjectVersion } from "../watch-cache/object-version.ts";
import type { ListPage } from "./list.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

type MetaVersion = "meta.k8s.io/v1" | "meta.k8s.io/v1beta1";

export type Representation = (
  | { readonly as: "object" }
  | { readonly as: "metadata"; readonly apiVersion: MetaVersion; readonly asksFor: "object" | "list" }
  | { readonly as: "table"; readonly apiVersion: MetaVersion; readonly includeObject: string }
) & { readonly encoding: Encoding; readonly pretty: boolean; readonly cbor?: CborCodec | undefined };

/** What kind of answer is to be represented. */
export type Answer = "object" | "list" | "watch";

/**
 * What the client accepts; throws 406 for what is not served and 400 for a bad ?includeObject=. Custom resources have no
 * protobuf encoding (their metadata alone has), tables of anything have none nor one in CBOR, nor has what is no table (`tables` false).
 */
export function representationOf(request: ApiRequest, answer: Answer, type: ResourceType, tables = true): Representation {
  const { as, encoding, pretty } = negotiateOutput(request, {
    allows: (target) => isMetaVersion(target) && transformations.has(target.kind) && (tables || target.kind !== "Table"),
    encodes: (encoding, target) => encodes(encoding, target, type),
    routed: type.schema !== undefined,
    stream: answer === "watch",
    listsWatch: answer === "list",
  });
  if (!as) return { as: "object", encoding, pretty, cbor: request.cbor };
  const apiVersion = `meta.k8s.io/${as.version as "v1" | "v1beta1"}` as const;
  if (as.kind !== "Table")
    return { as: "metadata", encoding, pretty, apiVersion, asksFor: as.kind === "PartialObjectMetadataList" ? "list" : "object" };
  const includeObject = request.query.get("includeObject") ?? "";
  // A watch cannot say later what is wrong.
  if (answer === "watch") parseIncludeObject(includeObject);
  return { as: "table", encoding, pretty, apiVersion, includeObject };
}

function encodes(encoding: Encoding, target: GroupVersionKind | undefined, type: ResourceType): boolean {
  if (encoding === "json" || encoding === "yaml") return true;
  if (target) return target.kind !== "Table";
  return encoding === "cbor" || type.schema !== undefined;
}

/** Whether the answers of a subresource ("": the resource) have a table upstream: few besides status and scale have none. */
export function hasTable({ custom, tablelessStatus }: ResourceDefinition, subresource: string): boolean {
  if (subresource === "" || subresource === "scale" || custom) return true;
  return subresource === "status" && !tablelessStatus;
}

const transformations: ReadonlySet<string> = new Set(["Table", "PartialObjectMetadata", "PartialObjectMetadataList"]);

/** Throws the 406 for metadata of a list where there is one object, or of one object where there is a list. */
export function checkAskedFor(
  representation: Representation,
  answer: "object" | "list",
  { group, kind, schema }: Pick<ResourceType, "group" | "kind" | "schema">,
): void {
  if (representation.as !== "metadata" || representation.asksFor === answer) return;
  // Of one custom object upstream finds out only when it looks for items.
  if (schema === undefined && answer === "object") throw new StatusError({ code: 500, message: "content is not a list" });
  const own = schema === undefined ? "unstructured.Unstructured" : `${group === "" ? "core" : (group.split(".")[0] ?? "")}.${kind}`;
  const message =
    answer === "list"
      ? `you requested PartialObjectMetadata, but the requested object is a list (*${own}List)`
      : `you requested PartialObjectMetadataList, but the requested object is not a list (*${own})`;
  throw new StatusError({ code: 406, reason: "NotAcceptable", message });
}

const isMetaVersion = ({ group, version }: GroupVersionKind): boolean =>
  group === "meta.k8s.io" && (version === "v1" || version === "v1beta1");

type IncludedObject = "Metadata" | "Object" | "None";

/** Looked at when there is something to show, as upstream does. */
function parseIncludeObject(value: string): IncludedObject {
  if (value === "") return "Metadata";
  if (value === "Metadata" || value === "Object" || value === "None") return value;
  throw badRequest(
    `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(value)}: must be 'Metadata', 'Object', 'None', or empty`,
  );
}

export interface PartialObjectMetadata extends KubernetesObject {
  readonly apiVersion: MetaVersion;
  readonly kind: "PartialObjectMetadata";
}

type MetadataRules = Pick<ResourceDefinition, "fieldAnnotations">;

export function partialMetadata(
  { metadata }: KubernetesObject,
  { fieldAnnotations }: MetadataRules = {},
  apiVersion: MetaVersion = "meta.k8s.io/v1",
): PartialObjectMetadata {
  const shown = fieldAnnotations ? withoutAnnotations(metadata, fieldAnnotations) : metadata;
  return { kind: "PartialObjectMetadata", apiVersion, metadata: shown };
}

function withoutAnnotations(metadata: ObjectMeta, names: readonly string[]): ObjectMeta {
  const { annotations, ...rest } = metadata;
  const shown = Object.entries(annotations ?? {}).filter(([name]) => !names.includes(name));
  return shown.length > 0 ? { ...rest, annotations: Object.fromEntries(shown) } : rest;
}

const partials = new WeakMap<ObjectVersion, ObjectVersion>();

/** The metadata of a version as an object of its own, encoded once for all who ask in the usual version. */
export function partialVersion(version: ObjectVersion, rules: MetadataRules, apiVersion: MetaVersion): ObjectVersion {
  if (apiVersion !== "meta.k8s.io/v1")
    return new ObjectVersion(version.key, partialMetadata(version.glance(), rules, apiVersion), version.revision);
  let partial = partials.get(version);
  if (!partial) {
    partial = new ObjectVersion(version.key, partialMetadata(version.glance(), rules), version.revision);
    partials.set(version, partial);
  }
  return partial;
}

export function partialList({ versions, metadata }: ListPage, rules: MetadataRules, apiVersion: MetaVersion): unknown {
  const items = versions.map((version) => partialVersion(version, rules, apiVersion).object);
  // Upstream has no empty list here.
  return { kind: "PartialObjectMetadataList", apiVersion, metadata, items: items.length > 0 ? items : null };
}

const nameDescription =
  "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const createdDescription =
  "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

const defaultColumns: readonly TableColumnDefinition[] = [
  { name: "Name", type: "string", format: "name", description: nameDescription, priority: 0 },
  { name: "Created At", type: "date", format: "", description: createdDescription, priority: 0 },
];

/** Name and creation time: the table of kinds without columns of their own. */
export const defaultTable: TableConvertor<KubernetesObject> = {
  columns: defaultColumns,
  cells: ({ metadata }) => [metadata.name, metadata.creationTimestamp],
};

export interface TableOptions {
  /** What has the columns of the kind, where it has any of its own. */
  readonly definition: Pick<ResourceDefinition, "table" | "fieldAnnotations" | "custom">;
  readonly representation: Extract<Representation, { as: "table" }>;
  readonly metadata: ListMeta;
  /** False leaves them out: all events of a watch but the first. */
  readonly withColumns: boolean;
  readonly nowMs: number;
}

/** A Table of objects. */
export function tableOf(objects: Iterable<KubernetesObject>, options: TableOptions): unknown {
  const { definition, representation, nowMs } = options;
  const table = definition.table ?? defaultTable;
  const include = parseIncludeObject(representation.includeObject);
  const rows = [];
  for (const object of table.compare ? [...objects].sort(table.compare) : objects) {
    const conditions = table.conditions?.(object);
    const cells = object.metadata.name === undefined ? emptyCells(table) : table.cells(object, nowMs);
    rows.push({
      cells,
      ...(conditions && conditions.length > 0 ? { conditions } : {}),
      object: rowObject(object, include, representation.apiVersion, definition),
    });
  }
  return {
    kind: "Table",
    apiVersion: representation.apiVersion,
    metadata: options.metadata,
    columnDefinitions: options.withColumns ? table.columns : null,
    // Where the kind has no columns of its own, upstream has no empty list here.
    rows: rows.length > 0 || definition.table ? rows : null,
  };
}

function rowObject(object: KubernetesObject, include: IncludedObject, apiVersion: MetaVersion, rules: MetadataRules): unknown {
  if (include === "None") return null;
  return include === "Object" ? object : partialMetadata(object, rules, apiVersion);
}

/** The row of a bookmark, which is no object. */
function emptyCells(table: TableConvertor<KubernetesObject>): readonly unknown[] {
  if (table.emptyCells) return table.emptyCells;
  return table.columns.map((column) => {
    if (column.name === "Age") return "<unknown>";
    return column.type === "integer" || column.type === "number" || column.name === "Data" ? 0 : "";
  });
}
