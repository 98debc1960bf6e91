// Authenticates JSON Web Tokens of configured issuers (OpenID Connect). The configuration may be replaced: the new issuers take
// over when all of them have been found, so that a mistake in it locks nobody out.
import type { Clock } from "../../../base/clock.ts";
import type { Running } from "../../../base/lifecycle.ts";
import type { Logger } from "../../../base/log.ts";
import type { MetricsRegistry } from "../../../base/metrics.ts";
import type { Authentication, TokenAuthenticator } from "../authenticator.ts";
import { decodeJwt } from "../jwt.ts";
import type { JwtRules } from "../validate-authentication-config.ts";
import { type ClaimResolver, createClaimResolver } from "./distributed-claims.ts";
import { createHttpsGet } from "./https-get.ts";
import type { Claims } from "./id-token.ts";
import { createJwtMetrics, type IssuerFigures, type JwtMetrics, type Outcome } from "./jwt-metrics.ts";
import { OidcProvider } from "./provider.ts";
import { userOfClaims } from "./user-of-claims.ts";

export interface JwtAuthenticatorsDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

export interface JwtAuthenticatorsOptions {
  /** Algorithms that tokens may be signed with. */
  readonly algorithms: readonly string[];
}

export class JwtAuthenticators implements TokenAuthenticator, Running {
  readonly #deps: IssuerSetDeps;
  readonly #options: JwtAuthenticatorsOptions;
  #current: IssuerSet;
  #next: IssuerSet | undefined;

  constructor(rules: readonly JwtRules[], { metrics, clock, logger }: JwtAuthenticatorsDeps, options: JwtAuthenticatorsOptions) {
    this.#deps = { clock, logger, figures: createJwtMetrics(metrics, clock) };
    this.#options = options;
    this.#current = new IssuerSet(rules, this.#deps, options);
  }

  /** Takes over other issuers when they have all been found. False where a later update, or the end, has come before. */
  async update(rules: readonly JwtRules[]): Promise<boolean> {
    await this.#next?.stop();
    const next = new IssuerSet(rules, this.#deps, this.#options);
    this.#next = next;
    if (!(await next.found()) || this.#next !== next) return false;
    const previous = this.#current;
    this.#current = next;
    this.#next = undefined;
    await previous.stop();
    for (const url of previous.urls) if (!next.urls.includes(url)) this.#deps.figures.forget(url);
    return true;
  }

  authenticateToken(token: string): Promise<Authentication | undefined> {
    return this.#current.authenticate(token);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#current.stop(), this.#next?.stop()]);
  }
}

interface IssuerSetDeps extends Omit<JwtAuthenticatorsDeps, "metrics"> {
  readonly figures: JwtMetrics;
}

interface Issuer {
  readonly provider: OidcProvider;
  readonly figures: IssuerFigures;
  readonly resolver: ClaimResolver | undefined;
  readonly rules: JwtRules;
}

const googleIssuer = "https://accounts.google.com";

/** The issuers of one state of the configuration. */
class IssuerSet implements Running {
  readonly #issuers = new Map<string, Issuer>();
  readonly #clock: Clock;
  #stopped = false;

  constructor(all: readonly JwtRules[], { clock, logger, figures: jwtMetrics }: IssuerSetDeps, { algorithms }: JwtAuthenticatorsOptions) {
    this.#clock = clock;
    for (const rules of all) {
      const { url, discoveryUrl, audiences, certificateAuthority } = rules.issuer;
      const deps = { get: createHttpsGet({ clock, caPem: certificateAuthority }), clock, logger };
      const { groups } = rules;
      const figures = jwtMetrics.of(url);
      this.#issuers.set(url, {
        provider: new OidcProvider({ url, discoveryUrl, audiences, algorithms }, { ...deps, figures }),
        figures,
        resolver: groups && "claim" in groups ? createClaimResolver(groups.claim, { audiences, algorithms }, deps) : undefined,
        rules,
      });
    }
  }

  get urls(): readonly string[] {
    return [...this.#issuers.keys()];
  }

  /** Resolves when all issuers have been found: with false where the set has been stopped before. */
  async found(): Promise<boolean> {
    await Promise.allSettled([...this.#issuers.values()].map(({ provider }) => provider.found));
    return !this.#stopped;
  }

  async authenticate(token: string): Promise<Authentication | undefined> {
    const claims = decodeJwt(token);
    if (!claims || typeof claims.iss !== "string") return undefined;
    const issuer = this.#issuers.get(claims.iss === "accounts.google.com" ? googleIssuer : claims.iss);
    if (!issuer) return undefined;
    const begunMs = this.#clock.monotonic();
    const judged = (outcome: Outcome): void => issuer.figures.judged(outcome, (this.#clock.monotonic() - begunMs) / 1000);
    try {
      const user = await userBy(issuer, token, claims);
      judged("success");
      return { user };
    } catch (error) {
      judged("failure");
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#issuers.values()].flatMap(({ provider, resolver }) => [provider.stop(), resolver?.stop()]));
  }
}

async function userBy({ provider, resolver, rules }: Issuer, token: string, claims: Claims): Promise<Authentication["user"]> {
  if (provider.problem !== undefined) throw new Error("oidc: authenticator not initialized");
  try {
    await provider.verify(token, claims);
  } catch (error) {
    throw new Error(`oidc: verify token: ${(error as Error).message}`);
  }
  let expanded = claims;
  try {
    expanded = (await resolver?.expand(claims)) ?? claims;
  } catch (error) {
    throw new Error(`oidc: could not expand distributed claims: ${(error as Error).message}`);
  }
  return userOfClaims(expanded, rules);
}
