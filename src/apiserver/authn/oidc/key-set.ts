// The keys of an OpenID provider (a JSON Web Key Set). They are fetched when a token is signed with one that is not known, at
// most once at a time, and not before the provider's cache headers say that there may be others.
import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import type { Clock } from "../../../base/clock.ts";
import { type AlgorithmName, isSignedWith } from "../jwt.ts";
import type { Fetched, HttpsGet } from "./https-get.ts";
import type { IssuerFigures } from "./jwt-metrics.ts";

interface ProviderKey {
  readonly id: string;
  readonly key: KeyObject;
}

/** What a token's header says of its signature. */
export interface SignatureClaims {
  /** "": any key may have signed it. */
  readonly keyId: string;
  readonly algorithm: AlgorithmName;
  /** False where the header asks for something that nobody here understands: no signature will do. */
  readonly isOrdinary: boolean;
}

const maxKeys = 1000;
/** Keys may be fetched again this long before they expire. */
const expiryDeltaMs = 30_000;

export type KeyFigures = Pick<IssuerFigures, "keysFetched" | "keysNotFetched">;

export interface KeySetDeps {
  readonly get: HttpsGet;
  readonly clock: Clock;
  readonly figures?: KeyFigures | undefined;
}

export class ProviderKeySet {
  readonly #url: string;
  readonly #get: HttpsGet;
  readonly #clock: Clock;
  readonly #figures: KeyFigures | undefined;
  #keys: readonly ProviderKey[] = [];
  /** By the clock that is never set. */
  #expiresAtMs = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | undefined;

  constructor(url: string, deps: KeySetDeps) {
    this.#url = url;
    this.#get = deps.get;
    this.#clock = deps.clock;
    this.#figures = deps.figures;
  }

  /** Throws where none of the provider's keys has signed the token, or they cannot be fetched. */
  async verify(token: string, { keyId, algorithm, isOrdinary }: SignatureClaims): Promise<void> {
    const isKnown = (): boolean =>
      isOrdinary && this.#keys.some(({ id, key }) => (keyId === "" || id === keyId) && isSignedWith(token, key, algorithm));
    if (isKnown()) return;
    const failure = "failed to verify signature: failed to verify id token signature";
    if (this.#clock.monotonic() + expiryDeltaMs <= this.#expiresAtMs) throw new Error(failure);
    this.#fetching ??= this.#fetch()
      .catch((error: unknown) => {
        this.#figures?.keysNotFetched();
        throw error;
      })
      .finally(() => {
        this.#fetching = undefined;
      });
    await this.#fetching;
    if (!isKnown()) throw new Error(failure);
  }

  async #fetch(): Promise<void> {
    let answer: Fetched;
    try {
      answer = await this.#get(this.#url);
    } catch (error) {
      throw new Error(`failed to verify signature: fetching keys oidc: get keys failed ${(error as Error).message}`);
    }
    if (answer.status !== 200) throw new Error(`failed to verify signature: fetching keys oidc: get keys failed: ${answer.statusText}`);
    this.#keys = readKeys(answer.body);
    this.#expiresAtMs = this.#clock.monotonic() + maxAgeMs(answer);
    this.#figures?.keysFetched(answer.body);
  }
}

/** Keys that are not for signatures, or of a kind that tokens are not signed with, are passed over. */
function readKeys(text: string): readonly ProviderKey[] {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch (error) {
    throw new Error("failed to verify signature: fetching keys oidc: failed to decode keys", { cause: error });
  }
  const { keys } = (set ?? {}) as { readonly keys?: unknown };
  if (!Array.isArray(keys)) return [];
  return keys.slice(0, maxKeys).flatMap((jwk: JsonWebKey) => {
    if (jwk?.kty !== "RSA" && jwk?.kty !== "EC") return [];
    try {
      return [{ id: typeof jwk.kid === "string" ? jwk.kid : "", key: createPublicKey({ key: jwk, format: "jwk" }) }];
    } catch {
      return []; // a key that cannot be read signs nothing
    }
  });
}

/** Without a word of the provider the keys count as expired at once. */
function maxAgeMs({ headers }: Fetched): number {
  const directives = headers["cache-control"] ?? "";
  if (/no-store|no-cache/.test(directives)) return 0;
  const seconds = /(?:^|[,\s])max-age=(\d+)/.exec(directives)?.[1];
  return seconds === undefined ? 0 : Number(seconds) * 1000;
}
