// The file of --authentication-config (AuthenticationConfiguration): issuers of JSON Web Tokens with the rules by which their
// claims become users, and which paths may be asked for without credentials.

import { ConfigFields, readConfigText } from "../../api/encode/config-fields.ts";
import type { OidcSettings } from "../authentication-options.ts";

export interface AuthenticationConfig {
  readonly jwt: readonly JwtConfig[];
  readonly anonymous?: AnonymousConfig;
}

export interface AnonymousConfig {
  readonly enabled: boolean;
  /** Paths that may be asked for anonymously; none: all. */
  readonly paths: readonly string[];
}

export interface JwtConfig {
  readonly issuer: IssuerConfig;
  readonly claimValidationRules: readonly ClaimValidationRule[];
  readonly claimMappings: ClaimMappings;
  readonly userValidationRules: readonly ValidationRule[];
}

export interface IssuerConfig {
  readonly url: string;
  /** Where the discovery document is fetched instead of below the URL. */
  readonly discoveryUrl: string;
  /** PEM. */
  readonly certificateAuthority: string;
  readonly audiences: readonly string[];
  readonly audienceMatchPolicy: string;
  readonly egressSelectorType: string;
}

export interface ValidationRule {
  readonly expression: string;
  readonly message: string;
}

export interface ClaimValidationRule extends ValidationRule {
  readonly claim: string;
  readonly requiredValue: string;
}

export interface ClaimOrExpression {
  readonly claim: string;
  readonly expression: string;
}

export interface PrefixedClaimOrExpression extends ClaimOrExpression {
  /** Undefined where it was not given: with a claim it has to be. */
  readonly prefix: string | undefined;
}

export interface ClaimMappings {
  readonly username: PrefixedClaimOrExpression;
  readonly groups: PrefixedClaimOrExpression;
  readonly uid: ClaimOrExpression;
  readonly extra: readonly { readonly key: string; readonly valueExpression: string }[];
}

const apiVersions = ["v1", "v1beta1", "v1alpha1"].map((version) => `apiserver.config.k8s.io/${version}`);

/** Throws ConfigError for what is not of the kind's form; what it means is checked by validateAuthenticationConfig. */
export async function parseAuthenticationConfig(text: string): Promise<AuthenticationConfig> {
  const root = await readConfigText(text, "AuthenticationConfiguration", apiVersions);
  const anonymous = root.object("anonymous");
  const config: AuthenticationConfig = {
    jwt: root.objects("jwt").map(readJwt),
    ...(anonymous ? { anonymous: readAnonymous(anonymous) } : {}),
  };
  root.end();
  return config;
}

function readAnonymous(fields: ConfigFields): AnonymousConfig {
  const paths = fields.objects("conditions").map((condition) => {
    const path = condition.text("path") ?? "";
    condition.end();
    return path;
  });
  const enabled = fields.boolean("enabled") ?? false;
  fields.end();
  return { enabled, paths };
}

function readJwt(fields: ConfigFields): JwtConfig {
  const issuer = section(
    fields,
    "issuer",
    (f): IssuerConfig => ({
      url: f.text("url") ?? "",
      discoveryUrl: f.text("discoveryURL") ?? "",
      certificateAuthority: f.text("certificateAuthority") ?? "",
      audiences: f.texts("audiences"),
      audienceMatchPolicy: f.text("audienceMatchPolicy") ?? "",
      egressSelectorType: f.text("egressSelectorType") ?? "",
    }),
  );
  const claimMappings = section(
    fields,
    "claimMappings",
    (f): ClaimMappings => ({
      username: section(f, "username", prefixed),
      groups: section(f, "groups", prefixed),
      uid: section(f, "uid", claimOrExpression),
      extra: f.objects("extra").map((extra) => {
        const mapping = { key: extra.text("key") ?? "", valueExpression: extra.text("valueExpression") ?? "" };
        extra.end();
        return mapping;
      }),
    }),
  );
  const claimValidationRules = fields.objects("claimValidationRules").map((rule) => {
    const read = { ...readRule(rule), claim: rule.text("claim") ?? "", requiredValue: rule.text("requiredValue") ?? "" };
    rule.end();
    return read;
  });
  const userValidationRules = fields.objects("userValidationRules").map((rule) => {
    const read = readRule(rule);
    rule.end();
    return read;
  });
  fields.end();
  return { issuer, claimMappings, claimValidationRules, userValidationRules };
}

const noFields = new ConfigFields({}, "");

/** Reads an object field, which may be absent, and complains about what nobody has asked for. */
function section<T>(fields: ConfigFields, name: string, read: (fields: ConfigFields) => T): T {
  const found = fields.object(name) ?? noFields;
  const value = read(found);
  found.end();
  return value;
}

const readRule = (fields: ConfigFields): ValidationRule => ({
  expression: fields.text("expression") ?? "",
  message: fields.text("message") ?? "",
});

const claimOrExpression = (fields: ConfigFields): ClaimOrExpression => ({
  claim: fields.text("claim") ?? "",
  expression: fields.text("expression") ?? "",
});

const prefixed = (fields: ConfigFields): PrefixedClaimOrExpression => ({ ...claimOrExpression(fields), prefix: fields.text("prefix") });

/** What the --oidc-* flags say, as configuration. `caPem`: what the file of --oidc-ca-file holds. */
export function configOfFlags(settings: OidcSettings, caPem: string | undefined): AuthenticationConfig {
  const { issuerUrl, clientId, usernameClaim, usernamePrefix, groupsClaim, groupsPrefix, requiredClaims } = settings;
  const byDefault = usernamePrefix === "" && usernameClaim !== "email" ? `${issuerUrl}#` : usernamePrefix;
  return {
    jwt: [
      {
        issuer: {
          url: issuerUrl,
          discoveryUrl: "",
          certificateAuthority: caPem ?? "",
          audiences: [clientId],
          audienceMatchPolicy: "",
          egressSelectorType: "",
        },
        claimMappings: {
          username: { claim: usernameClaim, expression: "", prefix: usernamePrefix === "-" ? "" : byDefault },
          groups: { claim: groupsClaim, expression: "", prefix: groupsClaim === "" ? undefined : groupsPrefix },
          uid: { claim: "", expression: "" },
          extra: [],
        },
        claimValidationRules: Object.entries(requiredClaims).map(([claim, requiredValue]) => ({
          claim,
          requiredValue,
          expression: "",
          message: "",
        })),
        userValidationRules: [],
      },
    ],
  };
}
