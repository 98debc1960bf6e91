// TokenReview, by which others have a bearer token checked, and SelfSubjectReview ("kubectl auth whoami").
import { badRequest } from "../../api/meta/status-error.ts";
import type { SelfSubjectReview, TokenReview, UserInfo as UserInfoV1 } from "../../api/types/authentication-v1.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import type { CreateRequest, Creators } from "../registry/handler-types.ts";
import { withAuthenticatedGroup } from "./authentication-stage.ts";
import type { TokenAuthenticator } from "./authenticator.ts";
import { requireToken, tokenOfHeader, unknownToken } from "./bearer-token.ts";
import { anonymousUser, type UserInfo } from "./user.ts";

export interface ReviewDependencies {
  readonly tokens: TokenAuthenticator;
  /** Audiences of the API server. */
  readonly audiences: readonly string[];
  /** Whether a request without credentials is the anonymous user's: a token that is blank is none. Default false. */
  readonly anonymous?: boolean;
  readonly clock: Clock;
}

export function authenticationReviews(deps: ReviewDependencies): Creators {
  return {
    "authentication.k8s.io/tokenreviews": (request) => reviewToken(request, deps),
    "authentication.k8s.io/selfsubjectreviews": ({ context }) => reviewSelf(context.user, deps.clock),
  };
}

async function reviewToken({ object }: CreateRequest, deps: ReviewDependencies): Promise<TokenReview> {
  const review = object as TokenReview; // decoded by the kind of the resource
  const { token, audiences } = review.spec ?? {};
  if (!token) throw badRequest("token is required for TokenReview in authentication");
  const status = await statusOf(token, audiences?.length ? audiences : deps.audiences, deps);
  if (status.authenticated) return { ...review, status };
  // What is said of a token that is not known stands beside what was sent.
  const { authenticated: _, ...sent } = review.status ?? {};
  return { ...review, status: { user: {}, ...sent, ...(status.error === undefined ? {} : { error: status.error }) } };
}

async function statusOf(
  given: string,
  audiences: readonly string[],
  { tokens, anonymous = false }: ReviewDependencies,
): Promise<NonNullable<TokenReview["status"]>> {
  // Read as a request would bring it.
  const token = tokenOfHeader(`Bearer ${given}`);
  if (token === undefined) return anonymous ? { authenticated: true, audiences, user: describeUser(anonymousUser) } : {};
  try {
    const found = await requireToken(tokens, token, audiences);
    // An authenticator that knows no audiences vouches for all that were asked for.
    return {
      authenticated: true,
      audiences: found.audiences ?? audiences,
      user: describeUser(withAuthenticatedGroup(found.user)),
    };
  } catch (error) {
    return { error: refusalText(error) };
  }
}

/** Upstream's server asks about its own token first, and tells of that too where somebody else has something else to say. */
function refusalText(error: unknown): string {
  const problem = error instanceof Error ? error.message : String(error);
  if (problem === unknownToken) return problem;
  return `[${[unknownToken, ...(problem.startsWith("[") && problem.endsWith("]") ? [problem.slice(1, -1)] : [problem])].join(", ")}]`;
}

function reviewSelf(user: UserInfo, clock: Clock): SelfSubjectReview {
  return {
    apiVersion: "authentication.k8s.io/v1",
    kind: "SelfSubjectReview",
    // Never stored: it has neither name nor uid.
    metadata: { creationTimestamp: formatTime(clock.now()) } as ObjectMeta,
    status: { userInfo: describeUser(user) },
  };
}

/** A user as reviews and admission webhooks are told: without what is empty. */
export function describeUser(user: UserInfo): UserInfoV1 {
  return {
    ...(user.name === "" ? {} : { username: user.name }),
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.groups.length > 0 ? { groups: user.groups } : {}),
    ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
  };
}
