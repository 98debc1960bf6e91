// The authentication stage: finds out who asks. In-process callers are known already. For others the authenticators are
// asked in upstream's order (client certificate, bearer token); a request without credentials is anonymous, one with bad
// credentials is refused with 401.
import { unauthorized } from "../../api/meta/status-error.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { ApiRequest, RequestContext, Stage } from "../request.ts";
import type { AuthenticationMetrics, AuthenticationResult } from "./authentication-metrics.ts";
import type { Authentication, Authenticator } from "./authenticator.ts";
import { anonymousUser, type UserInfo } from "./user.ts";

/** Whether requests without credentials are let through to authorization. */
export interface AnonymousOptions {
  readonly enabled: boolean;
  /** Only for these paths; none: for all. */
  readonly paths: readonly string[];
}

export interface AuthenticationOptions {
  readonly authenticators: readonly Authenticator[];
  /** Default: for all paths. */
  readonly anonymous?: AnonymousOptions;
  readonly logger: Logger;
  /** Absent: nothing is counted. */
  readonly metrics?: AuthenticationMetrics;
}

export function authenticationStage(options: AuthenticationOptions): Stage {
  const { metrics } = options;
  return async (context, next) => {
    const { request } = context;
    if (request.trustedUser) {
      context.user = request.trustedUser;
      return next(context);
    }
    const startMs = metrics?.clock.monotonic() ?? 0;
    const { result, found } = await authenticate(request, options);
    metrics?.attempted(result, metrics.clock.monotonic() - startMs, found?.user.name);
    if (!found) throw unauthorized();
    context.user = withAuthenticatedGroup(found.user);
    if (found.warnings) context.warnings.push(...found.warnings);
    if (found.auditAnnotations) annotate(context, found.auditAnnotations);
    return next(context);
  };
}

function annotate(context: RequestContext, annotations: Readonly<Record<string, string>>): void {
  context.auditAnnotations ??= new Map();
  for (const [key, value] of Object.entries(annotations)) context.auditAnnotations.set(key, value);
}

interface Outcome {
  /** Failure: no credentials; error: some, and none of them is accepted. */
  readonly result: AuthenticationResult;
  /** Present with success. */
  readonly found?: Authentication;
}

const anonymousOutcome: Outcome = { result: "success", found: { user: anonymousUser } };

async function authenticate(request: ApiRequest, options: AuthenticationOptions): Promise<Outcome> {
  const problems: unknown[] = [];
  for (const authenticator of options.authenticators) {
    try {
      const found = await authenticator.authenticate(request);
      if (found) return { result: "success", found };
    } catch (error) {
      problems.push(error);
    }
  }
  if (problems.length > 0) {
    options.logger.error("Unable to authenticate the request", { path: request.path, error: problems.map(errorText).join("; ") });
    return { result: "error" };
  }
  return isAnonymousAllowed(request, options.anonymous) ? anonymousOutcome : { result: "failure" };
}

function isAnonymousAllowed({ path }: ApiRequest, anonymous: AnonymousOptions | undefined): boolean {
  if (!anonymous) return true;
  return anonymous.enabled && (anonymous.paths.length === 0 || anonymous.paths.includes(path));
}

const authenticatedGroup = "system:authenticated";
const unauthenticatedGroup = "system:unauthenticated";

/** Everybody who has been authenticated is in system:authenticated. */
export function withAuthenticatedGroup(user: UserInfo): UserInfo {
  if (user.groups.includes(authenticatedGroup) || user.groups.includes(unauthenticatedGroup)) return user;
  return { ...user, groups: [...user.groups, authenticatedGroup] };
}
