// Of host-local: which addresses are given out, as files of upstream's form: <dataDir>/<network>/<address> holds the container's
// id and interface name, last_reserved_ip.<n> the last one of a range set. So ours and upstream's plugin can follow each other.
// What the files say is remembered as long as nobody else changes the directory. Files are read and written at once, not in the
// background: they are a few bytes each, and on a busy machine every turn of the event loop waits longer than they take.
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
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
  #changedNs: bigint | undefined = -1n;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Takes notice of what others have changed. Before anything else. */
  refresh(): void {
    if (this.#changed() === this.#changedNs) return;
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    this.#holders.clear();
    this.#last.clear();
    const names = readdirSync(this.#directory).filter((name) => parseIP(name) !== undefined);
    for (const name of names) {
      const text = this.#read(name);
      if (text !== undefined) this.#holders.set(name, parseHolder(text));
    }
    this.#changedNs = this.#changed();
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

  lastGiven(set: number): string | undefined {
    if (!this.#last.has(set)) this.#last.set(set, this.#read(lastFile(set))?.trim());
    return this.#last.get(set);
  }

  /** False where somebody has it already. */
  take(address: string, holder: Holder, set: number): boolean {
    if (this.#holders.has(address)) return false;
    try {
      writeFileSync(join(this.#directory, address), `${holder.containerId}${lineBreak}${holder.ifName}`, { flag: "wx", mode: 0o600 });
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
      throw error;
    }
    this.#holders.set(address, holder);
    writeFileSync(join(this.#directory, lastFile(set)), address, { mode: 0o600 });
    this.#last.set(set, address);
    this.#changedNs = this.#changed();
    return true;
  }

  release(addresses: readonly string[]): void {
    for (const address of addresses) {
      rmSync(join(this.#directory, address), { force: true });
      this.#holders.delete(address);
    }
    if (addresses.length > 0) this.#changedNs = this.#changed();
  }

  /** Undefined where there is no such directory. */
  #changed(): bigint | undefined {
    return statSync(this.#directory, { bigint: true, throwIfNoEntry: false })?.mtimeNs;
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(join(this.#directory, name), "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
  }
}

function parseHolder(text: string): Holder {
  const [containerId = "", ifName = ""] = text.trim().split(/\r?\n/);
  return { containerId: containerId.trim(), ifName: ifName.trim() };
}
