// Validation of CustomResourceDefinitions: names, versions, schemas, conversion, and which versions objects may be stored in.
// Upstream validates its internal type, in which what all versions share stands once, so errors of a shared schema name
// spec.validation. Rules of schemas are compiled by what the caller brings.
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, forbiddenField, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isDNS1035Label, isDNS1123Subdomain } from "../meta/names.ts";
import type { KubernetesObject } from "../meta/object.ts";
import type { RuleCompiler } from "../structural/compile-schema.ts";
import { validateDefaults } from "../structural/default-values.ts";
import { validateDefinitionSchema } from "../structural/definition-schema.ts";
import { type RuleAnalyzer, TotalCost } from "../structural/rule-analysis.ts";
import { someSchema } from "../structural/schema-walk.ts";
import { unsupportedKeyword, validateStructural } from "../structural/structural-rules.ts";
import type { CustomResourceConversion, CustomResourceDefinition, JSONSchemaProps } from "../types/apiextensions-v1.ts";
import {
  type DefinitionRules,
  isStrict,
  isUnreadableCABundle,
  reviewVersions,
  rulesOfEstablished,
  rulesOfNew,
  rulesOfUpdate,
} from "./definition-allowances.ts";
import { type DefinitionForm, definitionForm, misplacedAtRoot, schemaForm, type VersionParts, versionsForm } from "./definition-form.ts";
import { validateColumn, validateDefinitionNames, validateSelectableFields, validateSubresources } from "./definition-names.ts";
import { subdomainName } from "./object-meta.ts";
import { repeats } from "./repeats.ts";
import { checkImmutable } from "./rules.ts";
import { validateWebhookService, validateWebhookUrl } from "./webhook.ts";

/** How rules of schemas are compiled. Default: they are not looked at. */
export interface DefinitionRuleTools {
  readonly analyze?: RuleAnalyzer;
  readonly compile?: RuleCompiler;
}

export function validateDefinition(definition: CustomResourceDefinition, tools: DefinitionRuleTools = {}): FieldError[] {
  return validateWhole(definition, undefined, rulesOfNew, tools);
}

export function validateDefinitionUpdate(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition,
  tools: DefinitionRuleTools = {},
): FieldError[] {
  // What the rules of today allow needs no look at what was there before, which may have thousands of parts.
  const strict = validateWhole(definition, old, { ...rulesOfNew, ...rulesOfEstablished(old) }, tools);
  return strict.length === 0 ? strict : validateWhole(definition, old, rulesOfUpdate(definition, old), tools);
}

export function validateDefinitionStatus({ status }: CustomResourceDefinition): FieldError[] {
  const errors: FieldError[] = [];
  validateDefinitionNames(errors, status?.acceptedNames ?? {}, "status.acceptedNames");
  return errors;
}

/** A definition is named by its plural and group, and so no name can be made for it. */
export const definitionName = (name: string, prefix: boolean, object: KubernetesObject): readonly string[] => {
  const { spec } = object as CustomResourceDefinition;
  const isExpected = name === `${spec.names?.plural ?? ""}.${spec.group ?? ""}`;
  return [...subdomainName(name, prefix), ...(isExpected ? [] : ['must be spec.names.plural+"."+spec.group'])];
};

function validateWhole(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition | undefined,
  rules: DefinitionRules,
  tools: DefinitionRuleTools,
): FieldError[] {
  const errors: FieldError[] = [];
  validateSpec(errors, definition, rules, tools);
  if (old) validateImmutable(errors, definition, old, rules);
  appendAll(errors, validateDefinitionStatus(definition));
  validateStoredVersions(errors, definition);
  validateApproval(errors, definition, old);
  if (definition.spec.preserveUnknownFields && !old?.spec.preserveUnknownFields) {
    const instead = "set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
    errors.push(invalidValue("spec.preserveUnknownFields", true, `cannot set to true, ${instead}`));
  }
  return errors;
}

function validateSpec(errors: FieldError[], { spec }: CustomResourceDefinition, given: DefinitionRules, tools: DefinitionRuleTools): void {
  const { group = "", scope = "", preserveUnknownFields = false } = spec;
  const form = definitionForm(spec);
  const rules = { ...given, requireStructural: given.requireStructural || needsStructural(spec) };
  if (group === "") errors.push(required("spec.group"));
  else if (isDNS1123Subdomain(group).length > 0) errors.push(invalidValue("spec.group", group, isDNS1123Subdomain(group).join(",")));
  else if (!group.includes(".")) errors.push(invalidValue("spec.group", group, "should be a domain with at least one dot"));
  if (scope === "") errors.push(required("spec.scope"));
  else if (scope !== "Cluster" && scope !== "Namespaced") errors.push(notSupported("spec.scope", scope, ["Cluster", "Namespaced"]));
  checkSchemasPresent(errors, form, rules, preserveUnknownFields);
  if (preserveUnknownFields && hasDefaults(spec))
    errors.push(invalidValue("spec.preserveUnknownFields", true, "must be false in order to use defaults in the schema"));
  const check = partsChecker(errors, rules, tools);
  for (const [i, { version, ...parts }] of form.versions.entries()) {
    const field = `spec.versions[${i}]`;
    const problems = isDNS1035Label(version.name ?? "");
    if (problems.length > 0) errors.push(invalidValue(`${field}.name`, version.name ?? "", problems.join(",")));
    checkDeprecation(errors, version, `${field}.deprecationWarning`);
    const hasStatus = (parts.subresources ?? form.shared.subresources)?.status !== undefined;
    check(parts, { field, schemaField: `${field}.schema.openAPIV3Schema`, names: [version.name], hasStatus });
  }
  checkVersionSet(errors, form);
  checkNames(errors, spec.names ?? {});
  const hasStatus = [form.shared, ...form.versions].some(({ subresources }) => subresources?.status !== undefined);
  const names = form.versions.slice(0, 1).map(({ version }) => version.name);
  check(form.shared, { field: "spec", schemaField: "spec.validation.openAPIV3Schema", names, hasStatus });
  const strategy = spec.conversion?.strategy;
  if (strategy !== undefined && strategy !== "None" && preserveUnknownFields)
    errors.push(invalidValue("spec.conversion.strategy", strategy, "must be None if spec.preserveUnknownFields is true"));
  if (spec.conversion) validateConversion(errors, spec.conversion, rules);
}

/** What drops unknown fields, has defaults or says more than OpenAPI does needs structural schemas, however old it is. */
function needsStructural({ preserveUnknownFields = false, versions }: CustomResourceDefinition["spec"]): boolean {
  if (!preserveUnknownFields) return true;
  const saysMore = (schema: JSONSchemaProps): boolean =>
    schema.default !== undefined || Object.keys(schema).some((keyword) => keyword.startsWith("x-kubernetes-"));
  return (versions ?? []).some(({ schema }) => someSchema(schema?.openAPIV3Schema, saysMore));
}

const hasDefaults = ({ versions }: CustomResourceDefinition["spec"]): boolean =>
  (versions ?? []).some(({ schema }) => someSchema(schema?.openAPIV3Schema, (part) => part.default !== undefined));

function checkSchemasPresent(errors: FieldError[], { shared, versions }: DefinitionForm, rules: DefinitionRules, preserves: boolean): void {
  if (shared.schema || (!rules.requireSchema && preserves)) return;
  for (const [i, { version, schema }] of versions.entries()) {
    if (schema || !(rules.requireSchema || version.served)) continue;
    errors.push(
      required(`spec.versions[${i}].schema.openAPIV3Schema`, rules.requireSchema ? "" : "because otherwise all fields are pruned"),
    );
  }
}

interface PartsPlace {
  readonly field: string;
  readonly schemaField: string;
  /** The version whose schema this counts as. */
  readonly names: readonly string[];
  readonly hasStatus: boolean;
}

/** Checks what stands in a version, or above all of them. */
function partsChecker(
  errors: FieldError[],
  rules: DefinitionRules,
  tools: DefinitionRuleTools,
): (parts: VersionParts, place: PartsPlace) => void {
  return ({ schema, subresources, columns, selectableFields }, { field, schemaField, names, hasStatus }) => {
    const unchanged = names.some((name) => rules.unchangedSchemas.has(name));
    if (schema) appendAll(errors, schemaErrors(schema, { field: schemaField, hasStatus, unchanged }, rules, tools));
    if (subresources) validateSubresources(errors, subresources, `${field}.subresources`);
    for (const [i, column] of columns.entries()) validateColumn(errors, column, `${field}.additionalPrinterColumns[${i}]`);
    if (selectableFields.length === 0) return;
    const allowTooMany = names.some((name) => rules.tooManySelectable.has(name));
    const place = `${field}.selectableFields`;
    if (schema) validateSelectableFields(errors, selectableFields, schema, place, { allowTooMany });
    else errors.push(invalidValue(place, "", "may only be set when `version.schema.openAPIV3Schema` is not included"));
  };
}

/** Schemas that were found right, and how they were looked at. A definition is written several times with the same one. */
const sound = new WeakMap<JSONSchemaProps, DefinitionRuleTools & { readonly hasStatus: boolean }>();

interface SchemaContext {
  readonly field: string;
  readonly hasStatus: boolean;
  /** The schema is what it was. */
  readonly unchanged: boolean;
}

function schemaErrors(
  schema: JSONSchemaProps,
  { field, hasStatus, unchanged }: SchemaContext,
  rules: DefinitionRules,
  tools: DefinitionRuleTools,
): FieldError[] {
  const known = sound.get(schema);
  if (known && known.hasStatus === hasStatus && known.analyze === tools.analyze && known.compile === tools.compile) return [];
  const errors = schemaErrorsOf(schema, { field, hasStatus, unchanged }, rules, tools);
  if (errors.length === 0 && isStrict(rules) && !unchanged) sound.set(schema, { ...tools, hasStatus });
  return errors;
}

function schemaErrorsOf(
  schema: JSONSchemaProps,
  { field, hasStatus, unchanged }: SchemaContext,
  rules: DefinitionRules,
  { analyze, compile }: DefinitionRuleTools,
): FieldError[] {
  const errors: FieldError[] = [];
  if (hasStatus) checkRoot(errors, schema, field);
  if (schema.nullable) errors.push(forbiddenField(`${field}.nullable`, "nullable cannot be true at the root"));
  const unreadable = unsupportedKeyword(schema);
  let structural: FieldError[] = [];
  if (unreadable === undefined && rules.requireStructural) {
    structural = validateStructural(schema, field);
    if (structural.length === 0)
      structural = validateDefaults(schema, field, { compileRules: compile, requirePruned: rules.requirePrunedDefaults });
    appendAll(errors, structural);
  }
  const total = new TotalCost();
  const looksAtRules = analyze !== undefined && rules.requireStructural && unreadable === undefined && structural.length === 0;
  const found = validateDefinitionSchema(
    schema,
    { field, isRoot: true, rules: looksAtRules ? { analyze, total, cardinality: 1 } : undefined },
    { ...rules, suppressRuleCost: unchanged },
  );
  appendAll(errors, found.schema);
  appendAll(errors, found.rules);
  if (errors.length === 0 && rules.requireStructural && unreadable !== undefined) errors.push(invalidValue(field, "", unreadable));
  appendAll(errors, total.errors(field));
  return errors;
}

/** With a status subresource, the schema of the status is taken from the properties of the root, which may not say more. */
function checkRoot(errors: FieldError[], schema: JSONSchemaProps, field: string): void {
  const found = misplacedAtRoot(schema);
  const when = "at the root of the schema if the status subresource is enabled";
  if (found?.keyword === "type")
    errors.push(invalidValue(`${field}.type`, schema.type ?? "", `only "object" is allowed as the type ${when}`));
  else if (found) errors.push(invalidValue(field, schemaForm(schema), `only ${found.allowed} fields are allowed ${when}`));
}

function checkDeprecation(
  errors: FieldError[],
  { deprecated, deprecationWarning: warning }: DefinitionForm["versions"][number]["version"],
  field: string,
): void {
  if (warning === undefined) return;
  const problems: string[] = [];
  if (!deprecated) problems.push("can only be set for deprecated versions");
  else {
    if (new TextEncoder().encode(warning).length > 256) problems.push("must be <= 256 characters long");
    if (warning === "") problems.push("must not be an empty string");
    const unprintable = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.exec(warning);
    const index = unprintable ? new TextEncoder().encode(warning.slice(0, unprintable.index)).length : 0;
    const found = `non-printable character found at index ${index}`;
    if (unprintable) problems.push(`must only contain printable UTF-8 characters; ${found}`);
  }
  for (const problem of problems) errors.push(invalidValue(field, warning, problem));
}

function checkVersionSet(errors: FieldError[], form: DefinitionForm): void {
  const names = form.versions.map(({ version }) => version.name);
  const storing = form.versions.filter(({ version }) => version.storage).length;
  if (new Set(names).size < names.length)
    errors.push(invalidValue("spec.versions", versionsForm(form), "must contain unique version names"));
  if (storing !== 1)
    errors.push(
      invalidValue(
        "spec.versions",
        names.length === 0 ? null : versionsForm(form),
        "must have exactly one version marked as storage version",
      ),
    );
  const [first = ""] = names;
  const problems = first === "" ? [] : isDNS1035Label(first);
  if (problems.length > 0) errors.push(invalidValue("spec.version", first, problems.join(",")));
}

function checkNames(errors: FieldError[], names: Partial<CustomResourceDefinition["spec"]["names"]>): void {
  for (const name of ["plural", "singular", "kind", "listKind"] as const) if (!names[name]) errors.push(required(`spec.names.${name}`));
  validateDefinitionNames(errors, names, "spec.names");
}

function validateConversion(errors: FieldError[], { strategy, webhook }: CustomResourceConversion, rules: DefinitionRules): void {
  const field = "spec.conversion";
  if (!strategy) errors.push(required(`${field}.strategy`));
  else if (strategy !== "None" && strategy !== "Webhook") errors.push(notSupported(`${field}.strategy`, strategy, ["None", "Webhook"]));
  const client = webhook?.clientConfig;
  const versions = webhook?.conversionReviewVersions ?? [];
  if (strategy !== "Webhook") {
    const detail = "should not be set when strategy is not set to Webhook";
    if (client) errors.push(forbiddenField(`${field}.webhookClientConfig`, detail));
    if (versions.length > 0) errors.push(forbiddenField(`${field}.conversionReviewVersions`, detail));
    return;
  }
  const at = `${field}.webhookClientConfig`;
  if (!client) errors.push(required(at, "required when strategy is set to Webhook"));
  else {
    const { url, service, caBundle } = client;
    if ((url === undefined) === (service === undefined)) errors.push(required(at, "exactly one of url or service is required"));
    else if (url !== undefined) validateWebhookUrl(errors, `${at}.url`, url);
    else if (service) validateWebhookService(errors, `${at}.service`, service);
    if (!rules.allowInvalidCABundle && isUnreadableCABundle(caBundle))
      errors.push(invalidValue(`${at}.caBundle`, caBundle, "unable to load root certificates: unable to parse bytes as PEM block"));
  }
  validateReviewVersions(errors, versions, `${field}.conversionReviewVersions`, rules.requireKnownReviewVersion);
}

function validateReviewVersions(errors: FieldError[], versions: readonly string[], field: string, requireKnown: boolean): void {
  if (versions.length === 0) errors.push(required(field));
  const isRepeated = repeats<string>();
  for (const [i, version] of versions.entries()) {
    if (isRepeated(version)) errors.push(invalidValue(`${field}[${i}]`, version, "duplicate version"));
    else for (const problem of isDNS1035Label(version)) errors.push(invalidValue(`${field}[${i}]`, version, problem));
  }
  if (versions.length > 0 && requireKnown && !versions.some((version) => reviewVersions.includes(version)))
    errors.push(invalidValue(field, versions, `must include at least one of ${reviewVersions.join(", ")}`));
}

function validateImmutable(
  errors: FieldError[],
  { spec }: CustomResourceDefinition,
  { spec: old }: CustomResourceDefinition,
  { requireImmutableNames }: DefinitionRules,
): void {
  if (requireImmutableNames) {
    checkImmutable(errors, "spec.scope", spec.scope, old.scope);
    checkImmutable(errors, "spec.names.kind", spec.names.kind, old.names.kind);
  }
  checkImmutable(errors, "spec.group", spec.group, old.group);
  checkImmutable(errors, "spec.names.plural", spec.names.plural, old.names.plural);
}

/** The version that objects are stored in now, and all that some may still be stored in, have to be there. */
function validateStoredVersions(errors: FieldError[], { spec, status }: CustomResourceDefinition): void {
  const field = "status.storedVersions";
  const stored = status?.storedVersions ?? [];
  const versions = spec.versions ?? [];
  if (stored.length === 0) {
    errors.push(invalidValue(field, null, "must have at least one stored version"));
    return;
  }
  // A version that is there twice is only found once.
  const unfound = new Set(stored);
  for (const { name, storage } of versions)
    if (!unfound.delete(name) && storage) errors.push(invalidValue(field, stored, `must have the storage version ${name}`));
  const names = new Set(versions.map(({ name }) => name));
  for (const [i, name] of stored.entries()) {
    if (names.has(name)) continue;
    const stays = `must remain in spec.versions until a storage migration ensures no data remains persisted in ${name}`;
    const detail = `missing from spec.versions; ${name} was previously a storage version, and ${stays} and removes ${name} from status.storedVersions`;
    errors.push(invalidValue(`${field}[${i}]`, name, detail));
  }
}

const approvalAnnotation = "api-approved.kubernetes.io";
const approvalPlace = "https://github.com/kubernetes/enhancements/pull/1111";

type Approval = "missing" | "given" | "bypassed" | "invalid";

/** Groups of the project need someone's approval, or an explanation of why there is none. */
function validateApproval(errors: FieldError[], definition: CustomResourceDefinition, old: CustomResourceDefinition | undefined): void {
  if (!/(?:^|\.)(?:k8s|kubernetes)\.io$/.test(definition.spec.group ?? "")) return;
  const approval = approvalOf(definition);
  if (old && approvalOf(old) === approval) return;
  const field = `metadata.annotations[${approvalAnnotation}]`;
  const detail = `protected groups must have approval annotation "${approvalAnnotation}"`;
  if (approval === "missing") errors.push(required(field, `${detail}, see ${approvalPlace}`));
  if (approval === "invalid") {
    const value = definition.metadata.annotations?.[approvalAnnotation];
    errors.push(invalidValue(field, value, `${detail} with either a URL or a reason starting with "unapproved", see ${approvalPlace}`));
  }
}

function approvalOf({ metadata }: CustomResourceDefinition): Approval {
  const text = metadata.annotations?.[approvalAnnotation] ?? "";
  if (text === "") return "missing";
  if (text.startsWith("unapproved")) return "bypassed";
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#\s]+/.test(text) ? "given" : "invalid";
}
