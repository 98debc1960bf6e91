// A CustomResourceDefinition as resource definitions: one for each version that is served. What is served of them follows
// from the schemas of the version, how stored objects become what is served and back from custom-storage.ts.
import type { FieldError } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { structuralShape } from "../../api/patch/managed-fields/structural-shape.ts";
import { apiVersionOf, type ResourceType, type SubresourceType } from "../../api/resource-type.ts";
import type { CompiledSchema } from "../../api/structural/compile-schema.ts";
import type { JsonObject } from "../../api/structural/json.ts";
import type { CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps } from "../../api/types/apiextensions-v1.ts";
import { compareVersions } from "../discovery/version-order.ts";
import { sameFields } from "../registry/field-management.ts";
import { withMetadata } from "../registry/object-meta.ts";
import { withStatusOf } from "../registry/plain-resource.ts";
import type { CustomRules, ResourceDefinition, ScalePaths, UpdateStrategy } from "../registry/resource-definition.ts";
import type { ObjectConverter } from "./conversion-webhook.ts";
import { decodeApplied, decodeCustom, withDefaults } from "./custom-decode.ts";
import { customStorage, type VersionSchemas, versionSchemas } from "./custom-storage.ts";
import { customTable } from "./custom-table.ts";
import { finalizerWarnings } from "./finalizer-warnings.ts";
import { compileJsonPath, fieldsOfPath } from "./json-path.ts";
import { customObjectProblems, scaleSpecProblems, scaleStatusProblems } from "./validate-custom.ts";

export type SchemaCompiler = (schema: JSONSchemaProps | undefined) => CompiledSchema;

export interface CustomDefinitionOptions {
  /** Called when a version is first used: a definition that nobody uses costs nothing but its own text. */
  readonly compile: SchemaCompiler;
  /** Makes what converts between the versions of a definition that has a webhook for it. */
  readonly converterOf: (definition: CustomResourceDefinition) => ObjectConverter;
  /** Why nothing can be created now. */
  readonly createRefusal: () => string | undefined;
}

const verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
/** While the definition is being deleted. */
const leavingVerbs = ["delete", "deletecollection", "get", "list", "watch"];
const subresourceVerbs = ["get", "patch", "update"];

/** Where objects lie below /registry/. */
const customStoragePath = ({ spec }: CustomResourceDefinition): string => `${spec.group}/${spec.names.plural}`;

/** Where the objects of a definition lie, whichever of its versions is served. */
export function customKeySpace(definition: CustomResourceDefinition): Pick<ResourceDefinition, "type" | "storagePath"> {
  const [version] = definition.spec.versions;
  if (!version) throw new Error(`${definition.metadata.name} has no versions`); // validation asks for one that stores
  return { type: customType(definition, version), storagePath: customStoragePath(definition) };
}

export function customDefinitions(definition: CustomResourceDefinition, options: CustomDefinitionOptions): readonly ResourceDefinition[] {
  const { spec } = definition;
  const schemas = versionSchemas(spec, options.compile);
  const convert = spec.conversion?.strategy === "Webhook" ? options.converterOf(definition) : undefined;
  const parts: DefinitionParts = { definition, schemas, convert, createRefusal: options.createRefusal };
  return spec.versions.filter((version) => version.served).map((version) => customDefinition(version, parts));
}

function customType({ spec, status }: CustomResourceDefinition, version: CustomResourceDefinitionVersion): ResourceType<KubernetesObject> {
  const names = status?.acceptedNames ?? spec.names;
  const { group } = spec;
  const subresources: SubresourceType[] = [];
  if (version.subresources?.status)
    subresources.push({ name: "status", kind: { group, version: version.name, kind: names.kind }, verbs: subresourceVerbs });
  if (version.subresources?.scale)
    subresources.push({ name: "scale", kind: { group: "autoscaling", version: "v1", kind: "Scale" }, verbs: subresourceVerbs });
  return {
    group,
    version: version.name,
    resource: names.plural,
    singular: names.singular ?? "",
    kind: names.kind,
    listKind: names.listKind ?? `${names.kind}List`,
    storageVersion: storageVersionOf(spec),
    namespaced: spec.scope === "Namespaced",
    verbs,
    ...(names.shortNames?.length ? { shortNames: names.shortNames } : {}),
    ...(names.categories?.length ? { categories: names.categories } : {}),
    subresources,
  };
}

interface DefinitionParts {
  readonly definition: CustomResourceDefinition;
  readonly schemas: VersionSchemas;
  /** undefined: versions differ in their names only. */
  readonly convert: ObjectConverter | undefined;
  readonly createRefusal: CustomDefinitionOptions["createRefusal"];
}

function storageVersionOf({ versions }: CustomResourceDefinition["spec"]): string {
  return versions.find((v) => v.storage)?.name ?? "";
}

function customDefinition(version: CustomResourceDefinitionVersion, parts: DefinitionParts): ResourceDefinition {
  const { definition, schemas, convert, createRefusal } = parts;
  const type = customType(definition, version);
  const leavingType = { ...type, verbs: leavingVerbs };
  const openApi = version.schema?.openAPIV3Schema;
  const served = apiVersionOf(type);
  const stored = apiVersionOf({ group: type.group, version: type.storageVersion ?? type.version });
  const schema = (): CompiledSchema => schemas.of(served);
  const scale = scalePathsOf(version);
  const deprecation = deprecationOf(type, version, definition.spec.versions);
  const versionOf = (apiVersion: string): CustomResourceDefinitionVersion | undefined =>
    definition.spec.versions.find(({ name }) => apiVersionOf({ group: type.group, version: name }) === apiVersion);
  const decoding = { preserveUnknownFields: definition.spec.preserveUnknownFields === true };
  const custom: CustomRules = {
    decode: (value) => decodeCustom(schema(), value, decoding),
    decodeApplied: (value) => decodeApplied(schema(), value),
    shape: () => structuralShape(openApi),
    shapeIn(apiVersion) {
      const other = versionOf(apiVersion);
      return other && structuralShape(other.schema?.openAPIV3Schema);
    },
    scaleIn(apiVersion) {
      const other = versionOf(apiVersion);
      return other && (scalePathsOf(other) ?? null);
    },
    createRefusal,
    listedType: () => (createRefusal() === undefined ? type : leavingType),
    published: {
      key: `${definition.metadata.uid} ${definition.metadata.generation}`,
      schema: openApi,
      preserveUnknownFields: decoding.preserveUnknownFields,
      selectableFields: (version.selectableFields ?? []).map(({ jsonPath }) => fieldName(jsonPath)),
    },
    ...(scale ? { scale } : {}),
  };
  return {
    type,
    storagePath: customStoragePath(definition),
    sharesStorageOf: { type, ...customStorage({ served, stored, schemas, convert }) },
    ...(deprecation === undefined ? {} : { deprecation }),
    defaults: (object) => withDefaults(schema(), object),
    countsGeneration: false,
    allowUnconditionalUpdate: false,
    ...strategies(type, version, schema, scale),
    selectableFields: selectableFieldsOf(version),
    deletionReturnsObject: false,
    table: customTable(version.additionalPrinterColumns),
    custom,
  };
}

/** An object seen as what it is made of. */
const fieldsOf = (object: KubernetesObject): JsonObject => object as unknown as JsonObject;

type Strategies = Pick<ResourceDefinition, "create" | "update" | "status">;

function strategies(
  type: ResourceType,
  { subresources }: CustomResourceDefinitionVersion,
  schema: () => CompiledSchema,
  scale: ScalePaths | undefined,
): Strategies {
  const keepsStatus = subresources?.status !== undefined;
  const problems = (object: KubernetesObject, ofSchema: readonly FieldError[]): readonly FieldError[] => [
    ...customObjectProblems(type, object),
    ...ofSchema,
    ...(scale ? [...scaleSpecProblems(object, scale), ...scaleStatusProblems(object, scale)] : []),
  ];
  const statusProblems = (object: KubernetesObject, ofSchema: readonly FieldError[]): readonly FieldError[] => [
    ...customObjectProblems(type, object),
    ...ofSchema,
    ...(scale ? scaleStatusProblems(object, scale) : []),
  ];
  // What rules say against values that did not change is found while validating, and told after it.
  const warned = new WeakMap<KubernetesObject, string[]>();
  const validationWarnings = (object: KubernetesObject): readonly string[] => warned.get(object) ?? [];
  const warn =
    (object: KubernetesObject) =>
    ({ message }: FieldError): void => {
      const known = warned.get(object);
      if (known) known.push(message);
      else warned.set(object, [message]);
    };
  const validate: NonNullable<UpdateStrategy<KubernetesObject>["validate"]> = (object, old) =>
    problems(object, schema().validateUpdate(fieldsOf(object), fieldsOf(old), warn(object)));
  const status: UpdateStrategy<KubernetesObject> = {
    prepare: withOnlyCustomStatus,
    validate: (object, old) => statusProblems(object, schema().validateStatusUpdate(fieldsOf(object), fieldsOf(old), warn(object))),
    validationWarnings,
    warnings: finalizerWarnings,
  };
  return {
    create: {
      prepare: (object) => withFirstGeneration(keepsStatus ? withStatusOf(object, undefined) : object),
      validate: (object) => problems(object, schema().validate(fieldsOf(object))),
      warnings: (object) => finalizerWarnings(object),
    },
    update: {
      prepare: (object, old) => withCountedChange(keepsStatus ? withStatusOf(object, old) : object, old),
      validate,
      validationWarnings,
      warnings: finalizerWarnings,
    },
    ...(keepsStatus ? { status } : {}),
  };
}

const withFirstGeneration = (object: KubernetesObject): KubernetesObject => withMetadata(object, { ...object.metadata, generation: 1 });

/** Counts a change of anything but metadata, to the letter: null is something else than nothing. A status that cannot change is the same. */
function withCountedChange(object: KubernetesObject, old: KubernetesObject): KubernetesObject {
  if (sameFields(object, old, onlyMetadata)) return object;
  return withMetadata(object, { ...object.metadata, generation: (old.metadata.generation ?? 0) + 1 });
}

const onlyMetadata: ReadonlySet<string> = new Set(["metadata"]);

/** A write to the status changes the status and who owns it, nothing else. */
function withOnlyCustomStatus(object: KubernetesObject, old: KubernetesObject): KubernetesObject {
  const { managedFields, resourceVersion } = object.metadata;
  const { managedFields: _1, resourceVersion: _2, ...kept } = old.metadata;
  const metadata = {
    ...kept,
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(managedFields ? { managedFields } : {}),
  };
  return withStatusOf(withMetadata(old, metadata), object);
}

function scalePathsOf({ subresources }: CustomResourceDefinitionVersion): ScalePaths | undefined {
  const scale = subresources?.scale;
  if (!scale) return undefined;
  return {
    specReplicas: fieldsOfPath(scale.specReplicasPath),
    statusReplicas: fieldsOfPath(scale.statusReplicasPath),
    ...(scale.labelSelectorPath ? { selector: fieldsOfPath(scale.labelSelectorPath) } : {}),
  };
}

/** What users of a deprecated version are told: by default to use the highest version that is higher, where there is one. */
function deprecationOf(
  type: ResourceType,
  { deprecated, deprecationWarning }: CustomResourceDefinitionVersion,
  versions: CustomResourceDefinition["spec"]["versions"],
): string | undefined {
  if (!deprecated) return undefined;
  if (deprecationWarning !== undefined) return deprecationWarning;
  const { group, kind, version } = type;
  const names = versions.flatMap((other) => (other.served && !other.deprecated ? [other.name] : []));
  const [highest] = names.filter((name) => compareVersions(name, version) < 0).sort(compareVersions);
  const advice = highest === undefined ? "" : `; use ${apiVersionOf({ group, version: highest })} ${kind}`;
  return `${apiVersionOf(type)} ${kind} is deprecated${advice}`;
}

function selectableFieldsOf({ selectableFields }: CustomResourceDefinitionVersion): NonNullable<ResourceDefinition["selectableFields"]> {
  return Object.fromEntries(
    (selectableFields ?? []).map(({ jsonPath }) => {
      const read = compileJsonPath(jsonPath);
      return [fieldName(jsonPath), (object: KubernetesObject) => fieldText(read(object)[0])];
    }),
  );
}

/** As field selectors name it. */
const fieldName = (jsonPath: string): string => jsonPath.replace(/^\./, "");

const fieldText = (value: unknown): string => (value === undefined || value === null ? "" : String(value));
