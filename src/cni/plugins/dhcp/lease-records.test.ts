import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LeaseRecords } from "./lease-records.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-leases-"));
});
afterEach(() => rm(directory, { recursive: true }));

const holder = {
  ...{ key: "c1/net/eth0", netns: "/run/netns/c1", ifName: "eth0", requested: [15] },
  hardwareAddress: Buffer.from("020000000001", "hex"),
  options: new Map([[61, Buffer.from([0, 99])]]),
};
const lease = {
  ...{ address: "10.0.0.7", server: "10.0.0.1", renewAtMs: 6_000, endsAtMs: 11_000 },
  options: new Map([[1, Buffer.from([255, 255, 255, 0])]]),
};

describe("LeaseRecords", () => {
  it("give a later process what an earlier one has kept, at the same times of day", async () => {
    await new LeaseRecords(directory, { now: () => 1_000_000, monotonic: () => 1_000 }).save({ holder, lease });
    // A minute later, in a process whose own clock has begun anew.
    const later = new LeaseRecords(directory, { now: () => 1_060_000, monotonic: () => 50 });
    const [record] = await later.all();
    expect(record?.holder).toEqual(holder);
    expect(record?.lease).toEqual({ ...lease, renewAtMs: 1_005_000 - 1_060_000 + 50, endsAtMs: 1_010_000 - 1_060_000 + 50 });
    await later.remove(holder.key);
    expect(await later.all()).toEqual([]);
  });

  it("leave out what cannot be read, and what is not there", async () => {
    const records = new LeaseRecords(directory, { now: () => 0, monotonic: () => 0 });
    await writeFile(join(directory, "half.json"), '{"key":"c');
    expect(await records.all()).toEqual([]);
    expect(await readdir(directory)).toEqual([]);
    expect(await new LeaseRecords(join(directory, "none"), { now: () => 0, monotonic: () => 0 }).all()).toEqual([]);
    await records.remove("never");
  });
});
