// What an update of a CustomResourceDefinition may leave as it is although today's rules refuse it, because it was stored
// before they existed.
import { pemBlocks } from "../../base/x509/pem.ts";
import { semanticallyEqual } from "../meta/equality.ts";
import { hasUnprunedDefaults } from "../structural/default-values.ts";
import { listMapKeysErrors, setItemErrors } from "../structural/definition-lists.ts";
import { isUnknownType } from "../structural/definition-schema.ts";
import { someSchema } from "../structural/schema-walk.ts";
import { unsupportedKeyword, validateStructural } from "../structural/structural-rules.ts";
import type { CustomResourceDefinition, JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { maxSelectableFields } from "./definition-names.ts";

export interface DefinitionRules {
  readonly requireKnownReviewVersion: boolean;
  /** The scope and the kind may not change any more. */
  readonly requireImmutableNames: boolean;
  readonly requireSchema: boolean;
  readonly requireKnownTypes: boolean;
  readonly requireStructural: boolean;
  readonly requirePrunedDefaults: boolean;
  readonly requireAtomicSets: boolean;
  readonly requireFitMapKeys: boolean;
  readonly allowInvalidCABundle: boolean;
  /** Versions whose schema is what it was. */
  readonly unchangedSchemas: ReadonlySet<string>;
  /** Versions whose selectable fields are what they were, and too many. */
  readonly tooManySelectable: ReadonlySet<string>;
}

export const rulesOfNew: DefinitionRules = {
  requireKnownReviewVersion: true,
  requireImmutableNames: false,
  requireSchema: true,
  requireKnownTypes: true,
  requireStructural: true,
  requirePrunedDefaults: true,
  requireAtomicSets: true,
  requireFitMapKeys: true,
  allowInvalidCABundle: true,
  unchangedSchemas: new Set(),
  tooManySelectable: new Set(),
};

export const reviewVersions: readonly string[] = ["v1", "v1beta1"];

export const isEstablished = ({ status }: CustomResourceDefinition): boolean =>
  (status?.conditions ?? []).some(({ type, status: value }) => type === "Established" && value === "True");

/** What follows from whether there may be objects already. */
export function rulesOfEstablished(old: CustomResourceDefinition): Pick<DefinitionRules, "requireImmutableNames" | "allowInvalidCABundle"> {
  const established = isEstablished(old);
  const unreadable = isUnreadableCABundle(old.spec.conversion?.webhook?.clientConfig?.caBundle);
  return { requireImmutableNames: established, allowInvalidCABundle: !established || unreadable };
}

/** Whether schemas are checked by all rules of today. */
export function isStrict(rules: DefinitionRules): boolean {
  const { requireKnownTypes, requireStructural, requirePrunedDefaults, requireAtomicSets, requireFitMapKeys } = rules;
  return requireKnownTypes && requireStructural && requirePrunedDefaults && requireAtomicSets && requireFitMapKeys;
}

export function rulesOfUpdate(definition: CustomResourceDefinition, old: CustomResourceDefinition): DefinitionRules {
  const oldVersions = old.spec.versions ?? [];
  const schemas = oldVersions.map(({ schema }) => schema?.openAPIV3Schema);
  const some = (matches: (schema: JSONSchemaProps) => boolean): boolean => schemas.some((schema) => someSchema(schema, matches));
  const known = old.spec.conversion?.webhook?.conversionReviewVersions ?? [];
  return {
    ...rulesOfEstablished(old),
    requireKnownReviewVersion: known.length === 0 || known.some((version) => reviewVersions.includes(version)),
    requireSchema: schemas.every((schema) => schema !== undefined),
    requireKnownTypes: !some(isUnknownType),
    requireStructural: !schemas.some((schema) => schema && isNotStructural(schema)),
    requirePrunedDefaults: !schemas.some((schema) => schema && !isNotStructural(schema) && hasUnprunedDefaults(schema)),
    requireAtomicSets: !some((schema) => setItemErrors(schema, "").length > 0),
    requireFitMapKeys: !some((schema) => listMapKeysErrors(schema, "").length > 0),
    unchangedSchemas: versionsThat(definition, old, ({ schema }, before) => semanticallyEqual(schema, before.schema)),
    tooManySelectable: versionsThat(definition, old, ({ selectableFields }, before) => {
      const count = before.selectableFields?.length ?? 0;
      return count > maxSelectableFields && semanticallyEqual(selectableFields, before.selectableFields);
    }),
  };
}

const isNotStructural = (schema: JSONSchemaProps): boolean =>
  unsupportedKeyword(schema) !== undefined || validateStructural(schema, "").length > 0;

type Version = CustomResourceDefinition["spec"]["versions"][number];

function versionsThat(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition,
  matches: (version: Version, before: Version) => boolean,
): ReadonlySet<string> {
  const before = new Map((old.spec.versions ?? []).map((version) => [version.name, version]));
  const found = (definition.spec.versions ?? []).filter((version) => {
    const earlier = before.get(version.name);
    return earlier !== undefined && matches(version, earlier);
  });
  return new Set(found.map(({ name }) => name));
}

/** Whether certificates (PEM in base64) cannot be read. */
export function isUnreadableCABundle(bundle: string | undefined): boolean {
  if (!bundle) return false;
  let text: string;
  try {
    text = atob(bundle);
  } catch {
    return true;
  }
  return !pemBlocks(text).some(({ type, body }) => type === "CERTIFICATE" && /^[\sA-Za-z0-9+/=:-]+$/.test(body));
}
