// Encryption at rest as configured by a file: gives every resource that it names a store that encrypts. With automatic reload
// the file is looked at every ten seconds; a new one is used when all of it is right and its KMS plugins answer, else the old
// one stays.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { groupResourceOf } from "../../api/resource-type.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Store } from "../../storage/store.ts";
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
  readonly hash: string;
  readonly config: readonly ResourceEncryption[];
  readonly transformers: ReadonlyMap<ResourceEncryption, Transformer>;
  readonly plugins: readonly KmsProvider[];
}

const reloadPeriodMs = 10_000;
const plain = firstOf([identity]);

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

/** As upstream names them: one for each plugin, or one for all where plugins may come and go. */
function healthChecks(automaticReload: boolean, plugins: () => readonly KmsProvider[]): readonly HealthCheck[] {
  const checkAll = (): void => {
    for (const plugin of plugins()) plugin.check();
  };
  if (automaticReload) return [{ name: "kms-providers", check: checkAll }];
  return plugins().map((plugin, i) => ({ name: `kms-provider-${i}`, check: () => plugin.check() }));
}

async function load(text: string, deps: LoadDeps): Promise<Loaded> {
  const config = await parseEncryptionConfig(text);
  const stack = new StopStack();
  const plugins: KmsProvider[] = [];
  const transformers = new Map<ResourceEncryption, Transformer>();
  for (const entry of config) {
    const list: PrefixedTransformer[] = [];
    for (const provider of entry.providers) list.push(...(await transformersOf(provider, deps, stack, plugins)));
    transformers.set(entry, firstOf(list));
  }
  // Those that do not answer are the business of health checks.
  await Promise.all(plugins.map((plugin) => plugin.start()));
  const hash = createHash("sha256").update(text).digest("hex");
  return { hash, config, transformers, plugins, stop: () => stack.stop() };
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
  const connection = connectRpc({ endpoint, timeoutMs });
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
  const { reloads } = deps;
  let failedHash = "";
  let running = Promise.resolve();
  const reload = async (): Promise<void> => {
    const before = current();
    let hash = "";
    try {
      const text = await readFile(path, "utf8");
      hash = createHash("sha256").update(text).digest("hex");
      if (hash === before.hash) return;
      const next = await load(text, deps);
      try {
        for (const plugin of next.plugins) plugin.check();
      } catch (error) {
        await next.stop();
        throw error;
      }
      use(next);
      await before.stop();
      reloads.succeeded(`sha256:${hash}`);
      deps.logger.info("Encryption configuration reloaded", { path });
    } catch (error) {
      if (hash !== "" && hash === failedHash) return;
      failedHash = hash;
      reloads.failed();
      deps.logger.error("Encryption configuration not reloaded, the old one stays", { path, error });
    }
  };
  let busy = false;
  const timer = deps.clock.every(reloadPeriodMs, () => {
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
    },
  };
}
