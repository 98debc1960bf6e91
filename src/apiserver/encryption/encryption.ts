// Encryption at rest as configured by a file: gives every resource that it names a store that encrypts. With automatic reload
// the file is looked at every ten seconds; a new one is used when all of it is right and its KMS plugins answer, else the old
// one stays. What the old one still has under way with its plugins may end.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { groupResourceOf } from "../../api/resource-type.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Store } from "../../storage/store.ts";
import { joinProblems } from "../admission/refusal.ts";
import { createReloadMetrics, type ReloadMetrics } from "../configuration/reload-metrics.ts";
import type { HealthCheck } from "../health.ts";
import { encryptionOf, type KmsConfig, type ProviderConfig, parseEncryptionConfig, type ResourceEncryption } from "./encryption-config.ts";
import { createEncryptionMetrics, type EncryptionMetrics } from "./encryption-metrics.ts";
import type { KmsProvider } from "./kms-provider.ts";
import { firstOf, identity, ofCipher, type PrefixedTransformer, type Transformer } from "./transformer.ts";
import { TransformingStore } from "./transforming-store.ts";

export interface EncryptionDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

interface LoadDeps extends EncryptionDeps {
  readonly figures: EncryptionMetrics;
}

export interface EncryptionOptions {
  readonly path: string;
  readonly automaticReload: boolean;
}

export interface Encryption extends Running {
  /** The store for a resource's objects; undefined for one that is stored as it is. */
  storeFor(store: Store, resource: { readonly group: string; readonly resource: string }, prefix: string): TransformingStore | undefined;
  readonly healthChecks: readonly HealthCheck[];
}

/** One state of the file: transformers by entry, and the plugins behind them. */
interface Loaded extends Running {
  /** How long calls of its plugins may take at most. */
  readonly graceMs: number;
  readonly hash: string;
  readonly config: readonly ResourceEncryption[];
  readonly transformers: ReadonlyMap<ResourceEncryption, Transformer>;
  readonly plugins: readonly KmsProvider[];
}

const reloadPeriodMs = 10_000;
/** It is done when there is anybody to ask. */
const reloadHook = "poststarthook/start-encryption-provider-config-automatic-reload";
/** What the file does not name is not counted. */
const plain: Transformer = identity.transformer;

/** Throws ConfigError or the system's error. */
export async function createEncryption(given: EncryptionDeps, { path, automaticReload }: EncryptionOptions): Promise<Encryption> {
  const deps: LoadDeps = { ...given, figures: createEncryptionMetrics(given.metrics, given.clock) };
  const reloads = createReloadMetrics(given, "encryption");
  let loaded = await load(await readFile(path, "utf8"), deps);
  reloads.started(`sha256:${loaded.hash}`);
  const transformerOf = (group: string, resource: string): Transformer => {
    const entry = encryptionOf(loaded.config, group, resource);
    return (entry && loaded.transformers.get(entry)) ?? plain;
  };
  const reloading = automaticReload
    ? keepReloading(
        path,
        { ...deps, reloads },
        () => loaded,
        (next) => (loaded = next),
      )
    : undefined;
  return {
    storeFor(store, { group, resource }, prefix) {
      // What a later file may name has to go this way from the beginning.
      if (!automaticReload && !encryptionOf(loaded.config, group, resource)) return undefined;
      return new TransformingStore(
        store,
        () => transformerOf(group, resource),
        prefix,
        deps.figures.transformsOf(groupResourceOf({ group, resource })),
      );
    },
    healthChecks: healthChecks(automaticReload, () => loaded.plugins),
    async stop() {
      await reloading?.stop();
      await loaded.stop();
    },
  };
}

/** One for all plugins, which may come and go where the file is followed. A plugin outside is not mended by a restart of the server. */
function healthChecks(automaticReload: boolean, plugins: () => readonly KmsProvider[]): readonly HealthCheck[] {
  if (!automaticReload && plugins().length === 0) return [];
  const kms: HealthCheck = { name: "kms-providers", exceptLiveness: true, check: () => checkAll(plugins()) };
  return automaticReload ? [kms, { name: reloadHook, check: () => undefined }] : [kms];
}

/** Throws what is wrong with any of them. */
async function checkAll(plugins: readonly KmsProvider[]): Promise<void> {
  const results = await Promise.allSettled(plugins.map((plugin) => plugin.check()));
  const problems = results.flatMap((result, i) =>
    result.status === "rejected" ? [`kms-provider-${i}: ${(result.reason as Error).message}`] : [],
  );
  if (problems.length > 0) throw new Error(joinProblems(problems));
}

async function load(text: string, deps: LoadDeps): Promise<Loaded> {
  const config = await parseEncryptionConfig(text);
  const stack = new StopStack();
  const plugins: KmsProvider[] = [];
  const transformers = new Map<ResourceEncryption, Transformer>();
  const made = new Map<ProviderConfig, readonly PrefixedTransformer[]>();
  for (const provider of config.flatMap(({ providers }) => providers))
    if (!made.has(provider)) made.set(provider, await transformersOf(provider, deps, stack, plugins));
  for (const entry of config) transformers.set(entry, firstOf(entry.providers.flatMap((provider) => made.get(provider) ?? [])));
  // Those that do not answer are the business of health checks.
  await Promise.all(plugins.map((plugin) => plugin.start()));
  const hash = createHash("sha256").update(text).digest("hex");
  const graceMs = 2 * plugins.reduce((sum, { timeoutMs }) => sum + timeoutMs, 0);
  return { graceMs, hash, config, transformers, plugins, stop: () => stack.stop() };
}

async function transformersOf(
  provider: ProviderConfig,
  deps: LoadDeps,
  stack: StopStack,
  plugins: KmsProvider[],
): Promise<readonly PrefixedTransformer[]> {
  if (provider.kind === "identity") return [identity];
  if (provider.kind === "kms") {
    const plugin = stack.add(await connectPlugin(provider.kms, deps, stack));
    plugins.push(plugin);
    return [plugin.transformer];
  }
  const { kind, keys } = provider;
  const { aesCbc, aesGcm, secretBox } = await import("./ciphers.ts");
  const create = { aescbc: aesCbc, aesgcm: aesGcm, secretbox: secretBox }[kind];
  return Promise.all(keys.map(async ({ name, secret }) => ofCipher(`k8s:enc:${kind}:v1:${name}:`, await create(secret))));
}

async function connectPlugin({ name, endpoint, timeoutMs }: KmsConfig, deps: LoadDeps, stack: StopStack): Promise<KmsProvider> {
  const { connectRpc } = await import("../../rpc/client.ts");
  const { kmsV2 } = await import("./generated/kms-v2.ts");
  const { KmsProvider } = await import("./kms-provider.ts");
  // As upstream's, this form names a socket without a file.
  const address = endpoint.replace(/^unix:\/\/\/@/, "unix-abstract:");
  const connection = connectRpc({ endpoint: address, timeoutMs });
  stack.defer(() => connection.close());
  return new KmsProvider(
    { ...deps, figures: deps.figures.kms(name), service: connection.service(kmsV2, "KeyManagementService") },
    { name, timeoutMs },
  );
}

interface ReloadDeps extends LoadDeps {
  readonly reloads: ReloadMetrics;
}

function keepReloading(path: string, deps: ReloadDeps, current: () => Loaded, use: (next: Loaded) => void): Running {
  const { reloads, clock, logger } = deps;
  const replaced = new ReplacedConfigurations(clock);
  let lastProblem = "";
  let running = Promise.resolve();
  const reload = async (): Promise<void> => {
    try {
      const text = await readFile(path, "utf8");
      if (createHash("sha256").update(text).digest("hex") === current().hash) return;
      const next = await load(text, deps);
      try {
        await checkAll(next.plugins);
      } catch (error) {
        await next.stop();
        throw error;
      }
      replaced.add(current());
      use(next);
      lastProblem = "";
      reloads.succeeded(`sha256:${next.hash}`);
      logger.info("Encryption configuration reloaded", { path });
    } catch (error) {
      // Every attempt counts, and each problem is told once.
      reloads.failed();
      const problem = errorText(error);
      if (problem === lastProblem) return;
      lastProblem = problem;
      logger.error("Encryption configuration not reloaded, the old one stays", { path, error });
    }
  };
  let busy = false;
  const timer = clock.every(reloadPeriodMs, () => {
    if (busy) return;
    busy = true;
    running = reload().finally(() => {
      busy = false;
    });
  });
  return {
    async stop() {
      timer.cancel();
      await running;
      await replaced.stop();
    },
  };
}

/** Configurations that are used no more, until their calls must have ended. */
class ReplacedConfigurations implements Running {
  readonly #clock: Clock;
  readonly #waiting = new Map<Loaded, Timer>();
  readonly #stopping = new Set<Promise<void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(loaded: Loaded): void {
    this.#waiting.set(
      loaded,
      this.#clock.after(loaded.graceMs, () => {
        this.#waiting.delete(loaded);
        const stopping = loaded.stop().finally(() => this.#stopping.delete(stopping));
        this.#stopping.add(stopping);
      }),
    );
  }

  async stop(): Promise<void> {
    for (const timer of this.#waiting.values()) timer.cancel();
    await Promise.all([...this.#stopping, ...[...this.#waiting.keys()].map((loaded) => loaded.stop())]);
    this.#waiting.clear();
  }
}
