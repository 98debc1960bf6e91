// Of host-local: which addresses are given out, as files of upstream's form: <dataDir>/<network>/<address> holds the container's
// id and interface name, last_reserved_ip.<n> the last one of a range set. So ours and upstream's plugin can follow each other.
// What the files say is remembered as long as nobody else changes the directory.
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseIP } from "../../../api/meta/ip.ts";

export interface Holder {
  readonly containerId: string;
  /** Empty in files of old versions. */
  readonly ifName: string;
}

const lineBreak = "\r\n";
const lastFile = (set: number): string => `last_reserved_ip.${set}`;

/** The callers hold the directory's lock. */
export class AddressStore {
  readonly #directory: string;
  readonly #holders = new Map<string, Holder>();
  readonly #last = new Map<number, string | undefined>();
  #changedNs = -1n;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Takes notice of what others have changed. Before anything else. */
  async refresh(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o755 });
    if ((await this.#changed()) === this.#changedNs) return;
    this.#holders.clear();
    this.#last.clear();
    const names = (await readdir(this.#directory)).filter((name) => parseIP(name) !== undefined);
    for (const name of names) {
      const text = await readFile(join(this.#directory, name), "utf8").catch(ignoreMissing);
      if (text !== undefined) this.#holders.set(name, parseHolder(text));
    }
    this.#changedNs = await this.#changed();
  }

  get addresses(): ReadonlyMap<string, Holder> {
    return this.#holders;
  }

  /** Of a container's interface. */
  heldBy({ containerId, ifName }: Holder): readonly string[] {
    const held = [...this.#holders].filter(
      ([, holder]) => holder.containerId === containerId && (holder.ifName === ifName || holder.ifName === ""),
    );
    return held.map(([address]) => address);
  }

  async lastGiven(set: number): Promise<string | undefined> {
    if (!this.#last.has(set))
      this.#last.set(set, (await readFile(join(this.#directory, lastFile(set)), "utf8").catch(ignoreMissing))?.trim());
    return this.#last.get(set);
  }

  /** False where somebody has it already. */
  async take(address: string, holder: Holder, set: number): Promise<boolean> {
    if (this.#holders.has(address)) return false;
    try {
      await writeFile(join(this.#directory, address), `${holder.containerId}${lineBreak}${holder.ifName}`, { flag: "wx", mode: 0o600 });
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
      throw error;
    }
    this.#holders.set(address, holder);
    await writeFile(join(this.#directory, lastFile(set)), address, { mode: 0o600 });
    this.#last.set(set, address);
    this.#changedNs = await this.#changed();
    return true;
  }

  async release(addresses: readonly string[]): Promise<void> {
    for (const address of addresses) {
      await rm(join(this.#directory, address), { force: true });
      this.#holders.delete(address);
    }
    if (addresses.length > 0) this.#changedNs = await this.#changed();
  }

  async #changed(): Promise<bigint> {
    return (await stat(this.#directory, { bigint: true })).mtimeNs;
  }
}

function parseHolder(text: string): Holder {
  const [containerId = "", ifName = ""] = text.trim().split(/\r?\n/);
  return { containerId: containerId.trim(), ifName: ifName.trim() };
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
  throw error;
}
