import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { VirtualClock } from "./clock.ts";
import { type FollowedFile, followFiles } from "./followed-files.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-files-"));
});
afterEach(() => rm(directory, { recursive: true }));

function follow(files: readonly FollowedFile[], changed: (contents: readonly string[]) => void) {
  const clock = new VirtualClock();
  const failures: unknown[] = [];
  const running = followFiles(files, { clock, changed, failed: (error) => failures.push(error) });
  onTestFinished(() => running.stop());
  /** Looks again and again, as seconds pass, until the expectation holds. */
  const eventually = (expectation: () => void): Promise<void> =>
    vi.waitFor(async () => {
      await clock.advance(1000);
      expectation();
    }, 60_000);
  return { failures, eventually };
}

describe("followFiles()", () => {
  it("hands over files that belong together, whichever of them changes", async () => {
    const paths = [join(directory, "tls.crt"), join(directory, "tls.key")] as const;
    for (const path of paths) await writeFile(path, "old");
    const seen: (readonly string[])[] = [];
    const { eventually, failures } = follow(
      paths.map((path) => ({ path, contents: "old" })),
      (contents) => {
        if (contents[0] !== contents[1]) throw new Error("they do not belong together");
        seen.push(contents);
      },
    );
    await writeFile(paths[0], "new");
    await eventually(() => expect(failures).toHaveLength(1));
    expect(seen).toEqual([]);
    await writeFile(paths[1], "new");
    await eventually(() => expect(seen).toEqual([["new", "new"]]));
    expect(failures).toHaveLength(1);
  });

  it("sees files change that lie behind a symbolic link, as in mounted secrets", async () => {
    await mkdir(join(directory, "1"));
    await mkdir(join(directory, "2"));
    await writeFile(join(directory, "1", "ca"), "first");
    await writeFile(join(directory, "2", "ca"), "second");
    await symlink("1", join(directory, "..data"));
    const seen: (readonly string[])[] = [];
    const { eventually } = follow([{ path: join(directory, "..data", "ca"), contents: "first" }], (contents) => seen.push(contents));
    await symlink("2", join(directory, "..next"));
    await rename(join(directory, "..next"), join(directory, "..data"));
    await eventually(() => expect(seen).toEqual([["second"]]));
  });

  it("keeps what it has while a file is missing, says so once, and goes on when it is back", async () => {
    const path = join(directory, "config");
    const seen: (readonly string[])[] = [];
    const { eventually, failures } = follow([{ path, contents: "a" }], (contents) => seen.push(contents));
    await eventually(() => expect(failures).toHaveLength(1));
    await eventually(() => expect(failures).toHaveLength(1));
    await writeFile(path, "b");
    await eventually(() => expect(seen).toEqual([["b"]]));
    expect(failures).toHaveLength(1);
  });
});
