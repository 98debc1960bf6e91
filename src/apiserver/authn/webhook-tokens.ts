// Bearer tokens that a webhook knows: it is sent a TokenReview and answers who it is.
import type { TokenReview, UserInfo as UserInfoV1 } from "../../api/types/authentication-v1.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { callForReview, type ReviewCaller } from "../webhook/review-call.ts";
import { tokenReviewProblem } from "../webhook/review-fields.ts";
import { WebhookError } from "../webhook/webhook-error.ts";
import type { TokenAuthenticator } from "./authenticator.ts";
import type { UserInfo } from "./user.ts";

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
      const body = { ...head, metadata: {}, spec: { token, audiences }, status: { user: {} } };
      const { authenticated, error, user, audiences: good } = await review(caller, body, options.version);
      // A webhook that knows no audiences vouches for those of the API server.
      const granted = (good?.length ? good : options.audiences).filter((audience) => audiences.includes(audience));
      if (granted.length === 0) return undefined;
      if (!authenticated) {
        if (error) throw new Error(error);
        return undefined;
      }
      return { user: userOf(user ?? {}), audiences: granted };
    },
  };
}

/** Null is nothing, as Go reads it. */
function userOf({ username, uid, groups, extra }: UserInfoV1): UserInfo {
  const texts = (values: readonly (string | null)[] | null | undefined): readonly string[] => (values ?? []).map((v) => v ?? "");
  return {
    name: username ?? "",
    groups: texts(groups),
    ...(uid ? { uid } : {}),
    ...(extra ? { extra: Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, texts(values)])) } : {}),
  };
}

async function review(
  caller: ReviewCaller & { readonly logger: Logger },
  body: object,
  version: WebhookTokensOptions["version"],
): Promise<NonNullable<TokenReview["status"]>> {
  try {
    const answer = (await callForReview(caller, body, { timeoutMs })) as Partial<TokenReview> | null;
    const problem = tokenReviewProblem(answer, version);
    if (problem !== undefined) throw new WebhookError("answer", problem);
    return answer?.status ?? {};
  } catch (error) {
    caller.logger.error("Failed to make webhook authenticator request", { error: errorText(error) });
    throw error;
  }
}
