// One way of finding out who asks. The authentication stage asks each in turn.
import type { ApiRequest } from "../request.ts";
import type { UserInfo } from "./user.ts";

export interface Authentication {
  readonly user: UserInfo;
  /** Audiences the credential is good for, where it says so. */
  readonly audiences?: readonly string[];
  /** Texts for Warning headers. */
  readonly warnings?: readonly string[];
  /** What the audit event is annotated with. */
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

export interface Authenticator {
  /** Undefined: no credential of this kind. Throws when there is one and it is not valid. */
  authenticate(request: ApiRequest): Promise<Authentication | undefined> | Authentication | undefined;
}

/** Checks a bearer token, for requests and for TokenReview. */
export interface TokenAuthenticator {
  /** Undefined: not a token of this kind. Throws when it is one and not valid (expired, revoked, wrong audience). */
  authenticateToken(token: string, audiences?: readonly string[]): Promise<Authentication | undefined> | Authentication | undefined;
}
