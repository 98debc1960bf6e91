// Checks an AuthenticationConfiguration, with upstream's messages, and compiles its expressions: what comes out is how the
// tokens of each issuer are to be judged.
import { duplicate, type FieldError, invalidValue, required, tooMany } from "../../api/meta/field-error.ts";
import { checkDomainPrefixedPath } from "../../api/validation/domain-prefixed-path.ts";
import {
  type Expression,
  type ExpressionCompiler,
  ExpressionError,
  type ExpressionResult,
  type ExpressionVariable,
} from "../configuration/expressions.ts";
import type { AuthenticationConfig, ClaimMappings, IssuerConfig, JwtConfig, PrefixedClaimOrExpression } from "./authentication-config.ts";
import { AuthorityBundle } from "./client-authorities.ts";

/** Where a part of a user comes from. */
export type ClaimSource = { readonly claim: string; readonly prefix: string } | { readonly expression: Expression };

export interface CompiledRule {
  readonly expression: Expression;
  /** Its source, for messages. */
  readonly text: string;
  readonly message: string;
}

/** How the tokens of one issuer are judged. */
export interface JwtRules {
  readonly issuer: IssuerConfig;
  readonly username: ClaimSource;
  readonly groups?: ClaimSource;
  readonly uid?: ClaimSource;
  readonly extra: readonly { readonly key: string; readonly expression: Expression; readonly text: string }[];
  /** Claims with the values they must have. */
  readonly requiredClaims: readonly (readonly [string, string])[];
  readonly claimRules: readonly CompiledRule[];
  readonly userRules: readonly CompiledRule[];
}

export interface ValidationOptions {
  readonly expressions: ExpressionCompiler;
  /** Issuers that are not to be configured: those of service accounts. */
  readonly disallowedIssuers: readonly string[];
}

export interface ValidatedConfig {
  readonly errors: readonly FieldError[];
  /** To be used where there are no errors. */
  readonly rules: readonly JwtRules[];
}

const maxIssuers = 64;

export function validateAuthenticationConfig(config: AuthenticationConfig, options: ValidationOptions): ValidatedConfig {
  if (config.jwt.length > maxIssuers) return { errors: [tooMany("jwt", config.jwt.length, maxIssuers)], rules: [] };
  const errors: FieldError[] = [];
  const rules = config.jwt.map((jwt, i) => new JwtValidation(`jwt[${i}]`, jwt, options, errors).run());
  errors.push(...duplicateIssuers(config.jwt));
  const { anonymous } = config;
  if (anonymous && !anonymous.enabled && anonymous.paths.length > 0) {
    const conditions = anonymous.paths.map((path) => ({ Path: path }));
    errors.push(invalidValue("anonymous.conditions", conditions, "enabled should be set to true when conditions are defined"));
  }
  return { errors, rules };
}

function duplicateIssuers(jwt: readonly JwtConfig[]): readonly FieldError[] {
  const errors: FieldError[] = [];
  const [urls, discoveryUrls] = [new Set<string>(), new Set<string>()];
  for (const [i, { issuer }] of jwt.entries()) {
    if (urls.has(issuer.url)) errors.push(duplicate(`jwt[${i}].issuer.url`, issuer.url));
    urls.add(issuer.url);
    if (issuer.discoveryUrl === "") continue;
    if (discoveryUrls.has(issuer.discoveryUrl)) errors.push(duplicate(`jwt[${i}].issuer.discoveryURL`, issuer.discoveryUrl));
    discoveryUrls.add(issuer.discoveryUrl);
  }
  return errors;
}

class JwtValidation {
  readonly #path: string;
  readonly #config: JwtConfig;
  readonly #options: ValidationOptions;
  readonly #errors: FieldError[];
  #usesEmail = false;
  #usesEmailVerified = false;

  constructor(path: string, config: JwtConfig, options: ValidationOptions, errors: FieldError[]) {
    this.#path = path;
    this.#config = config;
    this.#options = options;
    this.#errors = errors;
  }

  run(): JwtRules {
    const { issuer, claimMappings } = this.#config;
    this.#errors.push(...validateIssuer(`${this.#path}.issuer`, issuer, this.#options.disallowedIssuers));
    const [requiredClaims, claimRules] = [this.#requiredClaims(), this.#claimRules()];
    const mappings = this.#mappings(claimMappings);
    const userRules = this.#userRules();
    return { issuer, ...mappings, requiredClaims, claimRules, userRules };
  }

  #requiredClaims(): readonly (readonly [string, string])[] {
    return this.#config.claimValidationRules.filter((r) => r.claim !== "").map((r) => [r.claim, r.requiredValue] as const);
  }

  #claimRules(): readonly CompiledRule[] {
    const [claims, expressions] = [new Set<string>(), new Set<string>()];
    const compiled: CompiledRule[] = [];
    for (const [i, { claim, requiredValue, expression: text, message }] of this.#config.claimValidationRules.entries()) {
      const path = `${this.#path}.claimValidationRules[${i}]`;
      if (claim !== "" && text !== "") this.#errors.push(invalidValue(path, claim, "claim and expression can't both be set"));
      else if (claim === "" && text === "") this.#errors.push(required(path, "claim or expression is required"));
      else if (claim !== "") {
        if (message !== "") this.#errors.push(invalidValue(`${path}.message`, message, "may not be specified when claim is set"));
        if (claims.has(claim)) this.#errors.push(duplicate(`${path}.claim`, claim));
        claims.add(claim);
      } else {
        if (requiredValue !== "")
          this.#errors.push(invalidValue(`${path}.requiredValue`, requiredValue, "may not be specified when expression is set"));
        const expression = this.#compileOnce(`${path}.expression`, text, { seen: expressions, variable: "claims", result: "bool" });
        if (!expression) continue;
        this.#usesEmailVerified ||= expression.reads("email_verified");
        compiled.push({ expression, text, message });
      }
    }
    return compiled;
  }

  #userRules(): readonly CompiledRule[] {
    const seen = new Set<string>();
    return this.#config.userValidationRules.flatMap(({ expression: text, message }, i) => {
      const path = `${this.#path}.userValidationRules[${i}].expression`;
      if (text === "") this.#errors.push(required(path));
      const expression = text === "" ? undefined : this.#compileOnce(path, text, { seen, variable: "user", result: "bool" });
      return expression ? [{ expression, text, message }] : [];
    });
  }

  #mappings({ username, groups, uid, extra }: ClaimMappings): Pick<JwtRules, "username" | "groups" | "uid" | "extra"> {
    const path = `${this.#path}.claimMappings`;
    const before = this.#errors.length;
    const name = this.#source(`${path}.username`, username, { isRequired: true, result: "string" });
    // Of a name that is wrong anyway upstream does not ask what it reads.
    if (name && "expression" in name && this.#errors.length === before) {
      this.#usesEmail = name.expression.reads("email");
      this.#usesEmailVerified ||= name.expression.reads("email_verified");
    }
    const groupSource = this.#source(`${path}.groups`, groups, { isRequired: false, result: "string or list" });
    const uidSource = this.#source(
      `${path}.uid`,
      { ...uid, prefix: uid.claim === "" ? undefined : "" },
      { isRequired: false, result: "string" },
    );
    const extraRules = this.#extra(`${path}.extra`, extra);
    if (this.#usesEmail && !this.#usesEmailVerified)
      this.#errors.push(invalidValue(`${path}.username.expression`, username.expression, emailUnverified));
    return {
      username: name ?? { claim: "", prefix: "" },
      ...(groupSource ? { groups: groupSource } : {}),
      ...(uidSource ? { uid: uidSource } : {}),
      extra: extraRules,
    };
  }

  #source(
    path: string,
    { claim, expression: text, prefix }: PrefixedClaimOrExpression,
    { isRequired, result }: { readonly isRequired: boolean; readonly result: ExpressionResult },
  ): ClaimSource | undefined {
    if (claim !== "" && text !== "") this.#errors.push(invalidValue(path, "", "claim and expression can't both be set"));
    else if (claim !== "") {
      if (prefix === undefined)
        this.#errors.push(
          required(`${path}.prefix`, "prefix is required when claim is set. It can be set to an empty string to disable prefixing"),
        );
      return { claim, prefix: prefix ?? "" };
    } else if (text !== "") {
      if (prefix !== undefined) this.#errors.push(invalidValue(`${path}.prefix`, prefix, "may not be specified when expression is set"));
      const expression = this.#compile(`${path}.expression`, text, { variable: "claims", result });
      return expression && { expression };
    } else if (isRequired) this.#errors.push(required(path, "claim or expression is required"));
    return undefined;
  }

  #extra(path: string, mappings: ClaimMappings["extra"]): JwtRules["extra"] {
    const keys = new Set<string>();
    return mappings.flatMap(({ key, valueExpression: text }, i) => {
      const at = `${path}[${i}]`;
      this.#errors.push(...checkDomainPrefixedPath(`${at}.key`, key));
      if (key !== key.toLowerCase()) this.#errors.push(invalidValue(`${at}.key`, key, "must be lowercase"));
      if (/^([^/]*\.)?(kubernetes|k8s)\.io\//.test(key))
        this.#errors.push(invalidValue(`${at}.key`, key, "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"));
      const isRepeated = keys.has(key);
      keys.add(key);
      if (isRepeated) this.#errors.push(duplicate(`${at}.key`, key));
      else if (text === "") this.#errors.push(required(`${at}.valueExpression`));
      if (isRepeated || text === "") return [];
      const expression = this.#compile(`${at}.valueExpression`, text, { variable: "claims", result: "string or list" });
      if (!expression) return [];
      this.#usesEmailVerified ||= expression.reads("email_verified");
      return [{ key, expression, text }];
    });
  }

  #compileOnce(
    path: string,
    text: string,
    { seen, ...about }: { readonly seen: Set<string>; readonly variable: ExpressionVariable; readonly result: ExpressionResult },
  ): Expression | undefined {
    if (seen.has(text)) {
      this.#errors.push(duplicate(path, text));
      return undefined;
    }
    seen.add(text);
    return this.#compile(path, text, about);
  }

  #compile(
    path: string,
    text: string,
    about: { readonly variable: ExpressionVariable; readonly result: ExpressionResult },
  ): Expression | undefined {
    try {
      return this.#options.expressions.compile(text, about);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.#errors.push(error.fieldError(path, text));
      return undefined;
    }
  }
}

const emailUnverified =
  "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression";

function validateIssuer(path: string, issuer: IssuerConfig, disallowed: readonly string[]): readonly FieldError[] {
  const { url, discoveryUrl, audiences, audienceMatchPolicy: policy, certificateAuthority, egressSelectorType } = issuer;
  const errors: FieldError[] = url === "" ? [required(`${path}.url`)] : [...validateUrl(`${path}.url`, url, disallowed)];
  if (discoveryUrl !== "") {
    const at = `${path}.discoveryURL`;
    const trimmed = (text: string): string => {
      let end = text.length;
      while (text[end - 1] === "/") end--;
      return text.slice(0, end);
    };
    if (url !== "" && trimmed(url) === trimmed(discoveryUrl))
      errors.push(invalidValue(at, discoveryUrl, "discoveryURL must be different from URL"));
    errors.push(...validateUrl(at, discoveryUrl, []));
  }
  errors.push(...validateAudiences(path, audiences, policy));
  if (certificateAuthority !== "") {
    try {
      new AuthorityBundle(certificateAuthority);
    } catch (error) {
      errors.push(invalidValue(`${path}.certificateAuthority`, "<omitted>", error instanceof Error ? error.message : String(error)));
    }
  }
  if (egressSelectorType !== "" && egressSelectorType !== "controlplane" && egressSelectorType !== "cluster")
    errors.push(invalidValue(`${path}.egressSelectorType`, egressSelectorType, "egress selector must be either controlplane or cluster"));
  else if (egressSelectorType !== "")
    errors.push(invalidValue(`${path}.egressSelectorType`, egressSelectorType, "this server has no egress selectors"));
  return errors;
}

function validateUrl(path: string, text: string, disallowed: readonly string[]): readonly FieldError[] {
  const errors: FieldError[] = [];
  const refuse = (detail: string): void => void errors.push(invalidValue(path, text, detail));
  if (disallowed.includes(text)) refuse(`URL must not overlap with disallowed issuers: [${[...disallowed].sort().join(" ")}]`);
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(text)?.[0].toLowerCase();
  if (scheme === undefined ? /[\s]/.test(text) : !URL.canParse(text)) {
    refuse(`parse ${JSON.stringify(text)}: invalid URL`);
    return errors;
  }
  if (scheme !== "https:") refuse("URL scheme must be https");
  if (/^[^/?#]*\/\/[^/?#]*@/.test(text)) refuse("URL must not contain a username or password");
  if (/\?[^#]/.test(text)) refuse("URL must not contain a query");
  if (/#./.test(text)) refuse("URL must not contain a fragment");
  return errors;
}

function validateAudiences(path: string, audiences: readonly string[], policy: string): readonly FieldError[] {
  const at = `${path}.audiences`;
  if (audiences.length === 0) return [required(at, `at least one ${at} is required`)];
  const errors: FieldError[] = [];
  for (const [i, audience] of audiences.entries()) {
    if (audience === "") errors.push(required(`${at}[${i}]`));
    if (audiences.indexOf(audience) < i) errors.push(duplicate(`${at}[${i}]`, audience));
  }
  if (audiences.length > 1 && policy !== "MatchAny")
    errors.push(invalidValue(`${path}.audienceMatchPolicy`, policy, "audienceMatchPolicy must be MatchAny for multiple audiences"));
  if (audiences.length === 1 && policy !== "" && policy !== "MatchAny")
    errors.push(invalidValue(`${path}.audienceMatchPolicy`, policy, "audienceMatchPolicy must be empty or MatchAny for single audience"));
  return errors;
}
