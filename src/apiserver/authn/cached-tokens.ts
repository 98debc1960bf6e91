// Remembers for a time what an authenticator has said about tokens, by a keyed hash of them: tokens themselves are not kept.
// Requests that come with the same token meanwhile share one question.
import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { ExpiringMap } from "../../base/expiring-map.ts";
import type { Authentication, TokenAuthenticator } from "./authenticator.ts";

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
  deps: { readonly clock: Clock },
  options: CachedTokensOptions,
): TokenAuthenticator {
  const key = randomBytes(32);
  const answers = new ExpiringMap<string, Answer>(maxEntries, deps.clock);
  const asking = new Map<string, Promise<Authentication | undefined>>();
  const ask = async (id: string, token: string, audiences: readonly string[] | undefined): Promise<Authentication | undefined> => {
    const authentication = await tokens.authenticateToken(token, audiences);
    answers.set(id, { authentication }, authentication ? options.successTtlMs : options.failureTtlMs);
    return authentication;
  };
  return {
    async authenticateToken(token, audiences) {
      const id = createHmac("sha256", key)
        .update(JSON.stringify([token, audiences]))
        .digest("base64");
      const known = answers.get(id);
      if (known) return known.authentication;
      let answer = asking.get(id);
      if (!answer) {
        answer = ask(id, token, audiences).finally(() => asking.delete(id));
        asking.set(id, answer);
      }
      return answer;
    },
  };
}
