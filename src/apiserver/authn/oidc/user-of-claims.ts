// Who a token's claims say it is: the mappings and rules of one issuer, applied. Throws with upstream's texts where the
// claims do not give a user, or a rule is not kept.
import type { Expression } from "../../configuration/expressions.ts";
import { cannotDecode } from "../json-mismatch.ts";
import type { UserInfo } from "../user.ts";
import type { ClaimSource, CompiledRule, JwtRules } from "../validate-authentication-config.ts";
import type { Claims } from "./id-token.ts";

export function userOfClaims(claims: Claims, rules: JwtRules): UserInfo {
  const user: UserInfo = {
    name: usernameOf(claims, rules.username),
    groups: rules.groups ? groupsOf(claims, rules.groups) : [],
    ...uidOf(claims, rules.uid),
    ...extraOf(claims, rules.extra),
  };
  for (const [claim, value] of rules.requiredClaims) {
    if (!Object.hasOwn(claims, claim)) throw new Error(`oidc: required claim ${claim} not present in ID token`);
    const found = within(`oidc: parse claim ${claim}`, () => textClaim(claims, claim));
    if (found !== value) throw new Error(`oidc: required claim ${claim} value does not match. Got = ${found}, want = ${value}`);
  }
  within("oidc: error evaluating claim validation expression", () => checkRules(rules.claimRules, claims));
  const { name: username, uid = "", groups, extra = {} } = user;
  within("oidc: error evaluating user info validation rule", () => checkRules(rules.userRules, { username, uid, groups, extra }));
  return user;
}

function usernameOf(claims: Claims, source: ClaimSource): string {
  if ("expression" in source) {
    const name = within("oidc: error evaluating username claim expression", () => textOf(source.expression, claims, "username"));
    if (name === "") throw new Error("oidc: empty username via CEL expression is not allowed");
    return name;
  }
  const name = within(`oidc: parse username claims ${JSON.stringify(source.claim)}`, () => textClaim(claims, source.claim));
  if (source.claim === "email" && Object.hasOwn(claims, "email_verified")) {
    const verified = claims.email_verified ?? false;
    if (typeof verified !== "boolean") throw new Error(`oidc: parse 'email_verified' claim: ${cannotDecode(verified, "bool")}`);
    if (!verified) throw new Error("oidc: email not verified");
  }
  return `${source.prefix}${name}`;
}

function groupsOf(claims: Claims, source: ClaimSource): readonly string[] {
  if ("expression" in source)
    return within("oidc: error evaluating group claim expression", () => textsOf(source.expression.evaluate(claims)));
  const value = claims[source.claim];
  if (!Object.hasOwn(claims, source.claim) || value === null) return [];
  const groups = Array.isArray(value) ? value : [value];
  const wrong = groups.find((group) => typeof group !== "string" && group !== null);
  if (wrong !== undefined)
    throw new Error(
      `oidc: parse groups claim ${JSON.stringify(source.claim)}: ${cannotDecode(Array.isArray(value) ? value : wrong, "string")}`,
    );
  return groups.map((group) => `${source.prefix}${group ?? ""}`);
}

function uidOf(claims: Claims, source: ClaimSource | undefined): Pick<UserInfo, "uid"> {
  if (!source) return {};
  const uid =
    "expression" in source
      ? within("oidc: error evaluating uid claim expression", () => textOf(source.expression, claims, "uid"))
      : within(`oidc: parse uid claim ${JSON.stringify(source.claim)}`, () => textClaim(claims, source.claim));
  return uid === "" ? {} : { uid };
}

function extraOf(claims: Claims, mappings: JwtRules["extra"]): Pick<UserInfo, "extra"> {
  const extra: Record<string, readonly string[]> = {};
  if (typeof claims.jti === "string" && claims.jti !== "") extra["authentication.kubernetes.io/credential-id"] = [`JTI=${claims.jti}`];
  for (const { key, expression, text } of mappings) {
    const value = expression.evaluate(claims);
    const values = within(`oidc: error evaluating extra claim expression: ${text}`, () => textsOf(value));
    if (values.length > 0) extra[key] = values;
  }
  return Object.keys(extra).length > 0 ? { extra } : {};
}

function checkRules(rules: readonly CompiledRule[], value: object): void {
  for (const { expression, text, message } of rules) {
    const kept = expression.evaluate(value);
    if (typeof kept !== "boolean") throw new Error("validation expression must return a boolean");
    if (!kept) throw new Error(`validation expression '${text}' failed: ${message}`);
  }
}

function textOf(expression: Expression, claims: Claims, what: string): string {
  const value = expression.evaluate(claims);
  if (typeof value !== "string") throw new Error(`${what} claim expression must return a string`);
  return value;
}

/** Nothing, a text, or a list of texts; empty texts do not count. */
function textsOf(value: unknown): readonly string[] {
  if (value === null || value === undefined) return [];
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!values.every((v) => typeof v === "string")) throw new Error("expression must return a string or a list of strings");
  return values.filter((v) => v !== "");
}

function textClaim(claims: Claims, name: string): string {
  if (!Object.hasOwn(claims, name)) throw new Error("claim not present");
  const value = claims[name];
  if (value === null) return "";
  if (typeof value !== "string") throw new Error(cannotDecode(value, "string"));
  return value;
}

function within<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new Error(`${doing}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
