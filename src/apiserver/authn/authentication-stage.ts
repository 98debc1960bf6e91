// The authentication stage: finds out who asks. In-process callers are known already. For others the authenticators are
// asked in upstream's order (client certificate, bearer token); a request without credentials is anonymous, one with bad
// credentials is refused with 401.

import { unauthorized } from "../../api/meta/status-error.ts";
import { appendAll } from "../../base/append-all.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { noteDuration } from "../http/stage-durations.ts";
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
  const admit = (context: RequestContext, { result, found }: Outcome, startMs: number): void => {
    metrics?.attempted(result, metrics.clock.monotonic() - startMs, found?.user.name);
    if (!found) throw unauthorized();
    context.user = withAuthenticatedGroup(found.user);
    if (found.warnings) appendAll(context.warnings, found.warnings);
    if (found.auditAnnotations) annotate(context, found.auditAnnotations);
  };
  return (context, next) => {
    const { request } = context;
    if (request.trustedUser) {
      context.user = request.trustedUser;
      return next(context);
    }
    const startMs = metrics?.clock.monotonic() ?? 0;
    const outcome = authenticate(request, options);
    if (outcome instanceof Promise)
      return outcome.then((known) => {
        if (metrics) noteDuration(context, "authentication", metrics.clock.monotonic() - startMs);
        admit(context, known, startMs);
        return next(context);
      });
    admit(context, outcome, startMs);
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

/** At once where nobody has to be waited for. */
function authenticate(request: ApiRequest, options: AuthenticationOptions): Outcome | Promise<Outcome> {
  const { authenticators } = options;
  const problems: unknown[] = [];
  for (let i = 0; i < authenticators.length; i++) {
    try {
      const answer = authenticators[i]?.authenticate(request);
      if (answer instanceof Promise) return authenticateFrom(i, answer, { request, options, problems });
      if (answer) return { result: "success", found: answer };
    } catch (error) {
      problems.push(error);
    }
  }
  return nobody(request, options, problems);
}

interface Asking {
  readonly request: ApiRequest;
  readonly options: AuthenticationOptions;
  /** What those that were asked before have said. */
  readonly problems: unknown[];
}

/** From an authenticator on that does not answer at once. */
async function authenticateFrom(index: number, begun: Promise<Authentication | undefined>, asking: Asking): Promise<Outcome> {
  const { request, options, problems } = asking;
  for (let i = index; i < options.authenticators.length; i++) {
    try {
      const found = await (i === index ? begun : options.authenticators[i]?.authenticate(request));
      if (found) return { result: "success", found };
    } catch (error) {
      problems.push(error);
    }
  }
  return nobody(request, options, problems);
}

/** Nobody knows who asks. */
function nobody(request: ApiRequest, options: AuthenticationOptions, problems: readonly unknown[]): Outcome {
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

/** Users that come again (of static tokens, of a connection's certificate) are the same object each time. */
const authenticatedUsers = new WeakMap<UserInfo, UserInfo>();

/** Everybody who has been authenticated is in system:authenticated. */
export function withAuthenticatedGroup(user: UserInfo): UserInfo {
  let authenticated = authenticatedUsers.get(user);
  if (!authenticated) {
    const known = user.groups.includes(authenticatedGroup) || user.groups.includes(unauthenticatedGroup);
    authenticated = known ? user : { ...user, groups: [...user.groups, authenticatedGroup] };
    authenticatedUsers.set(user, authenticated);
  }
  return authenticated;
}
