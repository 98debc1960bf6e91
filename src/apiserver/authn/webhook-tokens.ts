// Bearer tokens that a webhook knows: it is sent a TokenReview and answers who it is.
import type { TokenReview } from "../../api/types/authentication-v1.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { callForReview, type ReviewCaller } from "../webhook/review-call.ts";
import type { TokenAuthenticator } from "./authenticator.ts";

export interface WebhookTokensOptions {
  readonly version: "v1" | "v1beta1";
  /** Audiences of the API server. */
  readonly audiences: readonly string[];
}

const timeoutMs = 30_000;

export function createWebhookTokens(caller: ReviewCaller & { readonly logger: Logger }, options: WebhookTokensOptions): TokenAuthenticator {
  const head = { apiVersion: `authentication.k8s.io/${options.version}`, kind: "TokenReview" };
  return {
    async authenticateToken(token, audiences = options.audiences) {
      const body = { ...head, metadata: { creationTimestamp: null }, spec: { token, audiences }, status: { user: {} } };
      const { authenticated, error, user, audiences: good } = await review(caller, body);
      // A webhook that knows no audiences vouches for those of the API server.
      const granted = (good?.length ? good : options.audiences).filter((audience) => audiences.includes(audience));
      if (granted.length === 0) return undefined;
      if (!authenticated) {
        if (error) throw new Error(error);
        return undefined;
      }
      const { username = "", uid, groups = [], extra } = user ?? {};
      return {
        user: { name: username, groups, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) },
        audiences: granted,
      };
    },
  };
}

async function review(caller: ReviewCaller & { readonly logger: Logger }, body: object): Promise<NonNullable<TokenReview["status"]>> {
  try {
    const answer = (await callForReview(caller, body, { timeoutMs })) as Partial<TokenReview> | null;
    return answer?.status ?? {};
  } catch (error) {
    caller.logger.error("Failed to make webhook authenticator request", { error: errorText(error) });
    throw error;
  }
}
