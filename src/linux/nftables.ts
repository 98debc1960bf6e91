// The kernel's packet rules by way of `nft`: a script of commands is one transaction, applied whole or not at all. Everything
// of ours is in tables of our own, whose names carry a hash of the data directory or a component's name.
import { CommandError, type CommandResult, runCommand } from "./run-command.ts";

export interface Nftables {
  /** Applies the commands in one transaction. Rejects with nft's words; then nothing has changed. */
  apply(commands: string): Promise<void>;
  /** Whether they would be taken: nothing changes. Rejects where that cannot be found out. */
  accepts(commands: string): Promise<boolean>;
  /** The objects of a table as `nft --json list` gives them; undefined where there is no such table. */
  listTable(family: NftFamily, name: string): Promise<readonly NftObject[] | undefined>;
  /** What a table consists of, by name only: quick also for tables with many rules and elements. Undefined where it has nothing. */
  tableNames(family: NftFamily, name: string): Promise<NftTableNames | undefined>;
}

export interface NftTableNames {
  readonly chains: ReadonlySet<string>;
  /** Sets and maps that have a name of their own. */
  readonly containers: ReadonlySet<string>;
}

export type NftFamily = "ip" | "ip6" | "inet" | "arp" | "bridge" | "netdev";

/** One element of libnftables' JSON: {"chain": {…}}, {"map": {…}}, {"rule": {…}} (libnftables-json(5)). */
export type NftObject = Readonly<Record<string, unknown>>;

export interface NftablesOptions {
  /** Another network namespace, as a path ("/run/netns/blue"). Default this process's own. */
  readonly netns?: string;
  /** Of one transaction. Default 30 s. */
  readonly timeoutMs?: number;
}

/** Thousands of services are megabytes of rules. */
const maxOutputBytes = 256 * 2 ** 20;

export function createNftables({ netns, timeoutMs = 30_000 }: NftablesOptions = {}): Nftables {
  const nft = (args: readonly string[], input?: string): Promise<CommandResult> => {
    const options = { timeoutMs, maxOutputBytes, ...(input === undefined ? {} : { input }) };
    return netns === undefined ? runCommand("nft", args, options) : runCommand("nsenter", [`--net=${netns}`, "nft", ...args], options);
  };
  const list = async (...args: readonly string[]): Promise<readonly NftObject[]> => {
    const { stdout } = await nft(["--json", "--terse", "list", ...args]);
    return (JSON.parse(stdout) as { readonly nftables: readonly NftObject[] }).nftables;
  };
  return {
    async apply(commands) {
      await nft(["-f", "-"], commands);
    },
    async accepts(commands) {
      try {
        await nft(["--check", "-f", "-"], commands);
        return true;
      } catch (error) {
        if (error instanceof CommandError && error.exitCode === 1) return false;
        throw error;
      }
    },
    async listTable(family, name) {
      try {
        const { stdout } = await nft(["--json", "list", "table", family, name]);
        return (JSON.parse(stdout) as { readonly nftables: readonly NftObject[] }).nftables;
      } catch (error) {
        if (error instanceof CommandError && /No such file or directory/.test(error.message)) return undefined;
        throw error;
      }
    },
    async tableNames(family, name) {
      const namesOf = (found: readonly NftObject[], kind: string): readonly string[] =>
        found.filter((object) => isIn(object, kind, { table: name })).map((object) => (object[kind] as { readonly name: string }).name);
      // Of all tables of the family: asked for one table, or for tables alone, nft would read the rules too.
      const chains = namesOf(await list("chains", family), "chain");
      const sets = namesOf(await list("sets", family), "set");
      const maps = namesOf(await list("maps", family), "map");
      if (chains.length + sets.length + maps.length === 0) return undefined;
      return { chains: new Set(chains), containers: new Set([...sets, ...maps]) };
    },
  };
}

function isIn(object: NftObject, kind: string, fields: Readonly<Record<string, string>>): boolean {
  const found = object[kind];
  if (typeof found !== "object" || found === null) return false;
  const values = found as Readonly<Record<string, unknown>>;
  return Object.entries(fields).every(([field, value]) => values[field] === value);
}
