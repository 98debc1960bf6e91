// Remembers for a time what an authenticator has said about tokens, by a keyed hash of them: tokens themselves are not kept.
// Requests that come with the same token meanwhile share one question.
import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { ExpiringMap } from "../../base/expiring-map.ts";
import type { Authentication, TokenAuthenticator } from "./authenticator.ts";
import type { TokenCacheMetrics } from "./token-cache-metrics.ts";

export interface CachedTokensOptions {
  /** How long a token that was accepted is remembered; 0: not at all. */
  readonly successTtlMs: number;
  /** How long one that nobody knew is; refusals with an error are not remembered. */
  readonly failureTtlMs: number;
}

const maxEntries = 16_384;

interface Answer {
  readonly authentication: Authentication | undefined;
}

export function cachedTokens(
  tokens: TokenAuthenticator,
  deps: { readonly clock: Clock; readonly tokenCache?: TokenCacheMetrics | undefined },
  options: CachedTokensOptions,
): TokenAuthenticator {
  const metrics = deps.tokenCache;
  const key = randomBytes(32);
  const answers = new ExpiringMap<string, Answer>(maxEntries, deps.clock);
  const asking = new Map<string, Promise<Authentication | undefined>>();
  const ask = async (id: string, token: string, audiences: readonly string[] | undefined): Promise<Authentication | undefined> => {
    metrics?.active("in_flight", 1);
    try {
      const authentication = await tokens.authenticateToken(token, audiences);
      answers.set(id, { authentication }, authentication ? options.successTtlMs : options.failureTtlMs);
      metrics?.fetched("ok");
      return authentication;
    } catch (error) {
      metrics?.fetched("error");
      throw error;
    } finally {
      metrics?.active("in_flight", -1);
    }
  };
  const waited = async (asked: Promise<Authentication | undefined>, begunMs: number): Promise<Authentication | undefined> => {
    metrics?.active("blocked", 1);
    try {
      return await asked;
    } finally {
      metrics?.active("blocked", -1);
      metrics?.answered("miss", metrics.clock.monotonic() - begunMs);
    }
  };
  return {
    async authenticateToken(token, audiences) {
      const begunMs = metrics?.clock.monotonic() ?? 0;
      const id = createHmac("sha256", key)
        .update(JSON.stringify([token, audiences]))
        .digest("base64");
      const known = answers.get(id);
      if (known) {
        metrics?.answered("hit", metrics.clock.monotonic() - begunMs);
        return known.authentication;
      }
      let answer = asking.get(id);
      if (!answer) {
        answer = ask(id, token, audiences).finally(() => asking.delete(id));
        asking.set(id, answer);
      }
      return waited(answer, begunMs);
    },
  };
}
