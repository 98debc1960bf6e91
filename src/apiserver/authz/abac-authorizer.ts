// Attribute-based access control: a file with one policy in JSON on each line; a request is allowed when one of them
// matches. Lines of version v1beta1 say what they match; lines without a version (v0) match more where they say nothing.
import type { UserInfo } from "../authn/user.ts";
import type { AuthorizationAttributes, Authorizer } from "./authorizer.ts";

interface Policy {
  readonly user: string;
  readonly group: string;
  readonly readonly: boolean;
  readonly apiGroup: string;
  readonly resource: string;
  readonly namespace: string;
  readonly nonResourcePath: string;
}

const allAuthenticated = "system:authenticated";
const readVerbs = ["get", "list", "watch"];

/** Throws with the line and what is wrong with it. */
export function createAbacAuthorizer(text: string, path: string): Authorizer {
  const policies = text.split(/\r?\n/).flatMap((line, i) => {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return [];
    try {
      return [readPolicy(JSON.parse(trimmed))];
    } catch (error) {
      throw new Error(`error reading policy file ${path}, line ${i + 1}: ${line}: ${(error as Error).message}`);
    }
  });
  return {
    authorize(attributes) {
      return policies.some((policy) => matches(policy, attributes))
        ? { decision: "allow", reason: "" }
        : { decision: "no-opinion", reason: "No policy matched." };
    },
    async rulesFor(user, namespace) {
      const applying = policies.filter((p) => subjectMatches(p, user) && (p.namespace === "*" || p.namespace === namespace));
      const verbsOf = (policy: Policy): readonly string[] => (policy.readonly ? readVerbs : ["*"]);
      return {
        resourceRules: applying
          .filter((p) => p.resource !== "")
          .map((p) => ({ verbs: verbsOf(p), apiGroups: [p.apiGroup], resources: [p.resource] })),
        nonResourceRules: applying
          .filter((p) => p.nonResourcePath !== "")
          .map((p) => ({ verbs: verbsOf(p), nonResourceURLs: [p.nonResourcePath] })),
        incomplete: false,
      };
    },
  };
}

type Fields = Readonly<Record<string, unknown>>;

function readPolicy(value: unknown): Policy {
  const fields = objectOf(value, "policy");
  const { apiVersion = "", kind = "", spec } = fields;
  if (apiVersion === "" && (kind === "" || kind === "Policy")) return unversioned(readSpec(fields));
  // What is neither form must not be taken for the older one, in which what is not said matches everything.
  if (apiVersion !== "abac.authorization.kubernetes.io/v1beta1" || kind !== "Policy")
    throw new Error(
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/apis/abac/register.go:33"`,
    );
  const policy = readSpec(objectOf(spec ?? {}, "spec"));
  return policy.user === "*" || policy.group === "*" ? { ...policy, user: "", group: allAuthenticated } : policy;
}

/** What v0 leaves out matches everything, for everybody who has been authenticated. */
function unversioned({ user, group, namespace, resource, readonly }: Policy): Policy {
  const everybody = (user === "" && group === "") || user === "*" || group === "*";
  return {
    user: user === "*" || group === "*" ? "" : user,
    group: everybody ? allAuthenticated : group,
    readonly,
    apiGroup: "*",
    resource: resource || "*",
    namespace: namespace || "*",
    nonResourcePath: namespace === "" && resource === "" ? "*" : "",
  };
}

function readSpec(fields: Fields): Policy {
  const text = (name: string): string => {
    const value = fields[name] ?? "";
    if (typeof value !== "string") throw new Error(`${name}: expected a string`);
    return value;
  };
  const readonly = fields.readonly ?? false;
  if (typeof readonly !== "boolean") throw new Error("readonly: expected true or false");
  return {
    user: text("user"),
    group: text("group"),
    readonly,
    apiGroup: text("apiGroup"),
    resource: text("resource"),
    namespace: text("namespace"),
    nonResourcePath: text("nonResourcePath"),
  };
}

function objectOf(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${what}: expected an object`);
  return value as Fields;
}

function matches(policy: Policy, attributes: AuthorizationAttributes): boolean {
  if (!subjectMatches(policy, attributes.user)) return false;
  if (policy.readonly && !readVerbs.includes(attributes.verb)) return false;
  return attributes.isResourceRequest ? resourceMatches(policy, attributes) : pathMatches(policy.nonResourcePath, attributes.path);
}

/** A policy with both a user and a group asks for both; one with neither matches nobody. */
function subjectMatches({ user, group }: Policy, { name, groups }: UserInfo): boolean {
  if (user === "" && group === "") return false;
  return (user === "" || user === "*" || user === name) && (group === "" || group === "*" || groups.includes(group));
}

const oneOrAll = (pattern: string, value: string): boolean => pattern === "*" || pattern === value;

const resourceMatches = ({ namespace, resource, apiGroup }: Policy, attributes: AuthorizationAttributes): boolean =>
  oneOrAll(namespace, attributes.namespace) && oneOrAll(resource, attributes.resource) && oneOrAll(apiGroup, attributes.apiGroup);

function withoutStars(pattern: string): string {
  let end = pattern.length;
  while (pattern[end - 1] === "*") end--;
  return pattern.slice(0, end);
}

const pathMatches = (pattern: string, path: string): boolean =>
  oneOrAll(pattern, path) || (pattern.endsWith("*") && path.startsWith(withoutStars(pattern)));
