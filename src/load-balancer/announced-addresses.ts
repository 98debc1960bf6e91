// The addresses of load balancers on this machine's interfaces. What is added is written down first, in the data directory,
// so that it can be taken away after a crash too, and nothing that others have added ever is.
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorText, type Logger } from "../base/log.ts";
import { addAddress, announceAddress, type InterfaceAddress, interfaceAddresses, removeAddress } from "../linux/interface-addresses.ts";

/** On an interface; addresses are single ones, of no network. */
export interface PlacedAddress {
  readonly address: string;
  readonly interface: string;
}

/** What is done to the machine; tests have one that only remembers. */
export interface AddressHost {
  /** All there are now. */
  addresses(): Promise<readonly InterfaceAddress[]>;
  add(placed: PlacedAddress, signal?: AbortSignal): Promise<void>;
  remove(placed: PlacedAddress, signal?: AbortSignal): Promise<void>;
  /** Tells the neighbours where the address is now. */
  announce(placed: PlacedAddress, signal?: AbortSignal): Promise<void>;
}

export const addressHost: AddressHost = {
  addresses: interfaceAddresses,
  add: addAddress,
  remove: removeAddress,
  announce: announceAddress,
};

const fileOf = (dataDir: string): string => join(dataDir, "load-balancer", "addresses.json");

export class AnnouncedAddresses {
  readonly #dataDir: string;
  readonly #host: AddressHost;
  readonly #logger: Logger;
  #recorded: readonly PlacedAddress[] | undefined;

  constructor(dataDir: string, logger: Logger, host: AddressHost = addressHost) {
    this.#dataDir = dataDir;
    this.#logger = logger;
    this.#host = host;
  }

  /** Makes the machine have these and no others of ours. */
  async apply(wanted: readonly PlacedAddress[], signal?: AbortSignal): Promise<void> {
    this.#recorded ??= await readRecord(this.#dataDir);
    const isWanted = (placed: PlacedAddress): boolean => wanted.some((w) => isSame(w, placed));
    const present = await this.#host.addresses();
    const isPresent = (placed: PlacedAddress): boolean => present.some((p) => isSame(p, placed));
    const surplus = this.#recorded.filter((placed) => !isWanted(placed));
    for (const placed of surplus) if (isPresent(placed)) await this.#host.remove(placed, signal);
    // What is there without our doing stays when we go.
    const added = wanted.filter((placed) => !isPresent(placed));
    const kept = this.#recorded.filter(isWanted);
    await this.#record([...kept, ...added.filter((placed) => !kept.some((k) => isSame(k, placed)))]);
    for (const placed of added) {
      await this.#host.add(placed, signal);
      await this.#host.announce(placed, signal).catch((error: unknown) => {
        this.#logger.info("Neighbours could not be told of an address", { address: placed.address, error: errorText(error) }, 1);
      });
    }
  }

  async #record(placed: readonly PlacedAddress[]): Promise<void> {
    if (this.#recorded && JSON.stringify(this.#recorded) === JSON.stringify(placed)) return;
    await writeRecord(this.#dataDir, placed);
    this.#recorded = placed;
  }
}

/** Takes all addresses of a cluster away, also after a crash. */
export async function removeAnnouncedAddresses(dataDir: string, host: AddressHost = addressHost): Promise<void> {
  const placed = await readRecord(dataDir);
  if (placed.length > 0) {
    const present = await host.addresses();
    for (const one of placed) if (present.some((p) => isSame(p, one))) await host.remove(one);
  }
  await rm(fileOf(dataDir), { force: true });
}

function isSame(a: PlacedAddress, b: PlacedAddress): boolean {
  return a.address === b.address && a.interface === b.interface;
}

async function readRecord(dataDir: string): Promise<readonly PlacedAddress[]> {
  let text: string;
  try {
    text = await readFile(fileOf(dataDir), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  return JSON.parse(text) as readonly PlacedAddress[]; // written below
}

async function writeRecord(dataDir: string, placed: readonly PlacedAddress[]): Promise<void> {
  const file = fileOf(dataDir);
  await mkdir(join(dataDir, "load-balancer"), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, JSON.stringify(placed), { mode: 0o600 });
  await rename(`${file}.new`, file);
}
