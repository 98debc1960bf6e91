// The file of --authorization-config (AuthorizationConfiguration): the chain of authorizers, of which webhooks may come
// several times, each with its own conditions. Defaults and messages are upstream's.
import { stat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { ConfigError, type ConfigFields, readConfigText } from "../../api/encode/config-fields.ts";
import { duplicate, type FieldError, invalidValue, notSupported, required, tooMany } from "../../api/meta/field-error.ts";
import { isDNS1123Subdomain } from "../../api/meta/names.ts";
import { parseDuration } from "../../base/duration.ts";
import { describeErrors } from "../configuration/describe-errors.ts";
import { type Expression, type ExpressionCompiler, ExpressionError } from "../configuration/expressions.ts";

export const authorizerTypes = ["Node", "RBAC", "ABAC", "Webhook", "AlwaysAllow", "AlwaysDeny"] as const;
export type AuthorizerType = (typeof authorizerTypes)[number];

export type AuthorizerConfig =
  | { readonly type: Exclude<AuthorizerType, "Webhook">; readonly name: string }
  | { readonly type: "Webhook"; readonly name: string; readonly webhook: WebhookConfig };

export interface WebhookConfig {
  readonly kubeconfigFile: string;
  readonly version: "v1" | "v1beta1";
  readonly timeoutMs: number;
  readonly failurePolicy: "NoOpinion" | "Deny";
  /** 0: not remembered. */
  readonly authorizedTtlMs: number;
  readonly unauthorizedTtlMs: number;
  readonly matchConditions: readonly Expression[];
}

export interface AuthorizationConfigOptions {
  readonly expressions: ExpressionCompiler;
  /** Types that have to be there: those the server was started with, webhooks aside. */
  readonly requiredTypes?: readonly AuthorizerType[];
}

const apiVersions = ["v1", "v1beta1", "v1alpha1"].map((version) => `apiserver.config.k8s.io/${version}`);
const maxConditions = 64;

/** Throws ConfigError with everything that is wrong. */
export async function parseAuthorizationConfig(text: string, options: AuthorizationConfigOptions): Promise<readonly AuthorizerConfig[]> {
  const root = await readConfigText(text, "AuthorizationConfiguration", apiVersions);
  const read = root.objects("authorizers").map(readAuthorizer);
  root.end();
  const errors: FieldError[] = [];
  if (read.length === 0) errors.push(required("authorizers", "at least one authorization mode must be defined"));
  const [types, names] = [new Set<string>(), new Set<string>()];
  const configs: AuthorizerConfig[] = [];
  for (const [i, authorizer] of read.entries()) {
    const config = await checkAuthorizer(authorizer, { path: `authorizers[${i}]`, types, names, errors, ...options });
    if (config) configs.push(config);
  }
  if (errors.length > 0) throw new ConfigError(describeErrors(errors));
  confirmNames(configs, options.requiredTypes ?? []);
  return configs;
}

/** Whether two configurations say the same, in whatever words. */
export function isSameChain(one: readonly AuthorizerConfig[], other: readonly AuthorizerConfig[]): boolean {
  return JSON.stringify(one) === JSON.stringify(other); // of expressions their texts: what evaluates them is no JSON
}

/** Authorizers that are no webhooks have fixed names, those that the flag's modes have. */
function confirmNames(configs: readonly AuthorizerConfig[], requiredTypes: readonly AuthorizerType[]): void {
  const problems = configs.flatMap(({ type, name }) => {
    const expected = type.toLowerCase();
    return type === "Webhook" || name === expected ? [] : [`expected name ${expected} for authorizer ${type} instead of ${name}`];
  });
  const missing = requiredTypes.filter((type) => type !== "Webhook" && !configs.some((config) => config.type === type));
  if (missing.length > 0) problems.push(`missing required types: [${[...missing].sort().join(" ")}]`);
  if (problems.length > 0) throw new ConfigError(problems.length === 1 ? (problems[0] ?? "") : `[${problems.join(", ")}]`);
}

interface ReadAuthorizer {
  readonly type: string;
  readonly name: string;
  readonly webhook: ReadWebhook | undefined;
}

interface ReadWebhook {
  readonly authorizedTtl: string;
  readonly cacheAuthorized: boolean;
  readonly unauthorizedTtl: string;
  readonly cacheUnauthorized: boolean;
  readonly timeout: string;
  readonly version: string;
  readonly conditionVersion: string;
  readonly failurePolicy: string;
  readonly connection: string;
  readonly kubeconfigFile: string | undefined;
  readonly conditions: readonly string[];
}

function readAuthorizer(fields: ConfigFields): ReadAuthorizer {
  const webhook = fields.object("webhook");
  const read = { type: fields.text("type") ?? "", name: fields.text("name") ?? "", webhook: webhook && readWebhook(webhook) };
  fields.end();
  return read;
}

function readWebhook(fields: ConfigFields): ReadWebhook {
  const connection = fields.object("connectionInfo");
  const read: ReadWebhook = {
    authorizedTtl: durationField(fields, "authorizedTTL") ?? "5m",
    cacheAuthorized: fields.boolean("cacheAuthorizedRequests") ?? true,
    unauthorizedTtl: durationField(fields, "unauthorizedTTL") ?? "30s",
    cacheUnauthorized: fields.boolean("cacheUnauthorizedRequests") ?? true,
    timeout: durationField(fields, "timeout") ?? "0s",
    version: fields.text("subjectAccessReviewVersion") ?? "",
    conditionVersion: fields.text("matchConditionSubjectAccessReviewVersion") ?? "",
    failurePolicy: fields.text("failurePolicy") ?? "",
    connection: connection?.text("type") ?? "",
    kubeconfigFile: connection?.text("kubeConfigFile"),
    conditions: fields.objects("matchConditions").map((condition) => {
      const expression = condition.text("expression") ?? "";
      condition.end();
      return expression;
    }),
  };
  connection?.end();
  fields.end();
  return read;
}

/** Undefined where it is not there, or zero, which means the default. */
function durationField(fields: ConfigFields, name: string): string | undefined {
  const text = fields.text(name);
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms === undefined) throw fields.problem(name, 'expected a duration such as "30s"');
  return ms === 0 ? undefined : text;
}

interface Checking extends AuthorizationConfigOptions {
  readonly path: string;
  readonly types: Set<string>;
  readonly names: Set<string>;
  readonly errors: FieldError[];
}

async function checkAuthorizer({ type: text, name, webhook }: ReadAuthorizer, checking: Checking): Promise<AuthorizerConfig | undefined> {
  const { path, types, names, errors } = checking;
  const type = authorizerTypes.find((t) => t === text);
  if (!type) {
    errors.push(text === "" ? required(`${path}.type`) : notSupported(`${path}.type`, text, [...authorizerTypes].sort()));
    return undefined;
  }
  if (types.has(type) && type !== "Webhook") {
    errors.push(duplicate(`${path}.type`, type));
    return undefined;
  }
  types.add(type);
  const problems = isDNS1123Subdomain(name);
  if (name === "") errors.push(required(`${path}.name`));
  else if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
  else if (problems.length > 0) errors.push(invalidValue(`${path}.name`, name, `authorizer name is invalid: ${problems.join(", ")}`));
  names.add(name);
  if (type !== "Webhook") {
    if (webhook) errors.push(invalidValue(`${path}.webhook`, "non-null", "may only be specified when type=Webhook"));
    return { type, name };
  }
  if (webhook) return { type, name, webhook: await checkWebhook(webhook, checking) };
  errors.push(required(`${path}.webhook`, "required when type=Webhook"));
  return undefined;
}

const maxTimeoutMs = 30_000;

/** What it gives is to be used where no errors were found. */
async function checkWebhook(read: ReadWebhook, { path, errors, expressions }: Checking): Promise<WebhookConfig> {
  const timeoutMs = parseDuration(read.timeout) ?? 0;
  if (timeoutMs === 0) errors.push(required(`${path}.timeout`));
  else if (timeoutMs > maxTimeoutMs || timeoutMs < 0) errors.push(invalidValue(`${path}.timeout`, read.timeout, "must be > 0s and <= 30s"));
  const ttlMs = (name: string, text: string): number => {
    const ms = parseDuration(text) ?? 0;
    if (ms < 0) errors.push(invalidValue(`${path}.${name}`, text, "must be > 0s"));
    return ms;
  };
  const authorizedTtlMs = ttlMs("authorizedTTL", read.authorizedTtl);
  const unauthorizedTtlMs = ttlMs("unauthorizedTTL", read.unauthorizedTtl);
  const version = oneOf(`${path}.subjectAccessReviewVersion`, read.version, ["v1", "v1beta1"], errors);
  if (read.conditionVersion === "" && read.conditions.length > 0)
    errors.push(required(`${path}.matchConditionSubjectAccessReviewVersion`, "required if match conditions are specified"));
  if (read.conditionVersion !== "") oneOf(`${path}.matchConditionSubjectAccessReviewVersion`, read.conditionVersion, ["v1"], errors);
  const failurePolicy = oneOf(`${path}.failurePolicy`, read.failurePolicy, ["NoOpinion", "Deny"], errors);
  const kubeconfigFile = await checkConnection(`${path}.connectionInfo`, read, errors);
  return {
    kubeconfigFile,
    version,
    timeoutMs,
    failurePolicy,
    authorizedTtlMs: read.cacheAuthorized ? authorizedTtlMs : 0,
    unauthorizedTtlMs: read.cacheUnauthorized ? unauthorizedTtlMs : 0,
    matchConditions: compileConditions(path, read.conditions, { expressions, errors }),
  };
}

function oneOf<const T extends string>(field: string, value: string, choices: readonly [T, ...T[]], errors: FieldError[]): T {
  const choice = choices.find((c) => c === value);
  if (choice === undefined) errors.push(value === "" ? required(field) : notSupported(field, value, choices));
  return choice ?? choices[0];
}

async function checkConnection(path: string, { connection, kubeconfigFile: file }: ReadWebhook, errors: FieldError[]): Promise<string> {
  const at = `${path}.kubeConfigFile`;
  if (connection === "") errors.push(required(`${path}.type`));
  else if (connection === "InClusterConfig") {
    if (file !== undefined) errors.push(invalidValue(at, file, "can only be set when type=KubeConfigFile"));
    else errors.push(invalidValue(`${path}.type`, connection, "this server takes kubeconfig files only"));
  } else if (connection !== "KubeConfigFile")
    errors.push(notSupported(`${path}.type`, { Type: connection, KubeConfigFile: file ?? null }, ["InClusterConfig", "KubeConfigFile"]));
  else if (!file) errors.push(required(at));
  else if (!isAbsolute(file)) errors.push(invalidValue(at, file, "must be an absolute path"));
  else {
    try {
      if (!(await stat(file)).isFile()) errors.push(invalidValue(at, file, "must be a regular file"));
    } catch (error) {
      const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
      const why = absent ? `stat ${file}: no such file or directory` : (error as Error).message;
      errors.push(invalidValue(at, file, `error loading file: ${why}`));
    }
  }
  return file ?? "";
}

function compileConditions(
  path: string,
  conditions: readonly string[],
  { expressions, errors }: { readonly expressions: ExpressionCompiler; readonly errors: FieldError[] },
): readonly Expression[] {
  if (conditions.length > maxConditions) {
    errors.push(tooMany(`${path}.matchConditions`, conditions.length, maxConditions));
    return [];
  }
  return conditions.flatMap((text, i) => {
    const at = `${path}.matchConditions[${i}].expression`;
    if (text.trim() === "") errors.push(required(at));
    else if (conditions.indexOf(text) < i) errors.push(duplicate(at, text));
    else {
      try {
        return [expressions.compile(text, { variable: "request", result: "bool" })];
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        errors.push(error.fieldError(at, text));
      }
    }
    return [];
  });
}
