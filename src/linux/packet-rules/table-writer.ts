// Keeps one table of the kernel as a desired table says. Usually only what has changed is written, in one transaction. At the
// start, after a transaction that failed, and when the table does not consist of what it should, everything is written over
// what is there, also in one transaction: packets never meet half a table, and what an earlier run left goes with it.
import type { Clock } from "../../base/clock.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { Nftables } from "../nftables.ts";
import type { DesiredTable, TableChanges } from "./desired-table.ts";
import type { Chain } from "./rule-set.ts";
import {
  changeTransaction,
  fullTransaction,
  replacingTransaction,
  type TableName,
  type Transaction,
  type WrittenTable,
} from "./transaction.ts";

export interface TableWriterDeps {
  readonly nftables: Nftables;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface WriteResult {
  readonly kind: "unchanged" | "changed" | "full";
}

/** How long a chain stays after it has been emptied. */
const emptyChainMs = 1_000;

export class TableWriter {
  readonly #deps: TableWriterDeps;
  readonly #table: TableName;
  readonly #desired: DesiredTable;
  /** Undefined while it is not known what the kernel has. */
  #written: WrittenTable | undefined;
  /** Emptied chains, and when. */
  readonly #emptied = new Map<string, number>();

  constructor(deps: TableWriterDeps, table: TableName, desired: DesiredTable) {
    this.#deps = deps;
    this.#table = table;
    this.#desired = desired;
  }

  /** The next write writes everything. */
  distrust(): void {
    this.#written = undefined;
  }

  /** When emptied chains can be deleted, on the monotonic clock; undefined where there are none. */
  get sweepAtMs(): number | undefined {
    const [first] = this.#emptied.values();
    return first === undefined ? undefined : first + emptyChainMs;
  }

  /** Rejects when the kernel does not take it; then the next write is a full one. */
  async write(): Promise<WriteResult> {
    const changes = this.#desired.takeChanges();
    if (!this.#written) {
      await this.#writeAll();
      return { kind: "full" };
    }
    const transaction = changeTransaction(this.#table, this.#desired, this.#written, changes);
    if (transaction.commands === "") return { kind: "unchanged" };
    try {
      await this.#deps.nftables.apply(transaction.commands);
    } catch (error) {
      this.#deps.logger.warn("The packet rules are not what they were; all are written again", { error: errorText(error) });
      this.#written = undefined;
      await this.#writeAll();
      return { kind: "full" };
    }
    note(this.#written, this.#desired, changes);
    this.#noteEmptied(transaction);
    return { kind: "changed" };
  }

  /** Deletes chains that have been empty for a while. Rejects when one is still in use; they are tried again later. */
  async sweep(): Promise<void> {
    const beforeMs = this.#deps.clock.monotonic() - emptyChainMs;
    const old = [...this.#emptied].filter(([, sinceMs]) => sinceMs <= beforeMs).map(([name]) => name);
    if (old.length === 0) return;
    const { family, name: table } = this.#table;
    try {
      await this.#deps.nftables.apply(old.map((name) => `delete chain ${family} ${table} ${name}\n`).join(""));
      for (const name of old) this.#emptied.delete(name);
    } catch (error) {
      for (const name of old) {
        this.#emptied.delete(name);
        this.#emptied.set(name, this.#deps.clock.monotonic());
      }
      // Somebody may have deleted them: then the table is not what we think.
      this.#written = undefined;
      throw error;
    }
  }

  /** Whether the table still has every chain and set that was written; where not, the next write is a full one. */
  async isIntact(): Promise<boolean> {
    if (!this.#written) return false;
    const { family, name } = this.#table;
    const present = await this.#deps.nftables.tableNames(family, name);
    const written = this.#written;
    if (!written) return false;
    const isWhole =
      present !== undefined &&
      [...written.chains.keys()].every((chain) => present.chains.has(chain)) &&
      [...written.containers.keys()].every((container) => present.containers.has(container));
    if (!isWhole) this.#written = undefined;
    return isWhole;
  }

  /** Takes the table away. */
  async remove(): Promise<void> {
    this.#written = undefined;
    this.#emptied.clear();
    const { family, name } = this.#table;
    await this.#deps.nftables.apply(`add table ${family} ${name}\ndelete table ${family} ${name}\n`);
  }

  async #writeAll(): Promise<void> {
    const { nftables, logger } = this.#deps;
    const { family, name } = this.#table;
    let transaction = fullTransaction(this.#table, this.#desired, await nftables.tableNames(family, name));
    try {
      await nftables.apply(transaction.commands);
    } catch (error) {
      logger.warn("The table of packet rules cannot be brought up to date; it is made anew", { table: name, error: errorText(error) });
      transaction = replacingTransaction(this.#table, this.#desired);
      await nftables.apply(transaction.commands);
    }
    const desired = this.#desired;
    this.#written = {
      chains: new Map(desired.chains),
      containers: new Map(desired.containers),
      elements: new Map([...desired.containers.keys()].map((container) => [container, new Map(desired.elements(container))])),
    };
    this.#emptied.clear();
    this.#noteEmptied(transaction);
  }

  #noteEmptied({ emptied }: Transaction): void {
    // An owner may have come back before the chain was deleted.
    for (const name of [...this.#emptied.keys()]) if (this.#written?.chains.has(name)) this.#emptied.delete(name);
    for (const name of emptied) this.#emptied.set(name, this.#deps.clock.monotonic());
  }
}

function note(written: WrittenTable, desired: DesiredTable, changes: TableChanges): void {
  for (const name of changes.chains) follow(written.chains, name, desired.chains.get(name) as Chain | undefined);
  for (const name of changes.containers) follow(written.containers, name, desired.containers.get(name));
  for (const name of changes.containers) if (!desired.containers.has(name)) written.elements.delete(name);
  for (const [name, keys] of changes.elements) {
    if (!desired.containers.has(name)) continue;
    const elements = written.elements.get(name) ?? new Map<string, string>();
    written.elements.set(name, elements);
    for (const key of keys) follow(elements, key, desired.value(name, key));
  }
}

function follow<V>(map: Map<string, V>, name: string, value: V | undefined): void {
  if (value === undefined) map.delete(name);
  else map.set(name, value);
}
