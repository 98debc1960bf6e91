// The leases of containers as files of the node, so that a process that is started again goes on renewing them and gives them back.
// Times in them are the wall clock's: the monotonic one ends with the process' machine.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../../base/clock.ts";
import type { Lease } from "./dhcp-client.ts";

/** What a client is made of again. */
export interface LeaseHolder {
  /** Container, network and interface. */
  readonly key: string;
  readonly netns: string;
  readonly ifName: string;
  readonly hardwareAddress: Uint8Array;
  readonly options: ReadonlyMap<number, Buffer>;
  readonly requested: readonly number[];
}

export interface LeaseRecord {
  readonly holder: LeaseHolder;
  readonly lease: Lease;
}

interface Written extends Omit<LeaseHolder, "hardwareAddress" | "options"> {
  readonly hardwareAddress: string;
  readonly options: readonly (readonly [number, string])[];
  readonly address: string;
  readonly server: string;
  readonly leaseOptions: readonly (readonly [number, string])[];
  readonly renewAt: number;
  readonly endsAt: number;
}

export class LeaseRecords {
  readonly #directory: string;
  readonly #clock: Pick<Clock, "now" | "monotonic">;

  constructor(directory: string, clock: Pick<Clock, "now" | "monotonic">) {
    this.#directory = directory;
    this.#clock = clock;
  }

  async save({ holder, lease }: LeaseRecord): Promise<void> {
    const toWall = this.#clock.now() - this.#clock.monotonic();
    const { hardwareAddress, options, ...plain } = holder;
    const written: Written = {
      ...plain,
      hardwareAddress: Buffer.from(hardwareAddress).toString("hex"),
      options: encoded(options),
      ...{ address: lease.address, server: lease.server, leaseOptions: encoded(lease.options) },
      ...{ renewAt: lease.renewAtMs + toWall, endsAt: lease.endsAtMs + toWall },
    };
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const file = this.#fileOf(holder.key);
    await writeFile(`${file}.tmp`, JSON.stringify(written), { mode: 0o600 });
    await rename(`${file}.tmp`, file);
  }

  async remove(key: string): Promise<void> {
    await rm(this.#fileOf(key), { force: true });
  }

  /** All that can be read; what cannot is removed. */
  async all(): Promise<readonly LeaseRecord[]> {
    const names = await readdir(this.#directory).catch(() => []);
    const records: LeaseRecord[] = [];
    for (const name of names.filter((each) => each.endsWith(".json"))) {
      const file = join(this.#directory, name);
      try {
        records.push(this.#read(JSON.parse(await readFile(file, "utf8")) as Written)); // written by save()
      } catch {
        await rm(file, { force: true }); // half of one, from a crash
      }
    }
    return records;
  }

  #read({ hardwareAddress, options, address, server, leaseOptions, renewAt, endsAt, ...plain }: Written): LeaseRecord {
    const toMonotonic = this.#clock.monotonic() - this.#clock.now();
    return {
      holder: { ...plain, hardwareAddress: Buffer.from(hardwareAddress, "hex"), options: decoded(options) },
      lease: { address, server, options: decoded(leaseOptions), renewAtMs: renewAt + toMonotonic, endsAtMs: endsAt + toMonotonic },
    };
  }

  #fileOf(key: string): string {
    return join(this.#directory, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`);
  }
}

const encoded = (options: ReadonlyMap<number, Buffer>) => [...options].map(([code, value]) => [code, value.toString("base64")] as const);
const decoded = (options: readonly (readonly [number, string])[]) =>
  new Map(options.map(([code, value]) => [code, Buffer.from(value, "base64")]));
