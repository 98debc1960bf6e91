// The Authorization header: asks each token authenticator in turn about a bearer token. A token that nobody accepts is an
// error, not the absence of a credential: such a request is not anonymous but unauthorized.
import { tokenProtocolPrefix } from "../../rpc/upgrade.ts";
import type { ApiRequest } from "../request.ts";
import type { Authentication, Authenticator, TokenAuthenticator } from "./authenticator.ts";

export function createBearerTokenAuthenticator(tokens: TokenAuthenticator): Authenticator {
  return {
    authenticate(request) {
      const token = bearerToken(request);
      return token === undefined ? undefined : requireToken(tokens, token);
    },
  };
}

/** The first authenticator that accepts the token decides; refusals are collected into one error. */
export function unionTokenAuthenticator(authenticators: readonly TokenAuthenticator[]): TokenAuthenticator {
  return {
    authenticateToken(token, audiences) {
      // Tokens of a file and remembered ones are known at once: nothing is waited for.
      const [first] = authenticators;
      let begun: ReturnType<TokenAuthenticator["authenticateToken"]>;
      try {
        begun = first?.authenticateToken(token, audiences);
      } catch (error) {
        begun = Promise.reject(error);
      }
      if (begun && !(begun instanceof Promise)) return begun;
      return askInTurn(authenticators, begun, (authenticator) => authenticator.authenticateToken(token, audiences));
    },
  };
}

/** `begun`: what the first of them has answered. */
async function askInTurn(
  authenticators: readonly TokenAuthenticator[],
  begun: Promise<Authentication | undefined> | undefined,
  ask: (authenticator: TokenAuthenticator) => ReturnType<TokenAuthenticator["authenticateToken"]>,
): Promise<Authentication | undefined> {
  const problems: string[] = [];
  for (const [i, authenticator] of authenticators.entries()) {
    try {
      const found = await (i === 0 ? begun : ask(authenticator));
      if (found) return found;
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (problems.length > 0) throw new Error(problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`);
  return undefined;
}

/** For tokens that know no audiences: they are good for those of the API server. */
export function forAudiences(own: readonly string[], tokens: TokenAuthenticator): TokenAuthenticator {
  // Requests ask for no audience in particular, and static tokens are the same object each time.
  const forAll = new WeakMap<Authentication, Authentication>();
  const granting = (found: Authentication | undefined, granted: readonly string[]): Authentication | undefined => {
    if (!found || granted !== own) return found && { ...found, audiences: granted };
    let whole = forAll.get(found);
    if (!whole) {
      whole = { ...found, audiences: own };
      forAll.set(found, whole);
    }
    return whole;
  };
  return {
    authenticateToken(token, asked = own) {
      const granted = asked === own ? own : own.filter((audience) => asked.includes(audience));
      if (granted.length === 0) return undefined;
      const answer = tokens.authenticateToken(token, asked);
      return answer instanceof Promise ? answer.then((found) => granting(found, granted)) : granting(answer, granted);
    },
  };
}

/** Throws "invalid bearer token" where nobody knows the token, and what is wrong with it where somebody does. */
export function requireToken(
  tokens: TokenAuthenticator,
  token: string,
  audiences?: readonly string[],
): Promise<Authentication> | Authentication {
  const answer = tokens.authenticateToken(token, audiences);
  return answer instanceof Promise ? answer.then(known) : known(answer);
}

export const unknownToken = "invalid bearer token";

function known(found: Authentication | undefined): Authentication {
  if (!found) throw new Error(unknownToken);
  return found;
}

/** The token of an Authorization header; WebSocket clients that cannot set headers may send it as a subprotocol. */
function bearerToken(request: ApiRequest): string | undefined {
  const header = request.headers.authorization;
  if (header === undefined) return webSocketToken(request);
  return tokenOfHeader(header) ?? webSocketToken(request);
}

/** "Bearer TOKEN": what comes after another space is not looked at. */
export function tokenOfHeader(header: string): string | undefined {
  const [scheme = "", token = ""] = header.trim().split(" ", 2);
  return scheme.toLowerCase() === "bearer" && token !== "" ? token : undefined;
}

function webSocketToken(request: ApiRequest): string | undefined {
  if (request.headers.upgrade?.toLowerCase() !== "websocket") return undefined;
  const protocols = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((p) => p.trim());
  const protocol = protocols.find((p) => p.startsWith(tokenProtocolPrefix));
  // The token is not a protocol to agree on: a client has to offer another one beside it.
  if (!protocol || protocols.length < 2) return undefined;
  return Buffer.from(protocol.slice(tokenProtocolPrefix.length), "base64url").toString("utf8");
}
