import { describe, expect, it } from "vitest";
import { configmaps } from "../../api/resources.generated.ts";
import { ObjectVersion } from "../watch-cache/object-version.ts";
import { encodedList, type ListPage } from "./list.ts";
import { ListBlocks, runsOf } from "./list-blocks.ts";

const versionOf = (name: string, revision: number, bytes = 1000): ObjectVersion => {
  const metadata = { name, namespace: "default", resourceVersion: String(revision) };
  return new ObjectVersion(
    `default/${name}`,
    { kind: "ConfigMap", apiVersion: "v1", metadata, data: { key: "é".repeat(bytes / 2) } } as never,
    revision,
  );
};

const versionsOf = (count: number): ObjectVersion[] => Array.from({ length: count }, (_, i) => versionOf(`object-${i}`, 10 + 3 * i));

const pageOf = (versions: readonly ObjectVersion[]): ListPage => ({ versions, metadata: { resourceVersion: "9999" } });

/** As it is read: a chunk is looked at before the next one is asked for. */
function textOf(versions: readonly ObjectVersion[], blocks?: ListBlocks): string {
  const { length, chunks } = encodedList(configmaps, pageOf(versions), blocks);
  const bytes = Buffer.concat(Array.from(chunks, (chunk) => Buffer.from(chunk)));
  expect(bytes.length).toBe(length);
  return bytes.toString();
}

const namesIn = (text: string): string[] =>
  (JSON.parse(text) as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name);

describe("runs of a list", () => {
  it("hold every object once, in order, with the length of what is written", () => {
    const versions = versionsOf(500);
    const runs = runsOf(versions, true);
    expect(runs.length).toBeGreaterThan(3);
    expect(runs.map(({ from }) => from)).toEqual([0, ...runs.slice(0, -1).map(({ to }) => to)]);
    expect(runs.at(-1)?.to).toBe(500);
    for (const { bytes } of runs.slice(0, -1)) expect(bytes).toBeGreaterThanOrEqual(64 * 1024);
    for (const { bytes } of runs) expect(bytes).toBeLessThan(260 * 1024);
  });

  it("end where they ended before, but for those next to a change", () => {
    const versions = versionsOf(2000);
    const ends = new Set(runsOf(versions, true).map(({ to }) => versions[to - 1]));
    const changed = versions.with(900, versionOf("object-900", 70_001, 5000));
    const after = runsOf(changed, true).map(({ to }) => changed[to - 1]);
    expect(after.filter((version) => !ends.has(version)).length).toBeLessThanOrEqual(ends.size / 4);
  });
});

describe("blocks of lists", () => {
  it("give the bytes that a list without them has, whatever was listed before", () => {
    const blocks = new ListBlocks();
    let versions = versionsOf(600);
    for (let turn = 0; turn < 12; turn++) {
      expect(textOf(versions, blocks)).toBe(textOf(versions));
      if (turn % 3 === 2) versions = versions.with(turn * 31, versionOf(`changed-${turn}`, 50_000 + turn)).toSpliced(turn * 7, 2);
    }
    expect(namesIn(textOf(versions, blocks))).toEqual(versions.map(({ key }) => key.slice("default/".length)));
  });

  it("are made the second time, and shared from then on", () => {
    const blocks = new ListBlocks();
    const versions = versionsOf(600);
    textOf(versions, blocks);
    expect(blocks.keptBytes).toBe(0);
    textOf(versions, blocks);
    const kept = blocks.keptBytes;
    expect(kept).toBeGreaterThan(600_000);
    const chunks = (): Uint8Array[] => [...encodedList(configmaps, pageOf(versions), blocks).chunks].slice(1, -1);
    const [first, second] = [chunks(), chunks()];
    expect(first.length).toBeGreaterThan(2);
    for (const [i, chunk] of first.entries()) expect(chunk).toBe(second[i]);
    expect(blocks.keptBytes).toBe(kept);
  });

  it("keep no more than they may, and nothing of a list that is too long", () => {
    const blocks = new ListBlocks({ maxBytes: 400_000 });
    const long = versionsOf(600);
    for (let i = 0; i < 3; i++) textOf(long, blocks);
    expect(blocks.keptBytes).toBe(0);
    for (let at = 0; at < 600; at += 100) for (let i = 0; i < 2; i++) textOf(long.slice(at, at + 100), blocks);
    expect(blocks.keptBytes).toBeGreaterThan(0);
    expect(blocks.keptBytes).toBeLessThanOrEqual(400_000);
  });

  it("tell items from whole objects", () => {
    const blocks = new ListBlocks();
    const versions = versionsOf(200);
    const { schema: _, ...custom } = configmaps;
    for (let i = 0; i < 3; i++) {
      textOf(versions, blocks);
      const { chunks, length } = encodedList(custom as typeof configmaps, pageOf(versions), blocks);
      const bytes = Buffer.concat(Array.from(chunks, (chunk) => Buffer.from(chunk)));
      expect(bytes.length).toBe(length);
      expect((JSON.parse(bytes.toString()) as { items: object[] }).items[7]).toHaveProperty("kind", "ConfigMap");
    }
  });

  it("of an empty list there are none", () => {
    expect(JSON.parse(textOf([], new ListBlocks()))).toEqual({
      kind: "ConfigMapList",
      apiVersion: "v1",
      metadata: { resourceVersion: "9999" },
      items: [],
    });
  });
});
