// Wires the tokens of OpenID issuers: by the --oidc-* flags, or by a configuration file that is followed as it changes.
// Loaded by servers that have issuers.
import { readFile } from "node:fs/promises";
import type { OidcSettings } from "../../apiserver/authentication-options.ts";
import { type AuthenticationConfig, configOfFlags, parseAuthenticationConfig } from "../../apiserver/authn/authentication-config.ts";
import type { AnonymousOptions } from "../../apiserver/authn/authentication-stage.ts";
import type { TokenAuthenticator } from "../../apiserver/authn/authenticator.ts";
import { forAudiences } from "../../apiserver/authn/bearer-token.ts";
import { cachedTokens } from "../../apiserver/authn/cached-tokens.ts";
import { algorithmNames } from "../../apiserver/authn/jwt.ts";
import { JwtAuthenticators } from "../../apiserver/authn/oidc/jwt-authenticators.ts";
import { type JwtRules, validateAuthenticationConfig } from "../../apiserver/authn/validate-authentication-config.ts";
import { celExpressions } from "../../apiserver/configuration/cel-expressions.ts";
import { describeErrors } from "../../apiserver/configuration/describe-errors.ts";
import { contentHash, createReloadMetrics } from "../../apiserver/configuration/reload-metrics.ts";
import { followFiles } from "../../base/followed-files.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { SourcesDeps } from "./authentication-sources.ts";

export interface JwtTokensOptions {
  /** Of the API server. */
  readonly audiences: readonly string[];
  /** Issuers that are not to be configured: those of service accounts. */
  readonly disallowedIssuers: readonly string[];
}

/** Tokens that were accepted are not looked at again for so long, as upstream does. */
const rememberedMs = 10_000;
/** Issuers of a changed file that have not been found for so long are a failure, again and again, and are waited for on. */
const updateTimeoutMs = 60_000;

export class JwtTokens implements TokenAuthenticator, Running {
  /** Where the configuration says something about requests without credentials. */
  readonly anonymous: AnonymousOptions | undefined;
  readonly #deps: SourcesDeps;
  readonly #options: JwtTokensOptions;
  readonly #authenticators: JwtAuthenticators;
  readonly #stack = new StopStack();
  #remembered: TokenAuthenticator;

  private constructor(config: AuthenticationConfig, algorithms: readonly string[], deps: SourcesDeps, options: JwtTokensOptions) {
    this.anonymous = config.anonymous;
    this.#deps = deps;
    this.#options = options;
    this.#authenticators = this.#stack.add(new JwtAuthenticators(rulesOf(config, options), deps, { algorithms }));
    this.#remembered = this.#forgetful();
  }

  /** Throws where the flags' values do not serve. `caPem`: what the file of --oidc-ca-file holds. */
  static byFlags(
    { settings, caPem }: { readonly settings: OidcSettings; readonly caPem: string | undefined },
    deps: SourcesDeps,
    options: JwtTokensOptions,
  ): JwtTokens {
    return new JwtTokens(configOfFlags(settings, caPem), settings.signingAlgs, deps, options);
  }

  /** Throws where the file cannot be read or its configuration does not serve; later that is logged. */
  static async byFile(path: string, deps: SourcesDeps, options: JwtTokensOptions): Promise<JwtTokens> {
    const contents = await readFile(path, "utf8");
    const tokens = new JwtTokens(await parseAuthenticationConfig(contents), [...algorithmNames].sort(), deps, options);
    tokens.#follow(path, contents);
    return tokens;
  }

  authenticateToken(token: string, audiences?: readonly string[]): ReturnType<TokenAuthenticator["authenticateToken"]> {
    return this.#remembered.authenticateToken(token, audiences);
  }

  stop(): Promise<void> {
    return this.#stack.stop();
  }

  /** Remembers anew: what was remembered before may have been said by issuers that are gone. */
  #forgetful(): TokenAuthenticator {
    const tokens = forAudiences(this.#options.audiences, this.#authenticators);
    return cachedTokens(tokens, this.#deps, { successTtlMs: rememberedMs, failureTtlMs: 0 });
  }

  #follow(path: string, contents: string): void {
    const { clock, logger, metrics } = this.#deps;
    const reloads = createReloadMetrics({ metrics, clock }, "authentication");
    reloads.started(contentHash(contents));
    const failed = (error: unknown): void => {
      reloads.failed();
      logger.error("Authentication configuration not reloaded, the old one stays", { file: path, error });
    };
    const take = async (rules: readonly JwtRules[], hash: string): Promise<void> => {
      const late = clock.every(updateTimeoutMs, () => failed(new Error(`its issuers are not found for ${updateTimeoutMs / 1000} s`)));
      try {
        if (!(await this.#authenticators.update(rules))) return;
      } finally {
        late.cancel();
      }
      this.#remembered = this.#forgetful();
      reloads.succeeded(hash);
      logger.info("Authentication configuration reloaded", { file: path });
    };
    const changed = async ([text = ""]: readonly string[]): Promise<void> => {
      const next = await parseAuthenticationConfig(text);
      if (JSON.stringify(next.anonymous) !== JSON.stringify(this.anonymous))
        throw new Error("anonymous: Forbidden: changed from initial configuration file");
      // Not waited for: until its issuers are found the file may change again.
      void take(rulesOf(next, this.#options), contentHash(text)).catch(failed);
    };
    this.#stack.add(followFiles([{ path, contents }], { clock, failed, changed }));
  }
}

function rulesOf(config: AuthenticationConfig, { disallowedIssuers }: JwtTokensOptions): readonly JwtRules[] {
  const { errors, rules } = validateAuthenticationConfig(config, { expressions: celExpressions, disallowedIssuers });
  if (errors.length > 0) throw new Error(`invalid authentication configuration: ${describeErrors(errors)}`);
  return rules;
}
