// Server-side apply as the registry does it: the configuration is read as YAML, merged into the current object (or an
// empty one, to be created) with its ownership, and what has come out is decoded like a body. An applied Scale is applied
// to the scaled object's spec.replicas, where its ownership is kept.
import { decodeConverted } from "../../api/encode/conversion-problem.ts";
import { DecodeError } from "../../api/encode/decode.ts";
import { type ParsedText, withPlainNumbers } from "../../api/encode/json-text.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { badRequest, conflict, StatusError } from "../../api/meta/status-error.ts";
import { applyPatch } from "../../api/patch/managed-fields/apply.ts";
import { type JsonObject, shapeOf } from "../../api/patch/managed-fields/shape.ts";
import { validateApplied } from "../../api/patch/managed-fields/validate-applied.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import { builtInSchemas } from "../../api/schema/schema.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { withValueAt } from "./custom-scale.ts";
import { emptyObject, fieldContext, sameFields, withScaleOwners } from "./field-management.ts";
import { checkName, inNamespace } from "./object-meta.ts";
import type { PatchBody, PatchTarget } from "./patch.ts";
import type { ResourceStore } from "./resource-store.ts";
import { type Scale, scaleKind } from "./scale.ts";
import type { Change } from "./update.ts";
import { fieldWriter, type WriteEnvironment, type WriteRequest } from "./write-environment.ts";

export interface ApplyTarget extends PatchTarget {
  readonly request: WriteRequest;
  readonly force: boolean;
}

/** Reads the configuration once; the result is applied to the current version as often as needed. */
export async function compileApply(
  env: WriteEnvironment,
  store: ResourceStore,
  body: PatchBody,
  target: ApplyTarget,
): Promise<(current: KubernetesObject | undefined) => Change> {
  const { type } = store;
  const { request, force } = target;
  const { configuration, duplicates } = await readConfiguration(body);
  const applied = target.kind === scaleKind ? fromScale(store, configuration as Scale) : configuration;
  const kind = { group: type.group, version: type.version, kind: type.kind };
  return (current) => {
    const empty = emptyObject(type);
    const writer = fieldWriter(env, store, request);
    // Upstream compares the owners of a Scale as owners of one, whatever they wrote.
    const ownedAs = target.kind === scaleKind ? "autoscaling/v1" : undefined;
    const context = { ...fieldContext(store.definition, writer), kind, empty, force, ownedAs };
    const applying = applyPatch(current ?? empty, applied, context);
    const merged = request.subresource === "scale" ? withScaleOwners(store.definition, applying) : applying;
    const onlyOwners = store.definition.custom !== undefined && hasOnlyNewOwners(merged, current);
    const object = onlyOwners ? merged : decodeMerged(store, merged, applied);
    checkDuplicates(duplicates, target);
    if (!current && applied.metadata.uid) throw conflict(type, target.name, notThere(applied.metadata.uid));
    if (applied.metadata.name === "" || !object.metadata.name)
      throw badRequest(`the name of the object (${target.name} based on URL) was undeterminable: name must be provided`);
    checkName(object, target.name);
    return { object: inNamespace(object, target.namespace), fieldsManaged: true, onlyOwners };
  };
}

const ownMetadata: ReadonlySet<string> = new Set(["metadata"]);
const owners: ReadonlySet<string> = new Set(["managedFields"]);

const hasOnlyNewOwners = (object: KubernetesObject, current: KubernetesObject | undefined): boolean =>
  current !== undefined && sameFields(object, current, ownMetadata) && sameFields(object.metadata, current.metadata, owners);

const notThere = (uid: string): string => `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;

/** What is given twice is told of when the configuration has been applied, as upstream finds it then. */
function checkDuplicates(duplicates: readonly string[], { validation, warn }: ApplyTarget): void {
  if (duplicates.length > 0 && validation === "Strict")
    throw badRequest(
      `error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n${duplicates.map((d) => `  ${d}`).join("\n")}`,
    );
  if (validation === "Warn") duplicates.forEach(warn);
}

interface Configuration {
  readonly configuration: KubernetesObject;
  /** What strict validation says of keys that are there twice. */
  readonly duplicates: readonly string[];
}

async function readConfiguration(body: PatchBody): Promise<Configuration> {
  const { value, duplicates } = "value" in body ? { value: body.value, duplicates: [] } : await parseConfiguration(body.text);
  if (value === undefined || value === null) throw badRequest("invalid object type: /, Kind=");
  if (typeof value !== "object" || Array.isArray(value)) throw badRequest(`error decoding YAML: ${notAnObject(value)}`);
  const plain = withTypeTexts(withPlainNumbers(value) as KubernetesObject);
  return { configuration: plain.metadata ? plain : { ...plain, metadata: {} as ObjectMeta }, duplicates };
}

/** What is no text, or no version, says nothing of what the configuration is. */
function withTypeTexts(plain: KubernetesObject): KubernetesObject {
  const { apiVersion, kind } = plain as { readonly apiVersion?: unknown; readonly kind?: unknown };
  if (typeof apiVersion === "string" && apiVersion.split("/").length > 2) return { ...plain, apiVersion: "", kind: "" };
  if (isTextOrAbsent(apiVersion) && isTextOrAbsent(kind)) return plain;
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return { ...plain, apiVersion: text(apiVersion), kind: text(kind) };
}

const isTextOrAbsent = (value: unknown): boolean => value === undefined || typeof value === "string";

function notAnObject(value: unknown): string {
  const kind = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  const target = "Go value of type map[string]interface {}";
  return `error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${kind === "object" ? "number" : kind} into ${target}`;
}

async function parseConfiguration(text: string): Promise<ParsedText> {
  const { parseYaml, YamlSyntaxError } = await import("../../api/encode/yaml-text.ts");
  try {
    return parseYaml(text);
  } catch (error) {
    if (error instanceof YamlSyntaxError) throw badRequest(`error decoding YAML: error converting YAML to JSON: ${error.message}`);
    throw error;
  }
}

/** Decodes what an apply has come to. `subject` is the configuration, by which upstream names what it could not convert. */
function decodeMerged({ type, definition }: ResourceStore, merged: KubernetesObject, subject: KubernetesObject): KubernetesObject {
  const { custom } = definition;
  if (type.schema === undefined && !custom) return merged;
  try {
    const object = custom ? custom.decodeApplied(merged) : decodeConverted(builtInSchemas.get(type.schema ?? ""), merged).object;
    const decoded = object as unknown as KubernetesObject;
    const unreadable = definition.unreadable?.(decoded);
    if (unreadable !== undefined)
      throw new StatusError({ code: 500, message: `failed to convert to unversioned (${nameOf(type, subject)}): ${unreadable}` });
    return decoded;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    if (custom) throw badRequest(error.message);
    const why = `unable to convert unstructured object to ${kindText(type)}: ${error.message}`;
    throw new StatusError({ code: 500, message: `failed to convert new object (${nameOf(type, subject)}) to proper version: ${why}` });
  }
}

const kindText = (type: ResourceType): string => `${type.group === "" ? "/" : ""}${apiVersionOf(type)}, Kind=${type.kind}`;

function nameOf(type: ResourceType, { metadata }: KubernetesObject): string {
  const { namespace = "", name = "" } = metadata ?? {};
  return `${namespace}/${name}; ${kindText(type)}`;
}

/** What applying a Scale means for the object itself. */
function fromScale({ type, definition }: ResourceStore, sent: Scale): KubernetesObject {
  const { apiVersion, kind, metadata, spec } = sent;
  if (apiVersion !== "autoscaling/v1" || kind !== "Scale") {
    const [group = "", version = ""] = apiVersion?.includes("/") ? apiVersion.split("/") : ["", apiVersion ?? ""];
    throw badRequest(`invalid object type: ${group}/${version}, Kind=${kind ?? ""}`);
  }
  const { name, namespace, uid, resourceVersion } = metadata;
  const shape = shapeOf(builtInSchemas.get(scaleKind.schema ?? ""));
  validateApplied(sent as unknown as JsonObject, shape, `${namespace ?? ""}/${name ?? ""}; autoscaling/v1, Kind=Scale`);
  // Of the metadata of a Scale, only what says which object is meant is the object's.
  const known = Object.entries({ name, namespace, uid, resourceVersion }).filter(([, value]) => value !== undefined);
  const object = { apiVersion: apiVersionOf(type), kind: type.kind, metadata: Object.fromEntries(known) as unknown as ObjectMeta };
  const path = definition.custom?.scale?.specReplicas ?? ["spec", "replicas"];
  return typeof spec?.replicas === "number" ? withValueAt(object, path, spec.replicas) : object;
}
