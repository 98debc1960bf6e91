import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newNodeRecord, nodeDirectory, readNodeRecords, removeNodeDirectory, writeNodeRecord } from "./node-records.ts";

describe("newNodeRecord()", () => {
  const record = (name: string, index: number) => ({ name, index, stopped: false });

  test("takes the lowest number that is free, and names the node after it", () => {
    expect(newNodeRecord("vm", [])).toEqual(record("vm-2", 2));
    expect(newNodeRecord("vm", [record("vm-2", 2), record("vm-4", 4)])).toEqual(record("vm-3", 3));
  });

  test("takes the name given, or the next one where somebody has it", () => {
    expect(newNodeRecord("vm", [], "worker")).toEqual(record("worker", 2));
    expect(newNodeRecord("vm", [record("vm-3", 2)])).toEqual(record("vm-4", 3));
  });
});

describe("the nodes of a data directory", () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "coracle-records-"));
  });
  afterEach(() => rm(dataDir, { recursive: true }));

  test("are remembered in the order of their numbers, for the owner alone", async () => {
    expect(await readNodeRecords(dataDir)).toEqual([]);
    await writeNodeRecord(dataDir, { name: "b", index: 2, stopped: false });
    await writeNodeRecord(dataDir, { name: "a", index: 3, stopped: true });
    expect(await readNodeRecords(dataDir)).toEqual([
      { name: "b", index: 2, stopped: false },
      { name: "a", index: 3, stopped: true },
    ]);
    expect((await stat(nodeDirectory(dataDir, "a"))).mode & 0o777).toBe(0o700);
    await removeNodeDirectory(dataDir, "b");
    expect((await readNodeRecords(dataDir)).map((r) => r.name)).toEqual(["a"]);
  });

  test("a directory without a record is no node", async () => {
    await mkdir(nodeDirectory(dataDir, "half"), { recursive: true });
    expect(await readNodeRecords(dataDir)).toEqual([]);
  });
});
