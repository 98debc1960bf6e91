// Open files of processes, from a tree that stands for /proc.
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openFilesOf } from "./open-files.ts";

test("descriptors and sockets of all processes, the limit of the first; what has ended counts for nothing", async () => {
  const proc = await mkdtemp(join(tmpdir(), "open-files-"));
  try {
    const open = { 7: ["/dev/null", "socket:[12]", "pipe:[3]"], 8: ["socket:[13]"] };
    for (const [pid, links] of Object.entries(open)) {
      await mkdir(join(proc, pid, "fd"), { recursive: true });
      for (const [i, link] of links.entries()) await symlink(link, join(proc, pid, "fd", String(i)));
    }
    await writeFile(
      join(proc, "7", "limits"),
      "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n",
    );
    expect(await openFilesOf([7, 8, 9], proc)).toEqual({ fileDescriptors: 4, sockets: 2, softLimit: 1024 });
    expect(await openFilesOf([9], proc)).toEqual({ fileDescriptors: 0, sockets: 0 });
    await writeFile(join(proc, "7", "limits"), "Max open files            unlimited            unlimited            files\n");
    expect(await openFilesOf([7], proc)).toEqual({ fileDescriptors: 3, sockets: 1, softLimit: -1 });
  } finally {
    await rm(proc, { recursive: true });
  }
});
