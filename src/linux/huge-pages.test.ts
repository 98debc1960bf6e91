import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hugePagesResource, pageSizeName, readHugePages } from "./huge-pages.ts";

test("huge pages are read by size, and named as control groups and Kubernetes do", async () => {
  const root = await mkdtemp(join(tmpdir(), "coracle-huge-pages-"));
  for (const [kibi, pages] of [
    [1_048_576, 0],
    [2_048, 4],
  ]) {
    await mkdir(join(root, `hugepages-${kibi}kB`));
    await writeFile(join(root, `hugepages-${kibi}kB`, "nr_hugepages"), `${pages}\n`);
  }
  const found = await readHugePages(root);
  expect(found).toEqual([
    { pageBytes: 2 ** 21, pages: 4 },
    { pageBytes: 2 ** 30, pages: 0 },
  ]);
  expect(found.map((h) => [pageSizeName(h.pageBytes), hugePagesResource(h.pageBytes)])).toEqual([
    ["2MB", "hugepages-2Mi"],
    ["1GB", "hugepages-1Gi"],
  ]);
  expect(pageSizeName(65_536)).toBe("64KB");
  await rm(root, { recursive: true });
  expect(await readHugePages(root)).toEqual([]);
});
