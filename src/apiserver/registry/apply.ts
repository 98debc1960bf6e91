// Server-side apply as the registry does it: the configuration is read as YAML, merged into the current object (or an
// empty one, to be created) with its ownership, and what has come out is decoded like a body. A Scale is applied to the Scale
// of the current object, and what owns its fields.
import { decodeConverted } from "../../api/encode/conversion-problem.ts";
import { DecodeError } from "../../api/encode/decode.ts";
import { type ParsedText, withPlainNumbers } from "../../api/encode/json-text.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { badRequest, conflict, StatusError } from "../../api/meta/status-error.ts";
import { applyPatch } from "../../api/patch/managed-fields/apply.ts";
import { apiVersionOf, type GroupVersionKind } from "../../api/resource-type.ts";
import { builtInSchemas } from "../../api/schema/schema.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { emptyObject, fieldContext, sameFields } from "./field-management.ts";
import { checkName, inNamespace } from "./object-meta.ts";
import type { PatchBody, PatchTarget } from "./patch.ts";
import type { ResourceDefinition } from "./resource-definition.ts";
import type { ResourceStore } from "./resource-store.ts";
import { scaleContext, scaleKind } from "./scale.ts";
import type { Change } from "./update.ts";
import { fieldWriter, type WriteEnvironment, type WriteRequest } from "./write-environment.ts";

export interface ApplyTarget extends PatchTarget {
  readonly request: WriteRequest;
  readonly force: boolean;
}

/** Reads the configuration once; the result is applied to the current version (of a Scale, where one is applied) as often as needed. */
export async function compileApply(
  env: WriteEnvironment,
  store: ResourceStore,
  body: PatchBody,
  target: ApplyTarget,
): Promise<(current: KubernetesObject | undefined) => Change> {
  const { type } = store;
  const { request, force } = target;
  const { configuration: applied, duplicates } = await readConfiguration(body);
  const { group, version, kind, schema } = target.kind;
  const scales = target.kind === scaleKind;
  const writer = scales ? undefined : fieldWriter(env, store, request);
  return (current) => {
    const empty = emptyObject(scales ? scaleKind : type);
    const fields = writer ? fieldContext(store.definition, writer) : scaleContext(env, request);
    const merged = applyPatch(current ?? empty, applied, { ...fields, kind: { group, version, kind }, empty, force });
    const subject = { group, version, kind, schema, definition: scales ? undefined : store.definition };
    const onlyOwners = !scales && store.definition.custom !== undefined && hasOnlyNewOwners(merged, current);
    const object = onlyOwners ? merged : decodeMerged(subject, merged, applied);
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

interface MergedKind extends GroupVersionKind {
  readonly schema?: string | undefined;
  /** Absent for a Scale. */
  readonly definition: Pick<ResourceDefinition, "custom" | "unreadable"> | undefined;
}

/** Decodes what an apply has come to. `subject` is the configuration, by which upstream names what it could not convert. */
function decodeMerged(kind: MergedKind, merged: KubernetesObject, subject: KubernetesObject): KubernetesObject {
  const { schema, definition } = kind;
  const custom = definition?.custom;
  if (schema === undefined && !custom) return merged;
  try {
    const object = custom ? custom.decodeApplied(merged) : decodeConverted(builtInSchemas.get(schema ?? ""), merged).object;
    const decoded = object as unknown as KubernetesObject;
    const unreadable = definition?.unreadable?.(decoded);
    if (unreadable !== undefined)
      throw new StatusError({ code: 500, message: `failed to convert to unversioned (${nameOf(kind, subject)}): ${unreadable}` });
    return decoded;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    if (custom) throw badRequest(error.message);
    const why = `unable to convert unstructured object to ${kindText(kind)}: ${error.message}`;
    throw new StatusError({ code: 500, message: `failed to convert new object (${nameOf(kind, subject)}) to proper version: ${why}` });
  }
}

const kindText = (kind: GroupVersionKind): string => `${kind.group === "" ? "/" : ""}${apiVersionOf(kind)}, Kind=${kind.kind}`;

function nameOf(kind: GroupVersionKind, { metadata }: KubernetesObject): string {
  const { namespace = "", name = "" } = metadata ?? {};
  return `${namespace}/${name}; ${kindText(kind)}`;
}
