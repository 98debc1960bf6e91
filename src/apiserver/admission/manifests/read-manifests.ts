// Webhook configurations and policies with their bindings, read from a directory of manifests: decoded strictly, with defaults,
// and checked as objects that are sent to the API are, and for what files cannot have: services to call, parameters, names
// without the suffix that is kept for them.
import { ConfigError } from "../../../api/encode/config-fields.ts";
import { DecodeError, decodeObject, duplicateField, strictProblem, unknownField } from "../../../api/encode/decode.ts";
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { schemaOfKind } from "../../../api/schema/schema.ts";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import {
  mutatingPolicyBindingDefinition,
  mutatingPolicyDefinition,
  mutatingWebhookDefinition,
  staticSuffix,
  validatingPolicyBindingDefinition,
  validatingPolicyDefinition,
  validatingWebhookDefinition,
} from "../../registry/resources/extension.ts";
import { validateNewObject } from "../../registry/validate-object.ts";
import type { Policy, PolicyBinding } from "../policies/policy-source.ts";
import type { WebhookConfiguration } from "../webhooks/webhook-source.ts";
import { type ManifestDocument, readManifestFiles } from "./manifest-files.ts";

export interface WebhookManifests {
  readonly configurations: readonly WebhookConfiguration[];
  readonly hash: string;
}

export interface PolicyManifests {
  readonly policies: readonly Policy[];
  readonly bindings: readonly PolicyBinding[];
  readonly hash: string;
}

export type Side = "Mutating" | "Validating";

const apiVersion = "admissionregistration.k8s.io/v1";

/** Throws ConfigError. */
export async function readWebhookManifests(side: Side, directory: string): Promise<WebhookManifests> {
  const definition = side === "Mutating" ? mutatingWebhookDefinition : validatingWebhookDefinition;
  const { objects, hash } = await readObjects(directory, [definition as never], (object, file) =>
    checkClients(object as WebhookConfiguration, file),
  );
  return { configurations: objects as readonly WebhookConfiguration[], hash };
}

/** Throws ConfigError. */
export async function readPolicyManifests(side: Side, directory: string): Promise<PolicyManifests> {
  const definitions =
    side === "Mutating"
      ? [mutatingPolicyDefinition, mutatingPolicyBindingDefinition]
      : [validatingPolicyDefinition, validatingPolicyBindingDefinition];
  const { objects, hash } = await readObjects(directory, definitions as never, (object) => checkPolicyParts(object));
  const policies = objects.filter(({ kind }) => kind === `${side}AdmissionPolicy`) as readonly Policy[];
  const bindings = objects.filter(({ kind }) => kind !== `${side}AdmissionPolicy`) as readonly PolicyBinding[];
  const names = new Set(policies.map(({ metadata }) => metadata.name));
  for (const { metadata, spec } of bindings)
    if (!names.has(spec?.policyName ?? ""))
      throw new ConfigError(
        `binding ${quoted(metadata.name)} references policy ${quoted(spec?.policyName)} which does not exist in the manifest directory`,
      );
  return { policies, bindings, hash };
}

/** Of one of these kinds, sorted by their names. */
async function readObjects(
  directory: string,
  definitions: readonly ResourceDefinition[],
  check: (object: KubernetesObject, file: string) => void,
): Promise<{ readonly objects: readonly KubernetesObject[]; readonly hash: string }> {
  const { documents, hash } = await readManifestFiles(directory);
  const seen = new Map<string, string>();
  const objects = documents.flatMap(({ file, parsed }) => {
    try {
      return [...objectsIn(parsed, definitions)].map((object) => {
        checkName(object, file, seen);
        check(object, file);
        return object;
      });
    } catch (error) {
      if (error instanceof ConfigError) throw new ConfigError(`error loading ${file}: ${error.message}`);
      throw error;
    }
  });
  return { objects: objects.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)), hash };
}

type Parsed = ManifestDocument["parsed"];

/** A document is an object, or a list of them: of one kind, or of any. */
function* objectsIn(parsed: Parsed, definitions: readonly ResourceDefinition[]): Iterable<KubernetesObject> {
  const { value, duplicates } = parsed;
  const sent = (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  const { kind, apiVersion: version, items } = sent;
  if (typeof kind !== "string" || kind === "") throw new ConfigError(`Object 'Kind' is missing in '${JSON.stringify(value)}'`);
  const listed = Array.isArray(items) ? (items as readonly unknown[]) : [];
  if (version === "v1" && kind === "List") {
    for (const item of listed) yield* objectsIn({ value: item, duplicates: [] }, definitions);
    return;
  }
  const definition = definitions.find(({ type }) => type.kind === kind || `${type.kind}List` === kind);
  if (version !== apiVersion || !definition) throw new ConfigError(otherKind(String(version ?? ""), kind));
  if (kind === definition.type.kind) yield objectOf(definition, parsed);
  else
    for (const item of listed)
      yield objectOf(definition, { value: { ...(item as object), apiVersion, kind: definition.type.kind }, duplicates });
}

function otherKind(version: string, kind: string): string {
  const [group = "", short = version] = version.includes("/") ? version.split("/") : ["", version];
  return group === "admissionregistration.k8s.io" || (version === "v1" && kind === "Status")
    ? `unsupported resource type *${short}.${kind}`
    : `no kind ${quoted(kind)} is registered for version ${quoted(version)}`;
}

function objectOf(definition: ResourceDefinition, { value, duplicates }: Parsed): KubernetesObject {
  const { kind } = definition.type;
  const decoded = decodeStrictly(kind, value, duplicates);
  const object = definition.defaults?.(decoded) ?? decoded;
  const errors = validateNewObject(definition, object);
  if (errors.length === 0) return object;
  const [only = ""] = errors.map(({ message }) => message);
  const all = errors.length === 1 ? only : `[${errors.map(({ message }) => message).join(", ")}]`;
  throw new ConfigError(`${kind} ${quoted(object.metadata.name)}: ${all}`);
}

function decodeStrictly(kind: string, value: unknown, duplicates: readonly string[]): KubernetesObject {
  const schema = schemaOfKind(apiVersion, kind);
  if (!schema) throw new ConfigError(otherKind(apiVersion, kind));
  try {
    const { object, unknown } = decodeObject(schema, value);
    const problems = [...duplicates.map(duplicateField), ...unknown.map(unknownField)];
    if (problems.length > 0) throw new ConfigError(strictProblem(problems));
    return { metadata: {}, ...object } as unknown as KubernetesObject;
  } catch (error) {
    throw error instanceof DecodeError ? new ConfigError(error.message) : error;
  }
}

const quoted = (text: unknown): string => JSON.stringify(text ?? "");

/** `seen`: the file of each kind and name. */
function checkName({ kind, metadata: { name } }: KubernetesObject, file: string, seen: Map<string, string>): void {
  if (!name) throw new ConfigError(`resource in file ${quoted(file)} must have a name`);
  if (!name.endsWith(staticSuffix))
    throw new ConfigError(`${quoted(name)} in file ${quoted(file)} must have a name ending with ${quoted(staticSuffix)}`);
  const before = seen.get(`${kind}/${name}`);
  if (before !== undefined)
    throw new ConfigError(`duplicate name ${quoted(name)} found in file ${quoted(file)} (previously seen in ${quoted(before)})`);
  seen.set(`${kind}/${name}`, file);
}

function checkClients({ metadata, webhooks = [] }: WebhookConfiguration, file: string): void {
  for (const { name, clientConfig } of webhooks) {
    const where = `webhook ${quoted(name)} in ${quoted(metadata.name)} (file ${quoted(file)})`;
    if (clientConfig.service)
      throw new ConfigError(`${where}: clientConfig.service is not supported for static manifests; use clientConfig.url instead`);
    if (!clientConfig.url) throw new ConfigError(`${where}: clientConfig.url is required for static manifests`);
  }
}

/** Parameters are objects of the API, which files do not know. */
function checkPolicyParts(object: KubernetesObject): void {
  const { kind, metadata } = object;
  const { paramKind, paramRef, policyName } = (object as Policy & PolicyBinding).spec ?? {};
  if (!kind?.endsWith("Binding")) {
    if (paramKind) throw new ConfigError(`${kind} ${quoted(metadata.name)}: spec.paramKind is not supported for static manifests`);
    return;
  }
  const binding = `binding ${quoted(metadata.name)}`;
  if (!policyName) throw new ConfigError(`${binding} must reference a policy (spec.policyName)`);
  if (!policyName.endsWith(staticSuffix))
    throw new ConfigError(`${binding}: spec.policyName ${quoted(policyName)} must end with ${quoted(staticSuffix)}`);
  if (paramRef) throw new ConfigError(`${binding}: spec.paramRef is not supported for static manifests`);
}
