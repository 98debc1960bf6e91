// Distributed claims (OpenID Connect Core 5.6.2): a token may say that a claim, the groups mostly, is to be fetched elsewhere.
// What is found there is a token again, of an issuer that has keys of its own.

import type { Running } from "../../../base/lifecycle.ts";
import { LruMap } from "../../../base/lru-map.ts";
import { decodeJwt } from "../jwt.ts";
import type { HttpsGet } from "./https-get.ts";
import { type Claims, OidcProvider, type ProviderDeps, type ProviderOptions } from "./provider.ts";

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
  const providers = new LruMap<string, OidcProvider>(maxIssuers);
  const started = new Set<OidcProvider>();
  const providerOf = async (url: string): Promise<OidcProvider> => {
    const known = providers.get(url);
    if (known) return known;
    if (started.size >= maxIssuers) throw new Error(`verifier not initialized for issuer: ${JSON.stringify(url)}`);
    const provider = new OidcProvider({ ...options, url }, deps);
    started.add(provider);
    providers.set(url, provider);
    return provider;
  };
  return {
    async expand(claims) {
      const source = sourceOf(claim, claims);
      if (!source) return claims;
      const token = await fetchClaim(claim, source, deps.get);
      const named = decodeJwt(token);
      if (!named)
        throw new Error(
          `getting untrusted issuer from endpoint ${source.endpoint} failed for claim ${JSON.stringify(claim)}: malformed token`,
        );
      const issuer = typeof named.iss === "string" ? named.iss : "";
      const provider = await providerOf(issuer);
      if (provider.problem !== undefined) {
        // Usually it is found at once; whoever asks while it is not is told so.
        await Promise.race([provider.found, deps.clock.sleep(patienceMs)]);
        if (provider.problem !== undefined)
          throw new Error(`verifying untrusted issuer ${issuer} failed: verifier not initialized for issuer: ${JSON.stringify(issuer)}`);
      }
      try {
        await provider.verify(token, named);
      } catch (error) {
        throw new Error(`verify distributed claim token: ${(error as Error).message}`);
      }
      if (!Object.hasOwn(named, claim))
        throw new Error(`jwt returned by distributed claim endpoint ${JSON.stringify(source.endpoint)} did not contain claim: ${claim}`);
      return { ...claims, [claim]: named[claim] };
    },
    async stop() {
      await Promise.all([...started].map((provider) => provider.stop()));
    },
  };
}

const patienceMs = 5000;

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
