// Service-account tokens whose key is not the API server's: an external signer (--service-account-signing-endpoint) on a Unix
// socket signs them and says which keys they may be signed with. It is waited for when the server starts. Texts are upstream's.
import type { Clock } from "../../../base/clock.ts";
import type { Running } from "../../../base/lifecycle.ts";
import { errorText, type Logger } from "../../../base/log.ts";
import type { MetricsRegistry } from "../../../base/metrics.ts";
import { connectRpc, type RpcConnection } from "../../../rpc/client.ts";
import type { CallOptions } from "../../../rpc/protocol.ts";
import { goRpcText } from "../../../rpc/rpc-error.ts";
import type { TokenKeys } from "../service-account-keys.ts";
import { ExternalKeys } from "./external-keys.ts";
import { createExternalSignerMetrics, type ExternalSignerMetrics, type SignerMethod } from "./external-signer-metrics.ts";
import { type ExternalJwtSigner, externalJwtV1, type SignJwtResponse } from "./protocol.ts";

export interface ExternalSignerDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

export interface ExternalSignerOptions {
  /** A socket's path, or "@name" for an abstract one. */
  readonly endpoint: string;
  /** Of each call, and how long the first may wait for a signer that is not there yet. Default a minute. */
  readonly timeoutMs?: number;
}

export interface ExternalSigner extends Running {
  readonly keys: TokenKeys;
  /** The longest that a token may live. */
  readonly maxExpirationSeconds: number;
  /** Rejects with what the signer, or its answer, is wrong in. */
  sign(claims: object): Promise<string>;
}

const metadataTimeoutMs = 10_000;
const saidAfterMs = 1000;
const minExpirationSeconds = 600;
const maxIdLength = 1024;
const algorithms = ["RS256", "ES256", "ES384", "ES512"];

/** Connected, with keys, when it resolves; rejects where there is no signer in time, or it does not serve. */
export async function openExternalSigner(deps: ExternalSignerDeps, options: ExternalSignerOptions): Promise<ExternalSigner> {
  const { endpoint, timeoutMs = 60_000 } = options;
  const address = endpoint.startsWith("@") ? `unix-abstract:${endpoint.slice(1)}` : `unix://${endpoint}`;
  const connection = connectRpc({ endpoint: address, timeoutMs, waitForReady: true });
  const metrics = createExternalSignerMetrics(deps.metrics, deps.clock);
  const service = counted(connection.service<ExternalJwtSigner>(externalJwtV1, "ExternalJWTSigner"), { ...deps, metrics });
  const keys = new ExternalKeys({ ...deps, metrics, fetchKeys: () => service.fetchKeys({}) });
  try {
    sayThatItIsWaitedFor(connection, deps.logger, endpoint);
    await keys.start();
    const maxExpirationSeconds = await longestLife(service);
    return {
      keys,
      maxExpirationSeconds,
      sign: (claims) => signed(claims, { service, keys, metrics }),
      async stop() {
        await keys.stop();
        connection.close();
      },
    };
  } catch (error) {
    await keys.stop();
    connection.close();
    throw new Error(`while setting up external-jwt-signer: ${errorText(error)}`);
  }
}

function sayThatItIsWaitedFor(connection: RpcConnection, logger: Logger, endpoint: string): void {
  connection
    .ready({ timeoutMs: saidAfterMs })
    .catch(() => logger.warn("The external signer of service-account tokens does not answer yet; it is waited for", { endpoint }));
}

async function longestLife(service: ExternalJwtSigner): Promise<number> {
  let seconds: number;
  try {
    seconds = (await service.metadata({}, { timeoutMs: metadataTimeoutMs })).maxTokenExpirationSeconds;
  } catch (error) {
    throw new Error(goRpcText(error));
  }
  if (seconds < minExpirationSeconds)
    throw new Error(`max token life supported by external-jwt-signer (${seconds}s) is less than acceptable (min ${minExpirationSeconds}s)`);
  return seconds;
}

/** The same service, with its calls counted. */
function counted(
  service: ExternalJwtSigner,
  { clock, metrics }: { readonly clock: Clock; readonly metrics: ExternalSignerMetrics },
): ExternalJwtSigner {
  const timed =
    <Q, A>(method: SignerMethod, call: (request: Q, options?: CallOptions) => Promise<A>) =>
    async (request: Q, options?: CallOptions): Promise<A> => {
      const begunMs = clock.monotonic();
      try {
        const answer = await call(request, options);
        metrics.called(method, clock.monotonic() - begunMs);
        return answer;
      } catch (error) {
        metrics.called(method, clock.monotonic() - begunMs, error);
        throw error;
      }
    };
  return {
    sign: timed("Sign", service.sign),
    fetchKeys: timed("FetchKeys", service.fetchKeys),
    metadata: timed("Metadata", service.metadata),
  };
}

interface Signing {
  readonly service: ExternalJwtSigner;
  readonly keys: ExternalKeys;
  readonly metrics: ExternalSignerMetrics;
}

async function signed(claims: object, { service, keys, metrics }: Signing): Promise<string> {
  try {
    const payload = Buffer.from(JSON.stringify(claims)).toString("base64url");
    const answer = await service.sign({ claims: payload }).catch((cause: unknown) => {
      throw new Error(`while signing jwt: ${goRpcText(cause)}`, { cause });
    });
    await checkAnswer(answer, keys);
    metrics.signed();
    return `${answer.header}.${payload}.${answer.signature}`;
  } catch (error) {
    metrics.signed(error);
    throw error;
  }
}

async function checkAnswer({ header, signature }: SignJwtResponse, keys: ExternalKeys): Promise<void> {
  const problem = await headerProblem(header, keys);
  if (problem !== undefined) throw new Error(`while validating header: ${problem}`);
  if (signature === "") throw new Error("empty signature returned");
}

/** What the header must say: no more than type, key and algorithm, and a key that is told to others. */
async function headerProblem(text: string, keys: ExternalKeys): Promise<string | undefined> {
  if (/[^A-Za-z0-9_-]/.test(text)) return `while unwrapping header: illegal base64 data at input byte ${text.search(/[^A-Za-z0-9_-]/)}`;
  let header: Readonly<Record<string, unknown>>;
  try {
    header = JSON.parse(Buffer.from(text, "base64url").toString()) as typeof header;
  } catch (error) {
    return `while parsing header JSON: ${errorText(error)}`;
  }
  const unknown = Object.keys(header ?? {}).find((name) => !["alg", "kid", "typ"].includes(name));
  if (unknown !== undefined) return `while parsing header JSON: json: unknown field ${JSON.stringify(unknown)}`;
  const { alg = "", kid = "", typ = "" } = header ?? {};
  if (typ !== "JWT") return "bad type";
  if (typeof kid !== "string" || kid === "") return "key id missing";
  if (Buffer.byteLength(kid) > maxIdLength) return "key id longer than 1 kb";
  if (typeof alg !== "string" || !algorithms.includes(alg)) return `bad signing algorithm ${JSON.stringify(alg)}`;
  if (await keys.isRetired(kid)) return `key used for signing JWT (kid: ${kid}) is excluded from OIDC discovery docs`;
  return undefined;
}
