import { mkdir, mkdtemp, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { resolveSubPath } from "./sub-path.ts";

describe("resolveSubPath()", () => {
  let volume: string;
  beforeEach(async () => {
    volume = await realpath(await mkdtemp(join(tmpdir(), "coracle-subpath-")));
  });
  afterEach(() => rm(volume, { recursive: true, force: true }));

  it("makes missing directories", async () => {
    expect(await resolveSubPath(volume, "a/b")).toBe(join(volume, "a/b"));
    expect((await stat(join(volume, "a/b"))).isDirectory()).toBe(true);
  });

  it("follows links that stay inside, as those of ConfigMaps do", async () => {
    await mkdir(join(volume, "..2026_11_22"));
    await writeFile(join(volume, "..2026_11_22", "key"), "value");
    await symlink("..2026_11_22", join(volume, "..data"));
    await symlink("..data/key", join(volume, "key"));
    expect(await resolveSubPath(volume, "key")).toBe(join(volume, "..2026_11_22", "key"));
  });

  it.each(["/etc", "../x", "a/../../x"])("refuses %s", async (subPath) => {
    await expect(resolveSubPath(volume, subPath)).rejects.toThrow(/must not/);
  });

  it("refuses links that lead out", async () => {
    await symlink("..", join(volume, "up"));
    await symlink("/etc", join(volume, "etc"));
    await expect(resolveSubPath(volume, "up")).rejects.toThrow(/is outside of the volume/);
    await expect(resolveSubPath(volume, "etc/passwd")).rejects.toThrow(/is outside of the volume/);
    await expect(resolveSubPath(volume, "etc/made-by-us")).rejects.toThrow(/is outside of the volume/);
  });
});
