// The question of authorization as the spec of a SubjectAccessReview, which webhooks and their match conditions are asked.

import type { LabelRequirement } from "../../api/meta/selectors.ts";
import { type FieldRequirement, parseFieldSelector, parseLabelSelector, SelectorError } from "../../api/meta/selectors.ts";
import type { ResourceAttributes, SubjectAccessReviewSpec } from "../../api/types/authorization-v1.ts";
import type { AuthorizationAttributes } from "./authorizer.ts";

type Selector = NonNullable<ResourceAttributes["fieldSelector"]>;
type Requirement = NonNullable<Selector["requirements"]>[number];

/** Without what is empty, as Go encodes it. */
export function accessReviewSpec(attributes: AuthorizationAttributes): SubjectAccessReviewSpec {
  const { user, verb } = attributes;
  return {
    ...(attributes.isResourceRequest
      ? { resourceAttributes: resourceAttributesOf(attributes) }
      : { nonResourceAttributes: withoutEmpty({ path: attributes.path, verb }) }),
    ...withoutEmpty({ user: user.name }),
    ...(user.groups.length > 0 ? { groups: user.groups } : {}),
    ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
    ...(user.uid ? { uid: user.uid } : {}),
  };
}

function resourceAttributesOf(attributes: AuthorizationAttributes): ResourceAttributes {
  const { namespace, verb, apiGroup: group, apiVersion: version, resource, subresource, name } = attributes;
  const fields = selectorOf(attributes.fieldSelector, (text) => parseFieldSelector(text).requirements.map(fieldRequirement));
  const labels = selectorOf(attributes.labelSelector, (asked) => labelRequirements(asked).map(labelRequirement));
  return {
    ...withoutEmpty({ namespace, verb, group, version, resource, subresource, name }),
    ...(fields ? { fieldSelector: fields } : {}),
    ...(labels ? { labelSelector: labels } : {}),
  };
}

function withoutEmpty<T extends Readonly<Record<string, string>>>(texts: T): Partial<T> {
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== "")) as Partial<T>; // fewer of the same
}

/** What cannot be read narrows nothing: the question is the wider one without it. */
function selectorOf<T extends string | readonly LabelRequirement[]>(
  asked: T | undefined,
  read: (asked: T) => readonly (Requirement | undefined)[],
): Selector | undefined {
  if (!asked) return undefined;
  try {
    const requirements = read(asked).filter((requirement) => requirement !== undefined);
    return requirements.length > 0 ? { requirements } : undefined;
  } catch (error) {
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
}

function fieldRequirement({ field, operator, value }: FieldRequirement): Requirement {
  return { key: field, operator: operator === "!=" ? "NotIn" : "In", values: [value] };
}

const labelRequirements = (asked: string | readonly LabelRequirement[]): readonly LabelRequirement[] =>
  typeof asked === "string" ? parseLabelSelector(asked).requirements : asked;

/** Comparisons of numbers have no place in a review, and are left out. */
function labelRequirement({ key, operator, values }: LabelRequirement): Requirement | undefined {
  switch (operator) {
    case "=":
    case "==":
    case "in":
      return { key, operator: "In", values };
    case "!=":
    case "notin":
      return { key, operator: "NotIn", values };
    case "exists":
      return { key, operator: "Exists" };
    case "!":
      return { key, operator: "DoesNotExist" };
    default:
      return undefined;
  }
}
