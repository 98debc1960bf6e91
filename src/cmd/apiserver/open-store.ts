// Opens the store that an API server's settings ask for, and has its history compacted.
import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ResourceType } from "../../api/resource-type.ts";
import { builtInResources } from "../../api/resources.generated.ts";
import type { EtcdOverride, EtcdSettings } from "../../apiserver/etcd-options.ts";
import type { HealthCheck } from "../../apiserver/health.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { startCompactor } from "../../storage/compactor.ts";
import type { Store } from "../../storage/store.ts";
import { CommandError } from "../command-error.ts";
import type { Tracing } from "./tracing.ts";

export interface OpenStore {
  readonly store: Store;
  /** Other stores, of single resources. */
  readonly others: readonly ResourceStoreElsewhere[];
  /** Before every key: "/registry/". */
  readonly prefix: string;
  readonly compactor: Running;
  /** Asks each server that keeps the objects; rejects when it does not answer. */
  readonly checks: readonly (() => Promise<void>)[];
  /** How large the file is that holds the objects, where it is this process's. */
  readonly sizeBytes?: () => number | undefined;
}

/** A store that holds nothing but some resources. */
export interface ResourceStoreElsewhere {
  readonly store: Store;
  readonly holds: (type: ResourceType) => boolean;
}

const maxRevisionsInMemory = 8_000;

interface OpenStoreDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

export async function openStore(settings: ApiServerSettings, { clock, logger }: OpenStoreDependencies): Promise<OpenStore> {
  const log = logger.named("compactor");
  if (settings.etcd) {
    const { etcd } = settings;
    const { store, prefix, checks } = await openEtcd(etcd, { clock, logger });
    const { startSharedCompactor } = await import("../../storage/etcd/shared-compactor.ts");
    const stack = new StopStack();
    const compact = (of: Store) => stack.add(startSharedCompactor({ store: of, clock, log }, { intervalMs: etcd.compactionIntervalMs }));
    compact(store);
    const { others, otherChecks } = await openOthers(etcd, { clock, logger }).catch(async (error: unknown) => {
      await stack.stop();
      await store.close();
      throw error;
    });
    for (const other of others) compact(other.store);
    return { store, others, prefix, checks: [...checks, ...otherChecks], compactor: stack };
  }
  if (settings.storage === "memory") {
    const store = (await import("../../storage/memory.ts")).createMemoryStore({ clock });
    // All history lies in memory: of a busy cluster less is kept than five minutes of it.
    const compactor = startCompactor({ store, clock, log }, { maxRevisions: maxRevisionsInMemory });
    return { store, others: [], prefix: "/registry/", checks: [checkOf(store)], compactor };
  }
  const store = await openLmdb(settings, clock);
  const file = join(settings.dataDir, "lmdb", "data.mdb");
  return {
    ...{ store, others: [], prefix: "/registry/", checks: [checkOf(store)], compactor: startCompactor({ store, clock, log }) },
    // As it is on the disk: such files have holes.
    sizeBytes: () => diskBytes(file),
  };
}

const blockBytes = 512;

const diskBytes = (file: string): number | undefined => {
  const found = statSync(file, { throwIfNoEntry: false });
  return found && found.blocks * blockBytes;
};

const checkOf = (store: Store) => async (): Promise<void> => void (await store.currentRevision());

async function openLmdb({ dataDir }: ApiServerSettings, clock: Clock): Promise<Store> {
  const { createLmdbStore } = await import("../../storage/lmdb.ts");
  try {
    return await createLmdbStore({ dir: join(dataDir, "lmdb"), clock });
  } catch (error) {
    throw new CommandError(`--data-dir: ${errorText(error)}`);
  }
}

interface OthersOpened {
  readonly others: readonly ResourceStoreElsewhere[];
  readonly otherChecks: OpenStore["checks"];
}

/** The stores of --etcd-servers-overrides: one for all resources that lie in the same servers. */
async function openOthers(etcd: EtcdSettings, deps: OpenStoreDependencies): Promise<OthersOpened> {
  const byServers = new Map<string, readonly EtcdOverride[]>();
  for (const override of etcd.overrides) {
    const known = builtInResources.some(({ group, resource }) => group === override.group && resource === override.resource);
    if (!known) throw new CommandError(`--etcd-servers-overrides: ${override.group}/${override.resource} is no built-in resource`);
    const key = override.servers.toSorted().join(";");
    byServers.set(key, [...(byServers.get(key) ?? []), override]);
  }
  const others: ResourceStoreElsewhere[] = [];
  const otherChecks: (() => Promise<void>)[] = [];
  try {
    for (const overrides of byServers.values()) {
      const { servers } = overrides[0] as EtcdOverride; // of one entry each at least
      const { store, checks } = await openEtcd({ ...etcd, servers }, { ...deps, flag: "etcd-servers-overrides" });
      const resources = new Set(overrides.map(({ group, resource }) => `${group}/${resource}`));
      others.push({ store, holds: ({ group, resource }) => resources.has(`${group}/${resource}`) });
      otherChecks.push(...checks);
    }
  } catch (error) {
    for (const { store } of others) await store.close();
    throw error;
  }
  return { others, otherChecks };
}

/** Connected when it resolves, so that a wrong address or certificate is told at once. */
async function openEtcd(
  etcd: EtcdSettings,
  { clock, logger, flag = "etcd-servers" }: OpenStoreDependencies & { readonly flag?: string },
): Promise<Pick<OpenStore, "store" | "prefix" | "checks">> {
  const [{ EtcdStore }, ca, cert, key] = await Promise.all([
    import("../../storage/etcd/etcd-store.ts"),
    readPem("etcd-cafile", etcd.caFile),
    readPem("etcd-certfile", etcd.certFile),
    readPem("etcd-keyfile", etcd.keyFile),
  ]);
  const tls = { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
  const prefix = `${etcd.prefix}/`;
  let store: Store | undefined;
  try {
    store = new EtcdStore({ clock, log: logger.named("etcd") }, { servers: etcd.servers, tls, prefix });
    await store.currentRevision();
    const checks = etcd.servers.map((server) => async () => {
      const own = new EtcdStore({ clock }, { servers: [server], tls, prefix });
      try {
        await own.currentRevision();
      } finally {
        await own.close();
      }
    });
    return { store, prefix, checks };
  } catch (error) {
    await store?.close();
    throw new CommandError(`--${flag}: ${errorText(error)}`);
  }
}

async function readPem(flag: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    throw new CommandError(`--${flag}: ${errorText(error)}`);
  }
}

/** The store of a resource that has one of its own. */
export function storeElsewhere(
  others: readonly ResourceStoreElsewhere[],
  tracing: Pick<Tracing, "store">,
): (type: ResourceType) => Store | undefined {
  const traced = others.map(({ store, holds }) => ({ holds, store: tracing.store(store, "etcd") }));
  return (type) => traced.find(({ holds }) => holds(type))?.store;
}

/** Health checks of stores of single resources, by upstream's names. */
export function overrideChecks(
  others: readonly ResourceStoreElsewhere[],
  { storageChecks: { healthTimeoutMs, readyTimeoutMs } }: ApiServerSettings,
): readonly HealthCheck[] {
  const each = (name: string, more: Partial<HealthCheck>): HealthCheck[] =>
    others.map(({ store }, i) => ({ name: `${name}-${i}`, check: checkOf(store), ...more }));
  return [
    ...each("etcd-override", { group: "etcd", timeoutMs: healthTimeoutMs }),
    ...each("etcd-override-readiness", { group: "etcd-readiness", timeoutMs: readyTimeoutMs, readinessOnly: true }),
  ];
}
