// Opens the store that an API server's settings ask for, and has its history compacted.
import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { EtcdSettings } from "../../apiserver/etcd-options.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { startCompactor } from "../../storage/compactor.ts";
import type { Store } from "../../storage/store.ts";
import { CommandError } from "../command-error.ts";

export interface OpenStore {
  readonly store: Store;
  /** Before every key: "/registry/". */
  readonly prefix: string;
  readonly compactor: Running;
  /** Asks each server that keeps the objects; rejects when it does not answer. */
  readonly checks: readonly (() => Promise<void>)[];
  /** How large the file is that holds the objects, where it is this process's. */
  readonly sizeBytes?: () => number | undefined;
}

const maxRevisionsInMemory = 8_000;

interface OpenStoreDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

export async function openStore(settings: ApiServerSettings, { clock, logger }: OpenStoreDependencies): Promise<OpenStore> {
  const log = logger.named("compactor");
  if (settings.etcd) {
    const { store, prefix, checks } = await openEtcd(settings.etcd, { clock, logger });
    const { startSharedCompactor } = await import("../../storage/etcd/shared-compactor.ts");
    const compactor = startSharedCompactor({ store, clock, log }, { intervalMs: settings.etcd.compactionIntervalMs });
    return { store, prefix, checks, compactor };
  }
  if (settings.storage === "memory") {
    const store = (await import("../../storage/memory.ts")).createMemoryStore({ clock });
    // All history lies in memory: of a busy cluster less is kept than five minutes of it.
    const compactor = startCompactor({ store, clock, log }, { maxRevisions: maxRevisionsInMemory });
    return { store, prefix: "/registry/", checks: [checkOf(store)], compactor };
  }
  const store = await openLmdb(settings, clock);
  const file = join(settings.dataDir, "lmdb", "data.mdb");
  return {
    ...{ store, prefix: "/registry/", checks: [checkOf(store)], compactor: startCompactor({ store, clock, log }) },
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

/** Connected when it resolves, so that a wrong address or certificate is told at once. */
async function openEtcd(etcd: EtcdSettings, { clock, logger }: OpenStoreDependencies): Promise<Omit<OpenStore, "compactor">> {
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
    throw new CommandError(`--etcd-servers: ${errorText(error)}`);
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
