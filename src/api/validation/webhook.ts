// Admission webhooks: which requests they see, and how they are called. Expressions of match conditions are not compiled here.
import { duplicate, type FieldError, invalidValue, required, tooMany } from "../meta/field-error.ts";
import { isDNS1035Label, isDNS1123Subdomain, isPortNumber, isQualifiedName } from "../meta/names.ts";
import { urlProblem } from "../meta/url-problem.ts";
import type {
  MatchCondition,
  MutatingWebhook,
  MutatingWebhookConfiguration,
  RuleWithOperations,
  ServiceReference,
  ValidatingWebhook,
  ValidatingWebhookConfiguration,
  WebhookClientConfig,
} from "../types/admissionregistration-v1.ts";
import type { LabelSelector } from "../types/meta-v1.ts";
import type { ExpressionCheck } from "./expression-check.ts";
import { type LabelSelectorOptions, validateLabelSelector } from "./label-selector.ts";
import { repeats } from "./repeats.ts";
import { addProblems, checkName, checkSupported } from "./rules.ts";

type Configuration = ValidatingWebhookConfiguration | MutatingWebhookConfiguration;
type Webhook = ValidatingWebhook & Pick<MutatingWebhook, "reinvocationPolicy">;

/** What an update lets pass because the object had it before these rules existed. */
interface Allowances {
  readonly sideEffects: boolean;
  readonly unknownReviewVersions: boolean;
  readonly sameNames: boolean;
  readonly selectors: LabelSelectorOptions;
  /** Expressions of conditions that were there. */
  readonly storedConditions: ReadonlySet<string>;
}

const sideEffectFree: readonly string[] = ["None", "NoneOnDryRun"];
const reviewVersions: readonly string[] = ["v1", "v1beta1"];
const hasKnownVersion = (versions: readonly string[]): boolean => versions.some((version) => reviewVersions.includes(version));
const maxMatchConditions = 64;

export function validateWebhooks(configuration: Configuration, old?: Configuration, check?: ExpressionCheck): FieldError[] {
  const errors: FieldError[] = [];
  const allowed = allowancesOf(old?.webhooks ?? []);
  const names = new Set<string>();
  for (const [i, webhook] of (configuration.webhooks ?? []).entries()) {
    const field = `webhooks[${i}]`;
    validateWebhook(errors, field, webhook, { ...allowed, check });
    validateReviewVersions(errors, `${field}.admissionReviewVersions`, webhook.admissionReviewVersions ?? [], allowed);
    if (!webhook.name || allowed.sameNames) continue;
    if (names.has(webhook.name)) errors.push(duplicate(`${field}.name`, webhook.name));
    names.add(webhook.name);
  }
  return errors;
}

function allowancesOf(old: readonly Webhook[]): Allowances {
  const names = old.map((webhook) => webhook.name);
  const selectorErrors: FieldError[] = [];
  for (const webhook of old) validateSelectors(selectorErrors, "", webhook, {});
  return {
    sideEffects: old.some((webhook) => !sideEffectFree.includes(webhook.sideEffects)),
    unknownReviewVersions: old.some(({ admissionReviewVersions: versions }) => versions?.length && !hasKnownVersion(versions)),
    sameNames: new Set(names).size < names.length,
    storedConditions: new Set(old.flatMap(({ matchConditions = [] }) => matchConditions.map(({ expression }) => expression))),
    selectors: { allowInvalidValues: selectorErrors.some((error) => error.field.includes(".values[")) },
  };
}

interface WebhookRules extends Allowances {
  readonly check: ExpressionCheck | undefined;
}

function validateWebhook(errors: FieldError[], field: string, webhook: Webhook, allowed: WebhookRules): void {
  const { sideEffects, timeoutSeconds, clientConfig = {} } = webhook;
  validateWebhookName(errors, `${field}.name`, webhook.name);
  for (const [i, rule] of (webhook.rules ?? []).entries()) validateAdmissionRule(errors, `${field}.rules[${i}]`, rule);
  if (webhook.failurePolicy !== undefined) checkSupported(errors, `${field}.failurePolicy`, webhook.failurePolicy, failurePolicies);
  if (webhook.matchPolicy !== undefined) checkSupported(errors, `${field}.matchPolicy`, webhook.matchPolicy, matchPolicies);
  const sideEffectClasses = allowed.sideEffects ? ["None", "NoneOnDryRun", "Some", "Unknown"] : sideEffectFree;
  if ((sideEffects ?? undefined) === undefined)
    errors.push(required(`${field}.sideEffects`, `must specify one of ${sideEffectClasses.join(", ")}`));
  else checkSupported(errors, `${field}.sideEffects`, sideEffects, sideEffectClasses);
  if (timeoutSeconds !== undefined && (timeoutSeconds > 30 || timeoutSeconds < 1))
    errors.push(invalidValue(`${field}.timeoutSeconds`, timeoutSeconds, "the timeout value must be between 1 and 30 seconds"));
  validateSelectors(errors, `${field}.`, webhook, allowed.selectors);
  if (webhook.reinvocationPolicy !== undefined)
    checkSupported(errors, `${field}.reinvocationPolicy`, webhook.reinvocationPolicy, reinvocationPolicies);
  validateClientConfig(errors, `${field}.clientConfig`, clientConfig);
  validateMatchConditions(errors, `${field}.matchConditions`, webhook.matchConditions ?? [], (at, expression) =>
    allowed.check?.(errors, {
      purpose: "matchCondition",
      field: at,
      expression,
      hasParams: false,
      variables: [],
      stored: allowed.storedConditions.has(expression),
    }),
  );
}

export const matchPolicies: readonly string[] = ["Equivalent", "Exact"];
export const failurePolicies: readonly string[] = ["Fail", "Ignore"];
export const reinvocationPolicies: readonly string[] = ["IfNeeded", "Never"];

function validateSelectors(
  errors: FieldError[],
  prefix: string,
  selectors: { readonly namespaceSelector?: LabelSelector; readonly objectSelector?: LabelSelector },
  options: LabelSelectorOptions,
): void {
  validateLabelSelector(errors, `${prefix}namespaceSelector`, selectors.namespaceSelector, options);
  validateLabelSelector(errors, `${prefix}objectSelector`, selectors.objectSelector, options);
}

function validateWebhookName(errors: FieldError[], field: string, name: string | undefined): void {
  if (!name) {
    errors.push(required(field));
    return;
  }
  const problems = isDNS1123Subdomain(name);
  if (problems.length > 0) errors.push(invalidValue(field, name, problems.join(",")));
  else if (name.split(".").length < 3)
    errors.push(invalidValue(field, name, "should be a domain with at least three segments separated by dots"));
}

function validateReviewVersions(errors: FieldError[], field: string, versions: readonly string[], allowed: Allowances): void {
  if (versions.length === 0) {
    errors.push(required(field, `must specify one of ${reviewVersions.join(", ")}`));
    return;
  }
  const isRepeated = repeats<string>();
  for (const [i, version] of versions.entries()) {
    if (isRepeated(version)) errors.push(invalidValue(`${field}[${i}]`, version, "duplicate version"));
    else addProblems(errors, `${field}[${i}]`, version, isDNS1035Label(version));
  }
  if (!allowed.unknownReviewVersions && !hasKnownVersion(versions))
    errors.push(invalidValue(field, versions, `must include at least one of ${reviewVersions.join(", ")}`));
}

const operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/** Which requests a webhook or policy is for: operations on resources of API groups and versions. */
export function validateAdmissionRule(errors: FieldError[], field: string, rule: RuleWithOperations): void {
  const given = rule.operations ?? [];
  if (given.length === 0) errors.push(required(`${field}.operations`));
  checkLoneWildcard(errors, `${field}.operations`, given, "operations");
  for (const [i, operation] of given.entries()) checkSupported(errors, `${field}.operations[${i}]`, operation, operations);

  const { apiGroups, apiVersions, scope } = rule;
  if (!apiGroups?.length) errors.push(required(`${field}.apiGroups`));
  checkLoneWildcard(errors, `${field}.apiGroups`, apiGroups ?? [], "API groups");
  if (!apiVersions?.length) errors.push(required(`${field}.apiVersions`));
  checkLoneWildcard(errors, `${field}.apiVersions`, apiVersions ?? [], "API versions");
  for (const [i, version] of (apiVersions ?? []).entries()) if (version === "") errors.push(required(`${field}.apiVersions[${i}]`));
  validateRuleResources(errors, `${field}.resources`, rule.resources ?? []);
  if (scope !== undefined) checkSupported(errors, `${field}.scope`, scope, ["*", "Cluster", "Namespaced"]);
}

function checkLoneWildcard(errors: FieldError[], field: string, values: readonly string[], what: string): void {
  if (values.length > 1 && values.includes("*"))
    errors.push(invalidValue(field, values, `if '*' is present, must not specify other ${what}`));
}

/** Resources and subresources ("pods/log"), with wildcards in place of either, which have to stand alone. */
function validateRuleResources(errors: FieldError[], field: string, resources: readonly string[]): void {
  if (resources.length === 0) errors.push(required(field));
  const allOf = new Set<string>();
  const ofAll = new Set<string>();
  let endsPlain = false;
  for (const [i, resource] of resources.entries()) {
    const at = `${field}[${i}]`;
    if (resource === "") {
      errors.push(required(at));
      continue;
    }
    const slash = resource.indexOf("/");
    if (slash < 0) {
      // The last one without a subresource decides, as upstream has it.
      endsPlain = resource !== "*";
      continue;
    }
    const [main, subresource] = [resource.slice(0, slash), resource.slice(slash + 1)];
    if (allOf.has(main)) errors.push(invalidValue(at, resource, `if '${main}/*' is present, must not specify ${resource}`));
    if (ofAll.has(subresource)) errors.push(invalidValue(at, resource, `if '*/${subresource}' is present, must not specify ${resource}`));
    if (subresource === "*") allOf.add(main);
    if (main === "*") ofAll.add(subresource);
  }
  if (resources.length > 1 && resources.includes("*/*"))
    errors.push(invalidValue(field, resources, "if '*/*' is present, must not specify other resources"));
  if (resources.includes("*") && endsPlain)
    errors.push(invalidValue(field, resources, "if '*' is present, must not specify other resources without subresources"));
}

function validateClientConfig(errors: FieldError[], field: string, { url, service }: WebhookClientConfig): void {
  if ((url === undefined) === (service === undefined)) errors.push(required(field, "exactly one of url or service is required"));
  else if (url !== undefined) validateWebhookUrl(errors, `${field}.url`, url);
  else if (service) validateWebhookService(errors, `${field}.service`, service);
}

const urlPattern = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/(?:([^/?#]*)@)?([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;
const urlForm = "; desired format: https://host[/path]";

/** The URL that a webhook is called at: https, a host, and perhaps a path. */
export function validateWebhookUrl(errors: FieldError[], field: string, url: string): void {
  const problem = urlProblem(url);
  if (problem !== undefined) {
    errors.push(required(field, `url must be a valid URL: ${problem}${urlForm}`));
    return;
  }
  const [, scheme = "", user, host = "", , query = "", fragment = ""] = urlPattern.exec(url) ?? [];
  const refuse = (part: string, detail: string): void => {
    errors.push(invalidValue(field, part, detail));
  };
  if (scheme.toLowerCase() !== "https") refuse(scheme, `'https' is the only allowed URL scheme${urlForm}`);
  if (host === "") refuse(host, `host must be specified${urlForm}`);
  if (user !== undefined) refuse(user, "user information is not permitted in the URL");
  if (fragment !== "") refuse(fragment, "fragments are not permitted in the URL");
  if (query !== "") refuse(query, "query parameters are not permitted in the URL");
}

/** The service that a webhook is called at. Upstream reports a missing namespace as the name, and the other way round. */
export function validateWebhookService(errors: FieldError[], field: string, service: ServiceReference): void {
  const { name, namespace, path, port = 0 } = service;
  if (!namespace) errors.push(required(`${field}.name`));
  if (!name) errors.push(required(`${field}.namespace`));
  const problems = isPortNumber(port);
  if (problems.length > 0) errors.push(invalidValue(`${field}.port`, port, `port is not valid: ${problems.join(", ")}`));
  if (path) validateServicePath(errors, `${field}.path`, path);
}

function validateServicePath(errors: FieldError[], field: string, path: string): void {
  const refuse = (detail: string): void => {
    errors.push(invalidValue(field, path, detail));
  };
  if (path === "/") return;
  if (path === "//") {
    refuse("segment[0] may not be empty");
    return;
  }
  if (!path.startsWith("/")) refuse("must start with a '/'");
  for (const [i, segment] of path.slice(1).replace(/\/$/, "").split("/").entries()) {
    if (segment === "") refuse(`segment[${i}] may not be empty`);
    else for (const problem of isDNS1123Subdomain(segment)) refuse(`segment[${i}]: ${problem}`);
  }
}

/** `check` is asked about each expression that is there. */
export function validateMatchConditions(
  errors: FieldError[],
  field: string,
  conditions: readonly MatchCondition[],
  check?: (field: string, expression: string) => void,
): void {
  if (conditions.length > maxMatchConditions) errors.push(tooMany(field, conditions.length, maxMatchConditions));
  const names = new Set<string>();
  for (const [i, { name, expression = "" }] of conditions.entries()) {
    if (expression.trim() === "") errors.push(required(`${field}[${i}].expression`));
    else check?.(`${field}[${i}].expression`, expression.trim());
    checkName(errors, `${field}[${i}].name`, name, isQualifiedName);
    if (!name) continue;
    if (names.has(name)) errors.push(duplicate(`${field}[${i}].name`, name));
    names.add(name);
  }
}
