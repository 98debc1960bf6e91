// Requests to write all objects of a resource anew: which resource, and a status that, once it says how it ended, keeps to it.
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import { isDNS1035Label, isDNS1123Subdomain } from "../meta/names.ts";
import type { StorageVersionMigration } from "../types/storagemigration-v1beta1.ts";
import { shownCondition, validateConditions } from "./conditions.ts";
import { validateMetadataChanges } from "./object-meta.ts";
import { checkImmutable } from "./rules.ts";

export function validateMigration(migration: StorageVersionMigration, old?: StorageVersionMigration): FieldError[] {
  const errors: FieldError[] = [];
  const { spec } = migration;
  const { group = "", resource = "" } = spec?.resource ?? {};
  if (resource === "") errors.push(required("spec.resource.resource", "resource is required to be set"));
  else {
    const problems = isDNS1035Label(resource);
    if (problems.length > 0) errors.push(invalidValue("spec.resource.resource", resource, problems.join(",")));
  }
  const problems = group === "" ? [] : isDNS1123Subdomain(group);
  if (problems.length > 0) errors.push(invalidValue("spec.resource.group", group, problems.join(",")));
  if (!old) return errors;
  appendAll(errors, validateMetadataChanges(migration, old));
  checkImmutable(errors, "spec", spec, old.spec, { Resource: { group, resource } }); // as upstream's own type shows it
  return errors;
}

const has = ({ status }: StorageVersionMigration, type: string): boolean =>
  status?.conditions?.some((condition) => condition.type === type && condition.status === "True") ?? false;

export function validateMigrationStatus(migration: StorageVersionMigration, old: StorageVersionMigration): FieldError[] {
  const errors: FieldError[] = [];
  const { resourceVersion = "", conditions: given } = migration.status ?? {};
  const conditions = given ?? [];
  const before = old.status?.resourceVersion ?? "";
  if (resourceVersion !== "" && !/^[1-9]\d*$/.test(resourceVersion))
    errors.push(invalidValue("status.resourceVersion", resourceVersion, `resource version is not well formed: ${resourceVersion}`));
  validateConditions(errors, "status.conditions", conditions);
  if (before !== "" && before !== resourceVersion)
    errors.push(invalidValue("status.resourceVersion", resourceVersion, "field is immutable"));
  const refuse = (detail: string): void => void errors.push(invalidValue("status.conditions", given?.map(shownCondition) ?? null, detail));
  if (has(migration, "Succeeded") && has(migration, "Failed")) refuse("Both success and failed conditions cannot be true at the same time");
  if (has(old, "Succeeded") && !has(migration, "Succeeded")) refuse("Success condition cannot be set to false once it is true");
  if (has(old, "Failed") && !has(migration, "Failed")) refuse("Failed condition cannot be set to false once it is true");
  return errors;
}
