// Validation of metadata, which all kinds share: names, labels, annotations, owners and finalizers, and what an update may
// not change. The texts and the order of the errors are upstream's.
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, forbiddenField, invalidValue, required, tooLong } from "../meta/field-error.ts";
import { byteLength, isDNS1123Subdomain, isLabelValue, isQualifiedName } from "../meta/names.ts";
import type { KubernetesObject } from "../meta/object.ts";
import { sentEmptyOf } from "../meta/sent-empty.ts";
import type { ObjectMeta, OwnerReference } from "../types/meta-v1.ts";

/** The problems of an object's name; `prefix`: of its generateName, to which letters will be added. */
export type NameCheck = (name: string, prefix: boolean, object: KubernetesObject) => readonly string[];

/** The form of most kinds' names. */
export const subdomainName = (name: string, prefix: boolean): readonly string[] =>
  isDNS1123Subdomain(prefix ? withoutTrailingDash(name) : name);

/** A generateName may end with a dash, as the letters come behind it. Upstream masks the character before the dash with it. */
export const withoutTrailingDash = (name: string): string => (name.length > 1 && name.endsWith("-") ? `${name.slice(0, -2)}a` : name);

export interface MetaRules {
  readonly namespaced: boolean;
  readonly validateName?: NameCheck | undefined;
  /** Built-in kinds ask for finalizers with a domain; custom resources do not. Default true. */
  readonly qualifiedFinalizers?: boolean;
}

const maxAnnotationBytes = 256 * 1024;

/** Everything about metadata that can be seen without an older version. */
export function validateObjectMeta(object: KubernetesObject, rules: MetaRules): FieldError[] {
  const errors = validateNames(object, rules);
  addContents(errors, object.metadata, rules);
  return errors;
}

function validateNames(object: KubernetesObject, { namespaced, validateName = subdomainName }: MetaRules): FieldError[] {
  const metadata: Partial<ObjectMeta> = object.metadata;
  const errors: FieldError[] = [];
  const { generateName = "", name = "", namespace = "", generation = 0 } = metadata;
  if (generateName !== "")
    for (const problem of validateName(generateName, true, object))
      errors.push(invalidValue("metadata.generateName", generateName, problem));
  if (name === "") errors.push(required("metadata.name", "name or generateName is required"));
  else for (const problem of validateName(name, false, object)) errors.push(invalidValue("metadata.name", name, problem));
  if (namespaced && namespace === "") errors.push(required("metadata.namespace"));
  if (!namespaced && namespace !== "") errors.push(forbiddenField("metadata.namespace", "not allowed on this type"));
  if (generation < 0) errors.push(invalidValue("metadata.generation", generation, "must be greater than or equal to 0"));
  return errors;
}

/** Adds the problems of what most objects do not have: nothing is made for what is not there. */
function addContents(errors: FieldError[], metadata: Partial<ObjectMeta>, { qualifiedFinalizers = true }: MetaRules): void {
  addLabelsAndOwners(errors, metadata);
  if (metadata.finalizers) appendAll(errors, validateFinalizers(metadata.finalizers, qualifiedFinalizers));
}

function addLabelsAndOwners(errors: FieldError[], { labels, annotations, ownerReferences }: Partial<ObjectMeta>): void {
  if (labels) appendAll(errors, validateLabels(labels, "metadata.labels"));
  if (annotations) appendAll(errors, validateAnnotations(annotations, "metadata.annotations"));
  if (ownerReferences) appendAll(errors, validateOwners(ownerReferences));
}

export function validateLabels(labels: Readonly<Record<string, string>> | undefined, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const key in labels) {
    for (const problem of isQualifiedName(key)) errors.push(invalidValue(field, key, problem));
    const value = labels[key] ?? "";
    for (const problem of isLabelValue(value)) errors.push(invalidValue(field, value, problem));
  }
  return errors;
}

export function validateAnnotations(annotations: Readonly<Record<string, string>> | undefined, field: string): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const key in annotations) {
    for (const problem of isQualifiedName(key.toLowerCase())) errors.push(invalidValue(field, key, problem));
    bytes += byteLength(key) + byteLength(annotations[key] ?? "");
  }
  if (bytes > maxAnnotationBytes) errors.push(tooLong(field, maxAnnotationBytes));
  return errors;
}

function validateOwners(owners: readonly OwnerReference[] | undefined): FieldError[] {
  if (!owners) return [];
  const field = "metadata.ownerReferences";
  const errors: FieldError[] = [];
  let controller: OwnerReference | undefined;
  for (const owner of owners) {
    appendAll(errors, validateOwner(owner, field));
    if (!owner.controller) continue;
    if (controller) {
      const found = `Found "true" in references for ${controller.kind}/${controller.name} and ${owner.kind}/${owner.name}`;
      errors.push(invalidValue(field, owners.map(shownOwner), `Only one reference can have Controller set to true. ${found}`));
    } else controller = owner;
  }
  return errors;
}

/** An owner as Go writes it: in its order, with what is required even where it is empty. */
function shownOwner({ apiVersion = "", kind = "", name = "", uid = "", controller, blockOwnerDeletion }: OwnerReference): unknown {
  return { apiVersion, kind, name, uid, controller, blockOwnerDeletion };
}

function validateOwner({ apiVersion = "", kind = "", name = "", uid = "" }: Partial<OwnerReference>, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const parts = apiVersion.split("/");
  const version = parts.length > 2 ? "" : (parts.at(-1) ?? "");
  if (version === "") errors.push(invalidValue(`${field}.apiVersion`, apiVersion, "version must not be empty"));
  if (kind === "") errors.push(invalidValue(`${field}.kind`, kind, "must not be empty"));
  if (name === "") errors.push(invalidValue(`${field}.name`, name, "must not be empty"));
  if (uid === "") errors.push(invalidValue(`${field}.uid`, uid, "must not be empty"));
  if (apiVersion === "v1" && kind === "Event")
    errors.push(invalidValue(field, { apiVersion, kind, name, uid }, "/v1, Kind=Event is disallowed from being an owner"));
  return errors;
}

const standardFinalizers = new Set(["kubernetes", "orphan", "foregroundDeletion"]);

function validateFinalizers(finalizers: readonly string[] | undefined, qualified: boolean): FieldError[] {
  if (!finalizers) return [];
  const field = "metadata.finalizers";
  const errors: FieldError[] = [];
  for (const finalizer of finalizers)
    for (const problem of isQualifiedName(finalizer)) errors.push(invalidValue(field, finalizer, problem));
  if (finalizers.includes("orphan") && finalizers.includes("foregroundDeletion"))
    errors.push(invalidValue(field, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"));
  return qualified ? [...errors, ...domainProblems(finalizers)] : errors;
}

function domainProblems(finalizers: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, finalizer] of finalizers.entries())
    if (!finalizer.includes("/") && !standardFinalizers.has(finalizer))
      errors.push(
        invalidValue(`metadata.finalizers[${i}]`, finalizer, "name is neither a standard finalizer name nor is it fully qualified"),
      );
  return errors;
}

/** Finalizers without a domain that are none of the standard ones. */
export const validateFinalizerDomains = ({ metadata }: KubernetesObject): FieldError[] => domainProblems(metadata.finalizers ?? []);

const immutableFields = ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] as const;

/** What an update may not do to metadata. */
export function validateObjectMetaUpdate({ metadata }: KubernetesObject, { metadata: old }: KubernetesObject): FieldError[] {
  const errors: FieldError[] = [];
  if (old.deletionTimestamp !== undefined) {
    const added = (metadata.finalizers ?? []).filter((finalizer) => !old.finalizers?.includes(finalizer));
    const list = added
      .sort()
      .map((finalizer) => JSON.stringify(finalizer))
      .join(", ");
    const detail = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`;
    if (added.length > 0) errors.push(forbiddenField("metadata.finalizers", detail));
  }
  if ((metadata.generation ?? 0) < (old.generation ?? 0))
    errors.push(invalidValue("metadata.generation", metadata.generation ?? 0, "must not be decremented"));
  for (const field of immutableFields)
    if ((metadata[field] ?? "") !== (old[field] ?? ""))
      errors.push(invalidValue(`metadata.${field}`, metadata[field] ?? null, "field is immutable"));
  addLabelsAndOwners(errors, metadata);
  return errors;
}

/** The same with what is asked of finalizers: for rules of a kind that check it among their own. */
export const validateMetadataChanges = (object: KubernetesObject, old: KubernetesObject): FieldError[] => [
  ...validateObjectMetaUpdate(object, old),
  ...validateFinalizerDomains(object),
];

/** What the metadata of a template may not carry: all but labels and annotations. By the names that messages have. */
const ownMetadata = {
  name: "name",
  generateName: "generateName",
  namespace: "namespace",
  selfLink: "selfLink",
  uid: "uID",
  resourceVersion: "resourceVersion",
  generation: "generation",
  creationTimestamp: "creationTimestamp",
  deletionTimestamp: "deletionTimestamp",
  deletionGracePeriodSeconds: "deletionGracePeriodSeconds",
  ownerReferences: "ownerReferences",
  finalizers: "finalizers",
  managedFields: "managedFields",
} as const;

/** Counts are absent where they are 0, a grace period is not; lists count when they are empty too. */
function isSet(metadata: Partial<ObjectMeta>, key: keyof ObjectMeta): boolean {
  const value: unknown = metadata[key] ?? sentEmptyOf(metadata, key);
  return value !== undefined && value !== null && value !== "" && (value !== 0 || key === "deletionGracePeriodSeconds");
}

/** The metadata of claims that are made from a template is their own but for labels and annotations. */
export function forbidOwnMetadata(errors: FieldError[], field: string, metadata: Partial<ObjectMeta> | undefined): void {
  for (const [key, name] of Object.entries(ownMetadata))
    if (metadata && isSet(metadata, key as keyof ObjectMeta)) errors.push(forbiddenField(`${field}.${name}`, "cannot be set"));
}
