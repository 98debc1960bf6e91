// The reviews of authorization: may somebody (SubjectAccessReview), may somebody in this namespace
// (LocalSubjectAccessReview), may I (SelfSubjectAccessReview, "kubectl auth can-i"), and what may I at all
// (SelfSubjectRulesReview). They ask the same authorizer as every request does.

import { type FieldError, forbiddenField, invalidValue, required } from "../../api/meta/field-error.ts";
import { isLabelValue, isQualifiedName } from "../../api/meta/names.ts";
import {
  escapeFieldValue,
  expressionRequirement,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
} from "../../api/meta/selectors.ts";
import { badRequest, invalid } from "../../api/meta/status-error.ts";
import type {
  LocalSubjectAccessReview,
  ResourceAttributes,
  SelfSubjectAccessReview,
  SelfSubjectRulesReview,
  SubjectAccessReview,
  SubjectAccessReviewSpec,
  SubjectAccessReviewStatus,
} from "../../api/types/authorization-v1.ts";
import type { FieldSelectorRequirement, ObjectMeta } from "../../api/types/meta-v1.ts";
import { metadataForm } from "../../api/validation/internal-form.ts";
import type { UserInfo } from "../authn/user.ts";
import type { CreateRequest, Creators } from "../registry/handler-types.ts";
import type { AuthorizationAttributes, Authorizer } from "./authorizer.ts";

// Upstream's errors name no kind here.
const kind = { group: "authorization.k8s.io", kind: "" };

export function accessReviews(authorizer: Authorizer): Creators {
  return {
    "authorization.k8s.io/subjectaccessreviews": (request) => reviewSubject(request, authorizer),
    "authorization.k8s.io/localsubjectaccessreviews": (request) => reviewLocally(request, authorizer),
    "authorization.k8s.io/selfsubjectaccessreviews": (request) => reviewSelf(request, authorizer),
    "authorization.k8s.io/selfsubjectrulesreviews": (request) => reviewRules(request, authorizer),
  };
}

async function reviewSubject({ object }: CreateRequest, authorizer: Authorizer): Promise<SubjectAccessReview> {
  const review = object as SubjectAccessReview; // decoded by the kind of the resource
  refuseWith([
    ...validateSpec(review.spec),
    ...validateSubject(review.spec),
    ...validateSelectors(review.spec),
    ...validateMetadata(review.metadata),
  ]);
  return { ...review, status: await ask(authorizer, review.spec, userOf(review.spec)) };
}

async function reviewLocally({ object, namespace }: CreateRequest, authorizer: Authorizer): Promise<LocalSubjectAccessReview> {
  const review = object as LocalSubjectAccessReview;
  const { resourceAttributes, nonResourceAttributes } = review.spec;
  const { namespace: own = "" } = review.metadata;
  const errors = [
    ...validateSpec(review.spec),
    ...validateSubject(review.spec),
    ...validateSelectors(review.spec),
    ...validateMetadata(review.metadata, "namespace"),
  ];
  const asked = resourceAttributes?.namespace ?? "";
  if (resourceAttributes && asked !== own)
    errors.push(invalidValue("spec.resourceAttributes.namespace", asked, "must match metadata.namespace"));
  if (nonResourceAttributes)
    errors.push(invalidValue("spec.nonResourceAttributes", pathValue(review.spec), "disallowed on this kind of request"));
  refuseWith(errors);
  if (namespace !== own) throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${namespace}`);
  return { ...review, status: await ask(authorizer, review.spec, userOf(review.spec)) };
}

async function reviewSelf({ object, context }: CreateRequest, authorizer: Authorizer): Promise<SelfSubjectAccessReview> {
  const review = object as SelfSubjectAccessReview;
  refuseWith([...validateSpec(review.spec), ...validateSelectors(review.spec), ...validateMetadata(review.metadata)]);
  return { ...review, status: await ask(authorizer, review.spec, context.user) };
}

async function reviewRules({ object, context }: CreateRequest, authorizer: Authorizer): Promise<SelfSubjectRulesReview> {
  const namespace = (object as SelfSubjectRulesReview).spec?.namespace;
  if (!namespace) throw badRequest("no namespace on request");
  const rules = (await authorizer.rulesFor?.(context.user, namespace)) ?? { resourceRules: [], nonResourceRules: [], incomplete: true };
  return {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectRulesReview",
    metadata: {} as ObjectMeta, // never stored: it has neither name nor uid
    spec: {},
    status: rules,
  };
}

type Asked = Pick<SubjectAccessReviewSpec, "resourceAttributes" | "nonResourceAttributes">;

function refuseWith(errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid(kind, "", errors);
}

/** Non-resource attributes as they stand in upstream's messages. */
const pathValue = ({ nonResourceAttributes: a }: Asked): object => ({ Path: a?.path ?? "", Verb: a?.verb ?? "" });

function validateSpec(spec: Asked = {}): FieldError[] {
  const { resourceAttributes, nonResourceAttributes } = spec;
  if (resourceAttributes && nonResourceAttributes)
    return [invalidValue("spec.nonResourceAttributes", pathValue(spec), "cannot be specified in combination with resourceAttributes")];
  if (resourceAttributes || nonResourceAttributes) return [];
  return [invalidValue("spec.resourceAttributes", null, "exactly one of nonResourceAttributes or resourceAttributes must be specified")];
}

function validateSubject(spec: SubjectAccessReviewSpec): FieldError[] {
  return spec.user || spec.groups?.length ? [] : [invalidValue("spec.user", "", "at least one of user or group must be specified")];
}

function validateSelectors({ resourceAttributes }: Asked): FieldError[] {
  return [
    ...validateSelector("spec.resourceAttributes.fieldSelector", resourceAttributes?.fieldSelector, "fields"),
    ...validateSelector("spec.resourceAttributes.labelSelector", resourceAttributes?.labelSelector, "labels"),
  ];
}

type Selector = NonNullable<ResourceAttributes["fieldSelector"] | ResourceAttributes["labelSelector"]>;

function validateSelector(path: string, selector: Selector | undefined, of: "fields" | "labels"): FieldError[] {
  if (!selector) return [];
  const requirements = selector.requirements ?? [];
  const errors: FieldError[] = [];
  if (selector.rawSelector && requirements.length > 0)
    errors.push(invalidValue(`${path}.rawSelector`, selector.rawSelector, "may not specified at the same time as requirements"));
  if (!selector.rawSelector && requirements.length === 0)
    errors.push(required(`${path}.requirements`, `when ${path} is specified, requirements or rawSelector is required`));
  for (const [i, { key, operator, values = [] }] of requirements.entries()) {
    const at = `${path}.requirements[${i}]`;
    if (of === "fields" && !key) errors.push(required(`${at}.key`, "must be specified"));
    if ((operator === "In" || operator === "NotIn") && values.length === 0)
      errors.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    if ((operator === "Exists" || operator === "DoesNotExist") && values.length > 0)
      errors.push(forbiddenField(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
    if (of === "fields") continue;
    for (const problem of isQualifiedName(key ?? "")) errors.push(invalidValue(`${at}.key`, key ?? "", problem));
    for (const [k, value] of values.entries())
      for (const problem of isLabelValue(value)) errors.push(invalidValue(`${at}.values[${k}]`, value, problem));
  }
  return errors;
}

function validateMetadata(metadata: Partial<ObjectMeta> = {}, except?: "namespace"): FieldError[] {
  const isEmpty = Object.entries(metadata).every(
    ([key, value]) => key === "managedFields" || key === except || value === undefined || value === null || value === "",
  );
  if (isEmpty) return [];
  return [invalidValue("metadata", metadataForm(metadata), except === undefined ? "must be empty" : `must be empty except for ${except}`)];
}

function userOf(spec: SubjectAccessReviewSpec): UserInfo {
  return {
    name: spec.user ?? "",
    groups: spec.groups ?? [],
    ...(spec.uid ? { uid: spec.uid } : {}),
    ...(spec.extra ? { extra: spec.extra } : {}),
  };
}

async function ask(authorizer: Authorizer, spec: Asked, user: UserInfo): Promise<SubjectAccessReviewStatus> {
  const errors: string[] = [];
  const { decision, reason, error } = await authorizer.authorize(attributesOf(spec, user, errors));
  if (error !== undefined) errors.unshift(error);
  return {
    allowed: decision === "allow",
    ...(decision === "deny" ? { denied: true } : {}),
    ...(reason === "" ? {} : { reason }),
    ...(errors.length > 0 ? { evaluationError: errors.join("; ") } : {}),
  };
}

function attributesOf(spec: Asked, user: UserInfo, errors: string[]): AuthorizationAttributes {
  const nothing = { apiGroup: "", apiVersion: "", resource: "", subresource: "", namespace: "", name: "" };
  const { resourceAttributes: asked, nonResourceAttributes } = spec;
  if (!asked)
    return { user, verb: nonResourceAttributes?.verb ?? "", isResourceRequest: false, path: nonResourceAttributes?.path ?? "", ...nothing };
  const fields = readSelector(asked.fieldSelector, { which: "field", parse: parseFieldSelector, read: fieldTerm, errors });
  const fieldSelector = typeof fields === "object" ? fields.join(",") : fields;
  const labelSelector = readSelector(asked.labelSelector, {
    which: "label",
    parse: parseLabelSelector,
    read: expressionRequirement,
    errors,
  });
  return {
    user,
    verb: asked.verb ?? "",
    isResourceRequest: true,
    path: "",
    apiGroup: asked.group ?? "",
    apiVersion: asked.version || "*",
    resource: asked.resource ?? "",
    subresource: asked.subresource ?? "",
    namespace: asked.namespace ?? "",
    name: asked.name ?? "",
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  };
}

interface SelectorReading<Asked, Read> {
  readonly which: "field" | "label";
  readonly parse: (text: string) => unknown;
  readonly read: (requirement: Asked) => Read;
  readonly errors: string[];
}

/** What a selector asks for: its text, or its requirements in their order. What cannot be understood is left out, which only makes the question a wider one. */
function readSelector<Asked, Read>(
  selector: { readonly rawSelector?: string; readonly requirements?: readonly Asked[] } | undefined,
  { which, parse, read, errors }: SelectorReading<Asked, Read>,
): string | readonly Read[] | undefined {
  const { rawSelector, requirements = [] } = selector ?? {};
  const ignored = (partially: boolean): void => {
    errors.push(`spec.resourceAttributes.${which}Selector ${partially ? "partially " : ""}ignored due to parse error`);
  };
  if (rawSelector) {
    if (understood(() => parse(rawSelector))) return rawSelector;
    ignored(false);
    return undefined;
  }
  const known = requirements.flatMap((requirement) => understood(() => read(requirement)) ?? []);
  if (known.length < requirements.length) ignored(known.length > 0);
  return known.length > 0 ? known : undefined;
}

function fieldTerm({ key, operator, values = [] }: FieldSelectorRequirement): string | undefined {
  if (values.length !== 1 || (operator !== "In" && operator !== "NotIn")) return undefined;
  const term = `${key}${operator === "In" ? "=" : "!="}${escapeFieldValue(values[0] ?? "")}`;
  parseFieldSelector(term);
  return term;
}

function understood<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
}
