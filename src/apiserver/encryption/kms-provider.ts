// A KMS plugin as a transformer. Values are encrypted here, with a seed that the plugin has encrypted once; it is asked again
// when its key changes, and to decrypt seeds that are not known yet. Its status is asked for every minute, every ten seconds
// while it is not well; a seed that the plugin has not confirmed for three minutes encrypts nothing more.
import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { LruMap } from "../../base/lru-map.ts";
import { aesGcm, seededAesGcm } from "./ciphers.ts";
import { decodeEnvelope, type Envelope, encodeEnvelope, envelopeProblem, sourceTypes } from "./envelope.ts";
import type { KeyManagementService } from "./generated/kms-v2.ts";
import { type Cipher, DecryptError, type Plain, type PrefixedTransformer } from "./transformer.ts";

export interface KmsProviderDeps {
  readonly service: KeyManagementService;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface KmsProviderOptions {
  readonly name: string;
  /** Of every call. */
  readonly timeoutMs: number;
}

const wellPeriodMs = 60_000;
const unwellPeriodMs = 10_000;
const validMs = 3 * 60_000;
/** Decrypted seeds: one for each key of the KMS and each start of a server, in practice. */
const maxSeeds = 1000;
const seedBytes = 32;

interface WriteState {
  readonly cipher: Cipher;
  readonly envelope: Omit<Envelope, "encryptedData">;
  expiresAtMs: number;
}

export class KmsProvider implements Running {
  readonly name: string;
  readonly #deps: KmsProviderDeps;
  readonly #timeoutMs: number;
  readonly #seeds = new LruMap<string, Cipher>(maxSeeds);
  #state: WriteState | undefined;
  #problem: Error | undefined = new Error("its status has not been asked for yet");
  #timer: Timer | undefined;
  #stopped = false;

  constructor(deps: KmsProviderDeps, options: KmsProviderOptions) {
    this.#deps = deps;
    this.name = options.name;
    this.#timeoutMs = options.timeoutMs;
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
  check(): void {
    if (this.#problem) throw this.#problem;
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
    if (this.#deps.clock.now() > state.expiresAtMs)
      throw new Error(`KMS ${this.name}: its seed has not been confirmed for ${validMs / 1000} s`);
    return encodeEnvelope({ ...state.envelope, encryptedData: state.cipher.encrypt(plain, storageKey) });
  }

  #decrypt(stored: Uint8Array, storageKey: string): Plain | Promise<Plain> {
    const envelope = decodeEnvelope(stored);
    const { envelope: writes } = this.#writeState();
    const stale = envelope.keyId !== writes.keyId || envelope.sourceType !== writes.sourceType;
    const open = (cipher: Cipher): Plain => ({ bytes: cipher.decrypt(envelope.encryptedData, storageKey), stale });
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
    try {
      ({ plaintext } = await this.#deps.service.decrypt(call, { timeoutMs: this.#timeoutMs }));
    } catch (cause) {
      throw new DecryptError(`failed to decrypt DEK with KMS ${this.name}`, { cause });
    }
    const cipher = sourceType === sourceTypes.seed ? seededAesGcm(plaintext) : aesGcm(plaintext);
    this.#seeds.set(id, cipher);
    return cipher;
  }

  async #poll(): Promise<void> {
    try {
      await this.#refresh();
      this.#problem = undefined;
    } catch (error) {
      this.#problem = new Error(`KMS ${this.name} is not well`, { cause: error });
      this.#deps.logger.warn("KMS is not well", { provider: this.name, error });
    }
    if (!this.#stopped) this.#timer = this.#deps.clock.after(this.#problem ? unwellPeriodMs : wellPeriodMs, () => void this.#poll());
  }

  async #refresh(): Promise<void> {
    const { service, clock, logger } = this.#deps;
    const { version, healthz, keyId } = await service.status({}, { timeoutMs: this.#timeoutMs });
    if (healthz !== "ok") throw new Error(`got unexpected healthz status: ${healthz}`);
    if (version !== "v2" && version !== "v2beta1") throw new Error(`expected KMSv2 API version v2, got ${version}`);
    if (keyId === "") throw new Error("expected KMSv2 KeyID to be set, got empty");
    if (this.#state?.envelope.keyId === keyId) {
      this.#state.expiresAtMs = clock.now() + validMs;
      return;
    }
    const seed = randomBytes(seedBytes);
    const encrypted = await service.encrypt({ plaintext: seed, uid: randomUUID() }, { timeoutMs: this.#timeoutMs });
    const envelope = {
      keyId: encrypted.keyId,
      encryptedSource: encrypted.ciphertext,
      annotations: encrypted.annotations,
      sourceType: sourceTypes.seed,
    };
    const problem = envelopeProblem(envelope);
    if (problem !== undefined) throw new Error(problem);
    const cipher = seededAesGcm(seed);
    this.#seeds.set(sourceId(envelope), cipher);
    this.#state = { cipher, envelope, expiresAtMs: clock.now() + validMs };
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
