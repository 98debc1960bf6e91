import { expect, it } from "vitest";
import { LargeHeads } from "./large-heads.ts";

const watch = (characters: number): { uri: string; headers: Record<string, string> } => ({
  uri: `/api/v1/pods?watch=1&labelSelector=${"a".repeat(characters)}`,
  headers: { accept: "application/json" },
});

it("LargeHeads refuses large heads while others use up what there is, and none of ordinary size", () => {
  const heads = new LargeHeads(100_000);
  const ends = [heads.begin(watch(40_000)), heads.begin({ uri: "/", headers: { cookie: "c".repeat(40_000) } })];
  expect(ends).not.toContain(undefined);
  expect(heads.begin(watch(40_000))).toBeUndefined();
  expect(heads.begin(watch(4000))).toBeDefined();
  ends[1]?.();
  expect(heads.begin(watch(40_000))).toBeDefined();
});
