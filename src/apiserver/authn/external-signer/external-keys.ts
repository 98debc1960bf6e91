// The keys of an external signer: fetched before the server serves, again when the signer says so (ten seconds after a
// failure), and when a token names a key that is not known. What was fetched last stays while the signer is away.
import { createPublicKey, type KeyObject } from "node:crypto";
import type { Clock, Timer } from "../../../base/clock.ts";
import type { Running } from "../../../base/lifecycle.ts";
import { errorText, type Logger } from "../../../base/log.ts";
import { goRpcText } from "../../../rpc/rpc-error.ts";
import { signingAlgorithmOf, type VerificationKey } from "../jwt.ts";
import { ServiceAccountKeys, type TokenClaims, type TokenKeys } from "../service-account-keys.ts";
import type { ExternalSignerMetrics } from "./external-signer-metrics.ts";
import type { ExternalKey, FetchKeysResponse } from "./protocol.ts";

export interface ExternalKeysDeps {
  readonly fetchKeys: () => Promise<FetchKeysResponse>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ExternalSignerMetrics;
}

interface Fetched {
  readonly keys: ServiceAccountKeys;
  readonly published: readonly VerificationKey[];
  /** What tells it from another: the keys as they came. */
  readonly identity: string;
}

const afterFailureMs = 10_000;
const maxIdLength = 1024;
const nothing: Fetched = { keys: new ServiceAccountKeys([]), published: [], identity: "" };

export class ExternalKeys implements TokenKeys, Running {
  readonly #deps: ExternalKeysDeps;
  #fetched: Fetched = nothing;
  /** When the signer wants to be asked again. */
  #refreshAtMs = 0;
  #fetching: Promise<void> | undefined;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(deps: ExternalKeysDeps) {
    this.#deps = deps;
  }

  /** Resolves when the keys are there; rejects with upstream's text. */
  async start(): Promise<void> {
    try {
      await this.#fetch();
    } catch (error) {
      throw new Error(`while initially filling key cache: while performing initial cache fill: ${errorText(error)}`);
    }
    this.#schedule(this.#refreshAtMs - this.#deps.clock.monotonic());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  get published(): readonly VerificationKey[] {
    return this.#fetched.published;
  }

  get maxAgeSeconds(): number {
    return Math.max(0, Math.trunc((this.#refreshAtMs - this.#deps.clock.monotonic()) / 1000));
  }

  claimsOf(token: string, isIssuer: (issuer: string) => boolean): TokenClaims | undefined | Promise<TokenClaims | undefined> {
    if (this.#fetched.keys.mayKnow(token, isIssuer)) return this.#fetched.keys.claimsOf(token, isIssuer);
    return this.#refreshed().then(() => this.#fetched.keys.claimsOf(token, isIssuer));
  }

  /** Whether the signer says that this key signs nothing any more. */
  async isRetired(id: string): Promise<boolean> {
    if (!this.#fetched.keys.all.some((key) => key.id === id)) await this.#refreshed();
    return this.#fetched.keys.all.some((key) => key.id === id && key.isRetired);
  }

  async #refreshed(): Promise<void> {
    try {
      await this.#fetch();
    } catch (error) {
      this.#deps.logger.error("Keys of the external signer not fetched", { error: errorText(error) });
    }
  }

  #schedule(afterMs: number): void {
    if (this.#stopped) return;
    this.#timer = this.#deps.clock.after(afterMs, () => void this.#refresh());
  }

  async #refresh(): Promise<void> {
    try {
      await this.#fetch();
      this.#schedule(this.#refreshAtMs - this.#deps.clock.monotonic());
    } catch (error) {
      this.#deps.logger.error("Keys of the external signer not fetched, the old ones stay", { error: errorText(error) });
      this.#schedule(afterFailureMs);
    }
  }

  /** One call at a time, whoever asks. */
  #fetch(): Promise<void> {
    this.#fetching ??= this.#fetchNow().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetchNow(): Promise<void> {
    const { fetchKeys, clock, metrics } = this.#deps;
    try {
      const response = await fetchKeys().catch((cause: unknown) => {
        throw new Error(`while getting externally supported jwt signing keys: ${goRpcText(cause)}`, { cause });
      });
      const dataSeconds = checkedSeconds(response);
      const identity = identityOf(response);
      const keys = response.keys.map(keyOf);
      if (identity !== this.#fetched.identity)
        this.#fetched = { keys: new ServiceAccountKeys(keys), published: keys.filter((key) => !key.isRetired), identity };
      this.#refreshAtMs = clock.monotonic() + response.refreshHintSeconds * 1000;
      metrics.fetched({ dataSeconds });
    } catch (error) {
      metrics.fetched({ error });
      // With what caused it in its text.
      throw new Error(`while fetching token verification keys: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** Throws what is wrong with the answer as a whole. */
function checkedSeconds({ keys, refreshHintSeconds, dataTimestamp: at }: FetchKeysResponse): number {
  if (refreshHintSeconds <= 0) throw new Error(`found invalid refresh hint (${refreshHintSeconds}s)`);
  if (keys.length === 0) throw new Error("found no keys");
  if (!at) throw new Error("invalid data timestamp: proto: invalid nil Timestamp");
  return at.seconds + at.nanos / 1e9;
}

function keyOf({ keyId: id, key: der, excludeFromOidcDiscovery }: ExternalKey): VerificationKey {
  if (id === "" || Buffer.byteLength(id) > maxIdLength) throw new Error(`found invalid public key id ${JSON.stringify(id)}`);
  if (der.length === 0) throw new Error("found empty public key");
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
    return { id, key, algorithm: signingAlgorithmOf(key), ...(excludeFromOidcDiscovery ? { isRetired: true } : {}) };
  } catch (cause) {
    throw new Error(`while parsing external public keys: key ${JSON.stringify(id)}: ${errorText(cause)}`);
  }
}

const identityOf = ({ keys }: FetchKeysResponse): string =>
  JSON.stringify(
    keys.map(({ keyId, key, excludeFromOidcDiscovery }) => [keyId, Buffer.from(key).toString("base64"), excludeFromOidcDiscovery]),
  );
