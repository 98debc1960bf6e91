// Flow control: which requests belong together (flow schemas), and how many of them are served at once (priority levels).
import { semanticallyEqual } from "../meta/equality.ts";
import { duplicate, type FieldError, forbiddenField, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isDNS1123Label, isDNS1123Subdomain } from "../meta/names.ts";
import type {
  FlowSchema,
  LimitedPriorityLevelConfiguration,
  LimitResponse,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  PriorityLevelConfiguration,
  QueuingConfiguration,
  ResourcePolicyRule,
  ServiceAccountSubject,
  Subject,
} from "../types/flowcontrol-v1.ts";
import { internalForm } from "./internal-form.ts";
import { repeats } from "./repeats.ts";
import { addProblems, checkName, checkPresent, checkSupported } from "./rules.ts";

const exemptName = "exempt";
const maxPrecedence = 10_000;
const distinguishers = ["ByNamespace", "ByUser"];

/** Schemas and levels that every server has, by name, and nobody may change. */
export interface MandatoryFlowControl {
  readonly schemas: ReadonlyMap<string, FlowSchema["spec"] | undefined>;
  readonly levels: ReadonlyMap<string, PriorityLevelConfiguration["spec"] | undefined>;
}

export function validateFlowSchema({ metadata, spec, status }: FlowSchema, mandatory?: MandatoryFlowControl): FieldError[] {
  const errors: FieldError[] = [];
  const { matchingPrecedence: precedence = 0, distinguisherMethod, priorityLevelConfiguration, rules } = spec ?? {};
  const refuse = (detail: string): void => {
    errors.push(invalidValue("spec.matchingPrecedence", precedence, detail));
  };
  if (precedence <= 0) refuse("must be a positive value");
  if (precedence > maxPrecedence) refuse(`must not be greater than ${maxPrecedence}`);
  if (precedence === 1 && metadata.name !== exemptName) refuse("only the schema named 'exempt' may have matchingPrecedence 1");
  if (distinguisherMethod && !distinguishers.includes(distinguisherMethod.type))
    errors.push(notSupported("spec.distinguisherMethod.type", { Type: distinguisherMethod.type ?? "" }, distinguishers));
  const level = priorityLevelConfiguration?.name;
  if (level) addProblems(errors, "spec.priorityLevelConfiguration.name", level, isDNS1123Subdomain(level));
  else errors.push(required("spec.priorityLevelConfiguration.name", "must reference a priority level"));
  for (const [i, rule] of (rules ?? []).entries()) validateRules(errors, `spec.rules[${i}]`, rule);
  const fixed = mandatory?.schemas.get(metadata.name);
  const shown = internalForm("FlowSchemaSpec", spec);
  if (fixed && !semanticallyEqual(shown, internalForm("FlowSchemaSpec", fixed)))
    errors.push(invalidValue("spec", shown, `spec of '${metadata.name}' must equal the fixed value`));
  validateStatus(errors, status);
  return errors;
}

export const validateFlowSchemaStatus = ({ status }: FlowSchema | PriorityLevelConfiguration): FieldError[] => {
  const errors: FieldError[] = [];
  validateStatus(errors, status);
  return errors;
};

function validateStatus(errors: FieldError[], status: FlowSchema["status"]): void {
  const conditions = status?.conditions ?? [];
  const isRepeated = repeats<string>();
  for (const [i, { type = "" }] of conditions.entries()) {
    const field = `status.conditions[${i}].type`;
    if (isRepeated(type)) errors.push(duplicate(field, type));
    if (type === "") errors.push(required(field));
  }
}

function validateRules(errors: FieldError[], field: string, rules: PolicyRulesWithSubjects): void {
  const { subjects, resourceRules, nonResourceRules } = rules;
  if (!subjects?.length) errors.push(required(`${field}.subjects`, "subjects must contain at least one value"));
  for (const [i, subject] of (subjects ?? []).entries()) validateSubject(errors, `${field}.subjects[${i}]`, subject);
  if (!resourceRules?.length && !nonResourceRules?.length)
    errors.push(required(field, "at least one of resourceRules and nonResourceRules has to be non-empty"));
  for (const [i, rule] of (resourceRules ?? []).entries()) validateResourceRule(errors, `${field}.resourceRules[${i}]`, rule);
  for (const [i, rule] of (nonResourceRules ?? []).entries()) validatePathRule(errors, `${field}.nonResourceRules[${i}]`, rule);
}

const subjectFields = { ServiceAccount: "serviceAccount", User: "user", Group: "group" } as const;

function validateSubject(errors: FieldError[], field: string, subject: Subject): void {
  const own = subject.kind in subjectFields ? subjectFields[subject.kind as keyof typeof subjectFields] : undefined;
  if (own === undefined) {
    errors.push(notSupported(`${field}.kind`, subject.kind ?? "", ["Group", "ServiceAccount", "User"]));
    return;
  }
  const named = subject[own];
  if (!named) errors.push(required(`${field}.${own}`, `${own} is required when subject kind is '${subject.kind}'`));
  else if (own === "serviceAccount") validateAccount(errors, `${field}.${own}`, named as ServiceAccountSubject);
  else checkPresent(errors, `${field}.${own}.name`, named.name);
  const others = Object.entries(subjectFields).filter(([, other]) => other !== own);
  // Upstream looks for the account first, and for the user before the group.
  for (const [kind, other] of others)
    if (subject[other]) errors.push(forbiddenField(`${field}.${other}`, `${other} is forbidden when subject kind is not '${kind}'`));
}

function validateAccount(errors: FieldError[], field: string, { name, namespace }: ServiceAccountSubject): void {
  checkName(errors, `${field}.name`, name, (value) => (value === "*" ? [] : isDNS1123Subdomain(value)));
  if (namespace) addProblems(errors, `${field}.namespace`, namespace, isDNS1123Label(namespace));
  else errors.push(required(`${field}.namespace`, "must specify namespace for service account"));
}

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

function validateVerbs(errors: FieldError[], field: string, given: readonly string[] | undefined): void {
  if (!given?.length) errors.push(required(field, "verbs must contain at least one value"));
  else if (given.includes("*")) checkLoneWildcard(errors, field, given, "verbs");
  else if (given.some((verb) => !verbs.includes(verb))) errors.push(notSupported(field, given, verbs));
}

function checkLoneWildcard(errors: FieldError[], field: string, values: readonly string[], what: string): void {
  if (values.length > 1 && values.includes("*"))
    errors.push(invalidValue(field, values, `if '*' is present, must not specify other ${what}`));
}

function validateResourceRule(errors: FieldError[], field: string, rule: ResourcePolicyRule): void {
  const { apiGroups, resources, namespaces, clusterScope } = rule;
  validateVerbs(errors, `${field}.verbs`, rule.verbs);
  if (!apiGroups?.length) errors.push(required(`${field}.apiGroups`, "resource rules must supply at least one api group"));
  else checkLoneWildcard(errors, `${field}.apiGroups`, apiGroups, "api groups");
  if (!resources?.length) errors.push(required(`${field}.resources`, "resource rules must supply at least one resource"));
  else checkLoneWildcard(errors, `${field}.resources`, resources, "resources");
  if (!namespaces?.length && !clusterScope)
    errors.push(required(`${field}.namespaces`, "resource rules that are not cluster scoped must supply at least one namespace"));
  else if (namespaces?.includes("*")) checkLoneWildcard(errors, `${field}.namespaces`, namespaces, "namespaces");
  else
    for (const [i, namespace] of (namespaces ?? []).entries())
      for (const problem of isDNS1123Label(namespace)) {
        const detail = `each member of this list must be '*' or a DNS-1123 label; ${problem}`;
        errors.push(invalidValue(`${field}.namespaces[${i}]`, namespace, detail));
      }
}

function validatePathRule(errors: FieldError[], field: string, { verbs: given, nonResourceURLs: paths }: NonResourcePolicyRule): void {
  validateVerbs(errors, `${field}.verbs`, given);
  if (!paths?.length) errors.push(required(`${field}.nonResourceURLs`, "nonResourceURLs must contain at least one value"));
  else if (paths.includes("*")) checkLoneWildcard(errors, `${field}.nonResourceURLs`, paths, "non-resource URLs");
  else
    for (const [i, path] of paths.entries()) {
      const problem = pathProblem(path);
      if (problem !== undefined) errors.push(invalidValue(`${field}.nonResourceURLs[${i}]`, path, problem));
    }
}

function pathProblem(path: string): string | undefined {
  if (path === "") return "must not be empty";
  if (!path.startsWith("/")) return "must start with slash";
  if (path.includes(" ")) return "must not contain white-space";
  if (path.includes("//")) return "must not contain double slash";
  const star = path.indexOf("*");
  return star >= 0 && !(star === path.length - 1 && path.endsWith("/*")) ? "wildcard can only do suffix matching" : undefined;
}

const zeroSharesKey = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";

export function validatePriorityLevel(
  { metadata, spec, status }: PriorityLevelConfiguration,
  mandatory?: MandatoryFlowControl,
): FieldError[] {
  const errors: FieldError[] = [];
  if (metadata.annotations?.[zeroSharesKey] !== undefined)
    errors.push(forbiddenField("metadata.annotations", `annotation '${zeroSharesKey}' is forbidden`));
  const { type = "", limited, exempt } = spec ?? {};
  if ((metadata.name === exemptName) !== (type === "Exempt"))
    errors.push(invalidValue("spec.type", type, "must be 'Exempt' if and only if `name` is 'exempt'"));
  if (type === "Exempt") {
    if (limited) errors.push(forbiddenField("spec.limited", "must be nil if the type is not Limited"));
    if (exempt) {
      checkShares(errors, "spec.exempt.nominalConcurrencyShares", exempt.nominalConcurrencyShares);
      checkPercent(errors, "spec.exempt.lendablePercent", exempt.lendablePercent);
    }
  } else if (type === "Limited") {
    if (exempt) errors.push(forbiddenField("spec.exempt", "must be nil if the type is Limited"));
    if (limited) validateLimited(errors, "spec.limited", limited);
    else errors.push(required("spec.limited", "must not be empty when type is Limited"));
  } else errors.push(notSupported("spec.type", type, ["Exempt", "Limited"]));
  validateMandatoryLevel(errors, metadata.name, spec, mandatory?.levels.get(metadata.name));
  validateStatus(errors, status);
  return errors;
}

type LevelSpec = PriorityLevelConfiguration["spec"] | undefined;

/** Of the level of what is exempt, the shares may be changed. */
function validateMandatoryLevel(errors: FieldError[], name: string, spec: LevelSpec, fixed: LevelSpec): void {
  if (!fixed) return;
  const form = (of: LevelSpec): unknown => internalForm("PriorityLevelConfigurationSpec", of);
  const isExempt = name === exemptName;
  const { exempt: _, ...rest } = spec ?? { type: "" };
  const compared = isExempt ? { ...rest, ...(fixed.exempt ? { exempt: fixed.exempt } : {}) } : spec;
  if (semanticallyEqual(form(compared), form(fixed))) return;
  const what = isExempt ? `'${name}' except the 'spec.exempt' field` : `'${name}'`;
  errors.push(invalidValue("spec", form(spec), `spec of ${what} must equal the fixed value`));
}

function checkShares(errors: FieldError[], field: string, shares: number | null = 0): void {
  if (shares !== null && shares < 0) errors.push(invalidValue(field, shares, "must be a non-negative integer"));
}

function checkPercent(errors: FieldError[], field: string, percent = 0): void {
  if (percent < 0 || percent > 100) errors.push(invalidValue(field, percent, "must be between 0 and 100, inclusive"));
}

function validateLimited(errors: FieldError[], field: string, limited: LimitedPriorityLevelConfiguration): void {
  const { borrowingLimitPercent: borrowing = 0, limitResponse = { type: "" } } = limited;
  checkShares(errors, `${field}.nominalConcurrencyShares`, limited.nominalConcurrencyShares);
  validateResponse(errors, `${field}.limitResponse`, limitResponse);
  checkPercent(errors, `${field}.lendablePercent`, limited.lendablePercent);
  if (borrowing < 0) errors.push(invalidValue(`${field}.borrowingLimitPercent`, borrowing, "if specified, must be a non-negative integer"));
}

function validateResponse(errors: FieldError[], field: string, { type, queuing }: LimitResponse): void {
  if (type === "Reject") {
    if (queuing) errors.push(forbiddenField(`${field}.queuing`, "must be nil if limited.limitResponse.type is not Limited"));
  } else if (type === "Queue") {
    if (queuing) validateQueuing(errors, `${field}.queuing`, queuing);
    else errors.push(required(`${field}.queuing`, "must not be empty if limited.limitResponse.type is Limited"));
  } else checkSupported(errors, `${field}.type`, type, ["Queue", "Reject"]);
}

const maxQueues = 10_000_000;
/** Bits of a request's hash that decide about its hand of queues. */
const maxHashBits = 60;

function validateQueuing(errors: FieldError[], field: string, queuing: QueuingConfiguration): void {
  const { queues = 0, handSize = 0, queueLengthLimit = 0 } = queuing;
  if (queueLengthLimit <= 0) errors.push(invalidValue(`${field}.queueLengthLimit`, queueLengthLimit, "must be positive"));
  if (queues <= 0) errors.push(invalidValue(`${field}.queues`, queues, "must be positive"));
  else if (queues > maxQueues) errors.push(invalidValue(`${field}.queues`, queues, `must not be greater than ${maxQueues}`));
  const refuse = (detail: string): void => {
    errors.push(invalidValue(`${field}.handSize`, handSize, detail));
  };
  const bits = Math.ceil(Math.log2(queues) * handSize);
  if (handSize <= 0) refuse("must be positive");
  else if (handSize > queues) refuse(`should not be greater than queues (${queues})`);
  else if (bits > maxHashBits)
    refuse(`required entropy bits of deckSize ${queues} and handSize ${handSize} should not be greater than ${maxHashBits}`);
}
