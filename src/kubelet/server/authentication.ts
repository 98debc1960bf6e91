// Who asks the kubelet's server: the holder of a certificate that the client authority has signed, the bearer of a token as
// the API server knows it (TokenReview, answers kept for a while), or, where that is allowed, anybody.
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { tokenreviews } from "../../api/resources.generated.ts";
import type { TokenReview } from "../../api/types/authentication-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { Client } from "../../client/client.ts";
import type { ServerMetrics } from "./server-metrics.ts";

export interface Caller {
  readonly name: string;
  readonly groups: readonly string[];
  readonly uid?: string;
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface AuthenticationOptions {
  /** Whether the API server is asked about bearer tokens. Default true. */
  readonly webhook?: boolean;
  /** How long its answers are believed. Default 2 min. */
  readonly webhookCacheMs?: number;
  /** Whether those who present nothing are "system:anonymous". Default false. */
  readonly anonymous?: boolean;
}

export type Authenticate = (request: IncomingMessage) => Promise<Caller | undefined>;

const anonymousCaller: Caller = { name: "system:anonymous", groups: ["system:unauthenticated"] };
const authenticatedGroup = "system:authenticated";
const maxCached = 1000;
const callTimeoutMs = 10_000;
/** Whoever is unknown may become known at any time. */
const unknownCacheMs = 10_000;

/** Undefined for a caller that is nobody; throws where the API server cannot be asked. */
export function createAuthenticator(
  { client, clock, metrics }: { readonly client: Client; readonly clock: Clock; readonly metrics: ServerMetrics },
  { webhook = true, webhookCacheMs = 120_000, anonymous = false }: AuthenticationOptions = {},
): Authenticate {
  const known = new LruMap<string, { readonly caller: Caller | undefined; readonly untilMs: number }>(maxCached);

  const bearerOf = async (token: string): Promise<Caller | undefined> => {
    const key = createHash("sha256").update(token).digest("base64");
    const cached = known.get(key);
    if (cached && cached.untilMs > clock.monotonic()) {
      metrics.tokenHit();
      return cached.caller;
    }
    const ask = () => client.create(tokenreviews, { metadata: {}, spec: { token } }, { timeoutMs: callTimeoutMs });
    const review = (await metrics.tokenMiss(() => metrics.review("authn", ask))) as TokenReview;
    const caller = callerOfReview(review);
    known.set(key, { caller, untilMs: clock.monotonic() + (caller ? webhookCacheMs : Math.min(webhookCacheMs, unknownCacheMs)) });
    return caller;
  };

  return async (request) => {
    const certified = callerOfCertificate(request.socket as TLSSocket);
    if (certified) return certified;
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    if (token !== undefined && webhook) return bearerOf(token);
    // Who presents something that is not believed is nobody, as upstream's union of authenticators has it.
    return anonymous && request.headers.authorization === undefined ? anonymousCaller : undefined;
  };
}

/** The certificate's common name and organizations; undefined without a certificate that the authority has signed. */
export function callerOfCertificate(socket: TLSSocket): Caller | undefined {
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  const name = [subject?.CN ?? []].flat()[0];
  return name ? { name, groups: [...[subject.O ?? []].flat(), authenticatedGroup] } : undefined;
}

function callerOfReview({ status }: TokenReview): Caller | undefined {
  const { authenticated, user } = status ?? {};
  if (!authenticated || !user?.username) return undefined;
  const groups = user.groups ?? [];
  return {
    name: user.username,
    groups: groups.includes(authenticatedGroup) ? groups : [...groups, authenticatedGroup],
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.extra ? { extra: user.extra } : {}),
  };
}
