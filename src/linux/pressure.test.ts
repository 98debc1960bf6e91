import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cgroupPressure, parsePressure } from "./pressure.ts";

const text = "some avg10=96.43 avg60=1.50 avg300=0.00 total=7402879403\nfull avg10=0.00 avg60=0.25 avg300=0.00 total=12\n";

test("parsePressure() reads both lines, and does without the second", () => {
  const some = { total: 7_402_879_403, avg10: 96.43, avg60: 1.5, avg300: 0 };
  expect(parsePressure(text)).toEqual({ some, full: { total: 12, avg10: 0, avg60: 0.25, avg300: 0 } });
  expect(parsePressure(text.split("\n")[0] ?? "")).toEqual({ some, full: { total: 0, avg10: 0, avg60: 0, avg300: 0 } });
  expect(parsePressure("")).toBeUndefined();
});

test("cgroupPressure() reads groups of version 2 alone", async () => {
  const tree = await mkdtemp(join(tmpdir(), "coracle-pressure-"));
  await mkdir(join(tree, "pod"));
  await writeFile(join(tree, "pod", "memory.pressure"), text);
  const controllers = new Map([["memory", tree]]);
  expect(Object.keys(await cgroupPressure({ version: 2, controllers, trees: [tree] }, "/pod"))).toEqual(["memory"]);
  expect(await cgroupPressure({ version: 1, controllers, trees: [tree] }, "/pod")).toEqual({});
  await rm(tree, { recursive: true });
});
