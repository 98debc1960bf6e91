// Distributed claims (OpenID Connect Core 5.6.2): a token may say that a claim, the groups mostly, is to be fetched elsewhere.
// What is found there is a token again, of an issuer that has keys of its own.

import type { Running } from "../../../base/lifecycle.ts";
import { decodeJwt } from "../jwt.ts";
import type { HttpsGet } from "./https-get.ts";
import type { Claims } from "./id-token.ts";
import { OidcProvider, type ProviderDeps, type ProviderOptions } from "./provider.ts";

const maxIssuers = 32;

export interface ClaimResolver extends Running {
  /** The claims with the distributed one filled in, or the same where there is none. Throws with upstream's texts. */
  expand(claims: Claims): Promise<Claims>;
}

export function createClaimResolver(
  claim: string,
  options: Omit<ProviderOptions, "url" | "discoveryUrl">,
  deps: ProviderDeps,
): ClaimResolver {
  const issuers = new ClaimIssuers(options, deps);
  return {
    async expand(claims) {
      const source = sourceOf(claim, claims);
      if (!source) return claims;
      const token = await fetchClaim(claim, source, deps.get);
      const named = decodeJwt(token);
      if (!named)
        throw new Error(
          `getting untrusted issuer from endpoint ${source.endpoint} failed for claim ${JSON.stringify(claim)}: ${token.startsWith("{") ? "token is not compact JWT" : "malformed token"}`,
        );
      await issuers.verify(token, named);
      if (!Object.hasOwn(named, claim))
        throw new Error(`jwt returned by distributed claim endpoint ${JSON.stringify(source.endpoint)} did not contain claim: ${claim}`);
      return { ...claims, [claim]: named[claim] };
    },
    stop: () => issuers.stop(),
  };
}

const patienceMs = 5000;

/** The issuers of tokens that claims are fetched as, each found when it is first needed. */
class ClaimIssuers implements Running {
  readonly #options: Omit<ProviderOptions, "url" | "discoveryUrl">;
  readonly #deps: ProviderDeps;
  readonly #providers = new Map<string, OidcProvider>();

  constructor(options: Omit<ProviderOptions, "url" | "discoveryUrl">, deps: ProviderDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async verify(token: string, claims: Claims): Promise<void> {
    const url = typeof claims.iss === "string" ? claims.iss : "";
    const provider = this.#providerOf(url);
    // Usually it is found at once; whoever asks while it is not is told so.
    if (provider?.problem !== undefined) await Promise.race([provider.found, this.#deps.clock.sleep(patienceMs)]);
    if (!provider || provider.problem !== undefined)
      throw new Error(`verifying untrusted issuer ${url} failed: verifier not initialized for issuer: ${JSON.stringify(url)}`);
    try {
      await provider.verify(token, claims);
    } catch (error) {
      throw new Error(`verify distributed claim token: ${(error as Error).message}`);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#providers.values(), (provider) => provider.stop()));
  }

  /** Undefined where there are too many already. */
  #providerOf(url: string): OidcProvider | undefined {
    const known = this.#providers.get(url);
    if (known || this.#providers.size >= maxIssuers) return known;
    const provider = new OidcProvider({ ...this.#options, url }, this.#deps);
    this.#providers.set(url, provider);
    return provider;
  }
}

interface Source {
  readonly endpoint: string;
  readonly accessToken?: string;
}

function sourceOf(claim: string, claims: Claims): Source | undefined {
  if (Object.hasOwn(claims, claim) || !Object.hasOwn(claims, "_claim_names")) return undefined;
  const names = objectOf(claims._claim_names, "oidc: error parsing distributed claim names");
  if (!Object.hasOwn(claims, "_claim_sources")) throw new Error("oidc: no claim sources");
  const sources = objectOf(claims._claim_sources, "oidc: could not parse claim sources");
  const name = names[claim];
  if (typeof name !== "string") return undefined;
  if (!Object.hasOwn(sources, name)) throw new Error(`id token _claim_names contained a source ${name} missing in _claims_sources`);
  const { endpoint, access_token: token } = objectOf(sources[name], "oidc: could not parse claim sources");
  // Without an endpoint it may be an aggregated claim, which is not looked at.
  if (typeof endpoint !== "string" || endpoint === "") return undefined;
  return { endpoint, ...(typeof token === "string" && token !== "" ? { accessToken: token } : {}) };
}

function objectOf(value: unknown, problem: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${problem}: expected an object`);
  return value as Readonly<Record<string, unknown>>;
}

async function fetchClaim(claim: string, { endpoint, accessToken }: Source, get: HttpsGet): Promise<string> {
  try {
    const answer = await get(endpoint, accessToken === undefined ? {} : { bearerToken: accessToken });
    if (answer.status < 200 || answer.status > 226) throw new Error(`error while getting distributed claim JWT: ${answer.statusText}`);
    return answer.body.trim();
  } catch (error) {
    throw new Error(`while getting distributed claim ${JSON.stringify(claim)}: ${(error as Error).message}`);
  }
}
