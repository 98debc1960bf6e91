// The Authorization header: asks each token authenticator in turn about a bearer token. A token that nobody accepts is an
// error, not the absence of a credential: such a request is not anonymous but unauthorized.
import { tokenProtocolPrefix } from "../../rpc/upgrade.ts";
import type { ApiRequest } from "../request.ts";
import type { Authentication, Authenticator, TokenAuthenticator } from "./authenticator.ts";

export function createBearerTokenAuthenticator(tokens: TokenAuthenticator): Authenticator {
  return {
    async authenticate(request) {
      const token = bearerToken(request);
      return token === undefined ? undefined : requireToken(tokens, token);
    },
  };
}

/** The first authenticator that accepts the token decides; refusals are collected into one error. */
export function unionTokenAuthenticator(authenticators: readonly TokenAuthenticator[]): TokenAuthenticator {
  return {
    async authenticateToken(token, audiences) {
      const problems: string[] = [];
      for (const authenticator of authenticators) {
        try {
          const found = await authenticator.authenticateToken(token, audiences);
          if (found) return found;
        } catch (error) {
          problems.push(error instanceof Error ? error.message : String(error));
        }
      }
      if (problems.length > 0) throw new Error(problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`);
      return undefined;
    },
  };
}

/** For tokens that know no audiences: they are good for those of the API server. */
export function forAudiences(own: readonly string[], tokens: TokenAuthenticator): TokenAuthenticator {
  return {
    async authenticateToken(token, asked = own) {
      const granted = own.filter((audience) => asked.includes(audience));
      const found = granted.length === 0 ? undefined : await tokens.authenticateToken(token, asked);
      return found && { ...found, audiences: granted };
    },
  };
}

/** Throws "invalid bearer token" where nobody knows the token, and what is wrong with it where somebody does. */
export async function requireToken(tokens: TokenAuthenticator, token: string, audiences?: readonly string[]): Promise<Authentication> {
  const found = await tokens.authenticateToken(token, audiences);
  if (!found) throw new Error("invalid bearer token");
  return found;
}

/** The token of an Authorization header; WebSocket clients that cannot set headers may send it as a subprotocol. */
function bearerToken(request: ApiRequest): string | undefined {
  const [scheme = "", token = ""] = (request.headers.authorization ?? "").trim().split(" ");
  if (scheme.toLowerCase() === "bearer" && token !== "") return token;
  return webSocketToken(request);
}

function webSocketToken(request: ApiRequest): string | undefined {
  if (request.headers.upgrade?.toLowerCase() !== "websocket") return undefined;
  const protocols = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((p) => p.trim());
  const protocol = protocols.find((p) => p.startsWith(tokenProtocolPrefix));
  // The token is not a protocol to agree on: a client has to offer another one beside it.
  if (!protocol || protocols.length < 2) return undefined;
  return Buffer.from(protocol.slice(tokenProtocolPrefix.length), "base64url").toString("utf8");
}
