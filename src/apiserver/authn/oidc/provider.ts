// An OpenID provider: found by its discovery document, which is tried for every ten seconds until it answers, and asked whether
// it has issued a token.
import { goQuoted } from "../../../base/go-quoted.ts";
import type { Running } from "../../../base/lifecycle.ts";
import { errorText, type Logger } from "../../../base/log.ts";
import { algorithmNames, decodeJwtHeader, isOrdinaryHeader } from "../jwt.ts";
import { quoteList } from "../quote-list.ts";
import { type Claims, checkClaimTypes, checkForm, claimSeconds } from "./id-token.ts";
import { type KeySetDeps, ProviderKeySet } from "./key-set.ts";

export interface ProviderOptions {
  /** The issuer: as tokens name it, and below which the discovery document lies. */
  readonly url: string;
  /** Where the discovery document lies instead; "" for there. */
  readonly discoveryUrl?: string;
  readonly audiences: readonly string[];
  /** Algorithms that tokens may be signed with. */
  readonly algorithms: readonly string[];
}

export interface ProviderDeps extends KeySetDeps {
  readonly logger: Logger;
}

const retryMs = 10_000;
const notBeforeLeewayMs = 60_000;

export class OidcProvider implements Running {
  readonly url: string;
  /** Resolves when the provider has been found. */
  readonly found: Promise<void>;
  readonly #options: ProviderOptions;
  readonly #deps: ProviderDeps;
  readonly #stop = new AbortController();
  #keys: ProviderKeySet | undefined;
  #problem: string;

  constructor(options: ProviderOptions, deps: ProviderDeps) {
    this.url = options.url;
    this.#options = options;
    this.#deps = deps;
    this.#problem = `oidc: authenticator for issuer ${JSON.stringify(this.url)} is not initialized`;
    this.found = this.#find();
    this.found.catch(() => undefined); // only when stopped
  }

  /** Why tokens of the provider cannot be judged; undefined when they can. */
  get problem(): string | undefined {
    return this.#keys ? undefined : this.#problem;
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("stopped"));
    await this.found.catch(() => undefined);
  }

  /** The checks of a token whose claims name this issuer: signature, audience, times. Throws with upstream's texts. */
  async verify(token: string, claims: Claims): Promise<void> {
    if (!this.#keys) throw new Error("oidc: authenticator not initialized");
    const header = decodeJwtHeader(token);
    checkForm(token, header);
    const { alg, kid } = header ?? {};
    const algorithm = algorithmNames.find((name) => name === alg);
    if (!algorithm || !this.#options.algorithms.includes(algorithm))
      throw new Error(
        `oidc: id token signed with unsupported algorithm, expected ${quoteList(this.#options.algorithms)} got ${goQuoted(String(alg ?? ""))}`,
      );
    await this.#keys.verify(token, { keyId: typeof kid === "string" ? kid : "", algorithm, isOrdinary: isOrdinaryHeader(header ?? {}) });
    checkClaimTypes(claims);
    this.#checkAudience(claims);
    checkTimes(claims, this.#deps.clock.now());
  }

  async #find(): Promise<void> {
    for (;;) {
      try {
        this.#keys = await this.#discover();
        return;
      } catch (error) {
        this.#problem = errorText(error);
        if (!this.#stop.signal.aborted) this.#deps.logger.error("OpenID provider not found, trying again", { issuer: this.url, error });
        await this.#deps.clock.sleep(retryMs, this.#stop.signal);
      }
    }
  }

  async #discover(): Promise<ProviderKeySet> {
    const { discoveryUrl } = this.#options;
    const answer = await this.#deps.get(discoveryUrl || `${this.url.replace(/\/$/, "")}/.well-known/openid-configuration`);
    if (answer.status !== 200) throw new Error(answer.statusText);
    let document: { readonly issuer?: unknown; readonly jwks_uri?: unknown };
    try {
      document = JSON.parse(answer.body) ?? {};
    } catch (error) {
      throw new Error("oidc: failed to decode provider discovery object", { cause: error });
    }
    const { issuer, jwks_uri: keysUrl } = document;
    if (issuer !== this.url)
      throw new Error(
        `oidc: issuer did not match the issuer returned by provider, expected ${JSON.stringify(this.url)} got ${JSON.stringify(issuer ?? "")}`,
      );
    if (typeof keysUrl !== "string" || keysUrl === "") throw new Error("provider did not return JWKS URL");
    return new ProviderKeySet(keysUrl, this.#deps);
  }

  #checkAudience({ aud }: Claims): void {
    const { audiences } = this.#options;
    // As Go reads it, null is the empty text.
    const named: readonly string[] = aud === undefined ? [] : [aud].flat().map((audience) => String(audience ?? ""));
    if (audiences.some((audience) => named.includes(audience))) return;
    const expected =
      audiences.length === 1 ? `audience ${JSON.stringify(audiences[0])}` : `audience in ${quoteList([...audiences].sort())}`;
    throw new Error(`oidc: expected ${expected} got ${quoteList(named)}`);
  }
}

const noTime = "0001-01-01 00:00:00 +0000 UTC";
/** Beyond it seconds are no time any more, for Go neither. */
const maxSeconds = 2 ** 63;

/** A token without an expiry has expired. */
function checkTimes({ exp, nbf }: Claims, nowMs: number): void {
  const expiry = claimSeconds(exp);
  if (expiry === undefined || expiry * 1000 < nowMs || expiry >= maxSeconds)
    throw new Error(`oidc: token is expired (Token Expiry: ${expiry === undefined ? noTime : goTime(expiry)})`);
  const notBefore = claimSeconds(nbf);
  if (notBefore !== undefined && nowMs + notBeforeLeewayMs < notBefore * 1000)
    throw new Error(`oidc: current time ${goTime(nowMs / 1000)} before the nbf (not before) time: ${goTime(notBefore)}`);
}

const latestSeconds = 8.64e12;

/** 2026-01-01 00:00:00 +0000 UTC; the nearest that there is for what is beyond all dates. */
function goTime(seconds: number): string {
  const shown = new Date(Math.max(-latestSeconds, Math.min(latestSeconds, seconds)) * 1000);
  return `${shown.toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`;
}
