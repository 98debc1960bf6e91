// A KMS plugin as a transformer. Values are encrypted here, with a seed that the plugin has encrypted once; it is asked again
// when its key changes, and to decrypt seeds that are not known yet. Its status is asked for every minute, every ten seconds
// while it is not well, and by health checks where what is known is older than 20 or 3 seconds; a seed that the plugin has not
// confirmed for three minutes encrypts nothing more.
import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { LruMap } from "../../base/lru-map.ts";
import { goRpcText, RpcError } from "../../rpc/rpc-error.ts";
import { contentHash } from "../configuration/reload-metrics.ts";
import { aesGcm, seededAesGcm } from "./ciphers.ts";
import type { KmsFigures } from "./encryption-metrics.ts";
import { decodeEnvelope, type Envelope, encodeEnvelope, envelopeProblem, keyIdProblem, sourceTypes } from "./envelope.ts";
import type { KeyManagementService, StatusResponse } from "./generated/kms-v2.ts";
import { type Cipher, DecryptError, type Plain, type PrefixedTransformer } from "./transformer.ts";

export interface KmsProviderDeps {
  readonly service: KeyManagementService;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly figures: KmsFigures;
}

export interface KmsProviderOptions {
  readonly name: string;
  /** Of every call. */
  readonly timeoutMs: number;
}

const wellPeriodMs = 60_000;
const unwellPeriodMs = 10_000;
/** How long health checks take a status as known. */
const wellKnownMs = 20_000;
const unwellKnownMs = 3000;
const validMs = 3 * 60_000;
/** Decrypted seeds: one for each key of the KMS and each start of a server, in practice. */
const maxSeeds = 1000;
const seedBytes = 32;

interface WriteState {
  readonly cipher: Cipher;
  readonly envelope: Omit<Envelope, "encryptedData">;
  /** By the clock that is never set. */
  expiresAtMs: number;
}

export class KmsProvider implements Running {
  readonly name: string;
  readonly #deps: KmsProviderDeps;
  /** Of every call. */
  readonly timeoutMs: number;
  readonly #seeds = new LruMap<string, Cipher>(maxSeeds);
  #state: WriteState | undefined;
  #problem: Error | undefined = new Error("its status has not been asked for yet");
  #timer: Timer | undefined;
  #polling: Promise<Error | undefined> | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #stopped = false;
  /** Of the interface: it stays what it was first. */
  #version: string | undefined;

  constructor(deps: KmsProviderDeps, options: KmsProviderOptions) {
    this.#deps = deps;
    this.name = options.name;
    this.timeoutMs = options.timeoutMs;
  }

  /** Asks for its status now and from time to time. Resolves when it has been asked once. */
  async start(): Promise<void> {
    await this.#poll();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Throws what is wrong with the plugin. */
  async check(): Promise<void> {
    const knownMs = this.#problem ? unwellKnownMs : wellKnownMs;
    const isDue = !this.#stopped && this.#deps.clock.monotonic() - this.#askedAtMs >= knownMs;
    const problem = isDue ? await this.#poll() : this.#problem;
    if (problem) throw problem;
  }

  get transformer(): PrefixedTransformer {
    return {
      prefix: `k8s:enc:kms:v2:${this.name}:`,
      transformer: {
        encrypt: (plain, storageKey) => this.#encrypt(plain, storageKey),
        decrypt: (stored, storageKey) => this.#decrypt(stored, storageKey),
      },
    };
  }

  #encrypt(plain: Uint8Array, storageKey: string): Uint8Array {
    const state = this.#writeState();
    if (this.#deps.clock.monotonic() > state.expiresAtMs)
      throw new Error(`KMS ${this.name}: its seed has not been confirmed for ${validMs / 1000} s`);
    this.#deps.figures.used("to_storage", state.envelope.keyId);
    return encodeEnvelope({ ...state.envelope, encryptedData: state.cipher.encrypt(plain, storageKey) });
  }

  #decrypt(stored: Uint8Array, storageKey: string): Plain | Promise<Plain> {
    const envelope = decodeEnvelope(stored);
    const { envelope: writes } = this.#writeState();
    const stale = envelope.keyId !== writes.keyId || envelope.sourceType !== writes.sourceType;
    const open = (cipher: Cipher): Plain => {
      this.#deps.figures.used("from_storage", envelope.keyId);
      return { bytes: cipher.decrypt(envelope.encryptedData, storageKey), stale };
    };
    const id = sourceId(envelope);
    const known = this.#seeds.get(id);
    return known ? open(known) : this.#source(envelope, id).then(open);
  }

  #writeState(): WriteState {
    if (!this.#state) throw new DecryptError(`KMS ${this.name} is not ready`, { cause: this.#problem });
    return this.#state;
  }

  async #source(envelope: Envelope, id: string): Promise<Cipher> {
    const { encryptedSource: ciphertext, keyId, annotations, sourceType } = envelope;
    const call = { ciphertext, uid: randomUUID(), keyId, annotations };
    let plaintext: Uint8Array;
    this.#deps.figures.seedAsked();
    try {
      ({ plaintext } = await this.#timed("Decrypt", (options) => this.#deps.service.decrypt(call, options)));
    } catch (cause) {
      throw new DecryptError(`failed to decrypt DEK with KMS ${this.name}`, { cause });
    }
    const cipher = sourceType === sourceTypes.seed ? seededAesGcm(plaintext) : aesGcm(plaintext);
    this.#keep(id, cipher);
    return cipher;
  }

  #keep(id: string, cipher: Cipher): void {
    this.#seeds.set(id, cipher);
    this.#deps.figures.seeds(this.#seeds.size);
  }

  async #timed<T>(method: "Status" | "Encrypt" | "Decrypt", call: (options: { readonly timeoutMs: number }) => Promise<T>): Promise<T> {
    const { clock, figures } = this.#deps;
    const begunMs = clock.monotonic();
    try {
      const answer = await call({ timeoutMs: this.timeoutMs });
      figures.called(method, clock.monotonic() - begunMs);
      return answer;
    } catch (error) {
      figures.called(method, clock.monotonic() - begunMs, error);
      throw error;
    }
  }

  /** Who asks at the same time shares the answer: what is wrong, in the words for who has asked. */
  #poll(): Promise<Error | undefined> {
    this.#polling ??= this.#ask().finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  async #ask(): Promise<Error | undefined> {
    this.#timer?.cancel();
    let told: Error | undefined;
    try {
      await this.#refresh();
      this.#problem = undefined;
    } catch (error) {
      told = error instanceof Error ? error : new Error(String(error));
      // Afterwards upstream repeats the plugin's words alone.
      this.#problem = told.cause instanceof RpcError ? new Error(goRpcText(told.cause), { cause: told.cause }) : told;
      this.#deps.logger.warn("KMS is not well", { provider: this.name, error });
    }
    this.#askedAtMs = this.#deps.clock.monotonic();
    if (!this.#stopped) this.#timer = this.#deps.clock.after(this.#problem ? unwellPeriodMs : wellPeriodMs, () => void this.#poll());
    return told;
  }

  /** Asks for its status; a new key gets a new seed. Throws what health checks tell. */
  async #refresh(): Promise<void> {
    const { service } = this.#deps;
    let status: StatusResponse;
    try {
      status = await this.#timed("Status", (options) => service.status({}, options));
    } catch (cause) {
      throw new Error(`failed to perform status section of the healthz check for KMS Provider ${this.name}, error: ${goRpcText(cause)}`, {
        cause,
      });
    }
    const problems = await this.#problemsOf(status);
    if (problems.length === 0) return;
    const text = problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`;
    throw new Error(`kmsv2 Provider ${this.name} is not healthy, error: ${text}`);
  }

  async #problemsOf({ version, healthz, keyId }: StatusResponse): Promise<readonly string[]> {
    const { figures } = this.#deps;
    const problems: string[] = [];
    if (healthz !== "ok") problems.push(`got unexpected healthz status: ${healthz}`);
    if (version !== "v2" && version !== "v2beta1") problems.push(`expected KMSv2 API version v2, got ${version}`);
    else if (version !== (this.#version ??= version))
      problems.push(`KMSv2 API version should not change after the initial status response version ${this.#version}, got ${version}`);
    const problem = keyIdProblem(keyId);
    if (problem !== undefined) {
      figures.refused(keyId === "" ? "empty" : "too_long");
      problems.push(`got invalid KMSv2 KeyID hash ${JSON.stringify(keyId === "" ? "" : contentHash(keyId))}: ${problem}`);
      return problems;
    }
    figures.told(keyId);
    try {
      await this.#rotate(keyId);
    } catch (error) {
      problems.push(errorText(error));
    }
    return problems;
  }

  /** Confirms the seed in use, or makes one for the key that is new. */
  async #rotate(keyId: string): Promise<void> {
    const { service, clock, logger, figures } = this.#deps;
    if (this.#state?.envelope.keyId === keyId) {
      this.#state.expiresAtMs = clock.monotonic() + validMs;
      return;
    }
    const begunMs = clock.monotonic();
    const seed = randomBytes(seedBytes);
    figures.seedMade(clock.monotonic() - begunMs);
    const encrypted = await this.#timed("Encrypt", (options) => service.encrypt({ plaintext: seed, uid: randomUUID() }, options));
    const envelope = {
      keyId: encrypted.keyId,
      encryptedSource: encrypted.ciphertext,
      annotations: encrypted.annotations,
      sourceType: sourceTypes.seed,
    };
    const problem = envelopeProblem(envelope);
    if (problem !== undefined) throw new Error(problem);
    const cipher = seededAesGcm(seed);
    this.#keep(sourceId(envelope), cipher);
    this.#state = { cipher, envelope, expiresAtMs: clock.monotonic() + validMs };
    logger.info("KMS key in use", { provider: this.name }, 2);
    if (encrypted.keyId !== keyId) throw new Error("the key that encrypts is not the one of its status: it is changing keys");
  }
}

/** Names an encrypted seed: all that the KMS needs to decrypt it. */
function sourceId({ keyId, encryptedSource, annotations, sourceType }: Omit<Envelope, "encryptedData">): string {
  const hash = createHash("sha256")
    .update(`${sourceType}/${Buffer.byteLength(keyId)}/${keyId}/${encryptedSource.length}/`)
    .update(encryptedSource);
  for (const name of Object.keys(annotations).sort()) {
    const value = annotations[name] ?? new Uint8Array();
    hash.update(`${name}/${value.length}/`).update(value);
  }
  return hash.digest("base64");
}
