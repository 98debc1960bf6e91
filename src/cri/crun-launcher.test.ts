import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseMountInfo, unmountBelow } from "../linux/mounts.ts";
import { crunLauncher } from "./crun-launcher.ts";
import { hostArchitecture } from "./image-archive.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
if (!isRoot) console.log("crun's launcher is not run: it needs Linux and root");

describe("crunLauncher()", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await realpath(await mkdtemp(join(tmpdir(), "launcher-")));
  });
  afterEach(async () => {
    await unmountBelow(directory);
    await rm(directory, { recursive: true });
  });

  const build = async (hidden: string, program = "/bin/sh"): Promise<string> => {
    const path = join(directory, "launcher");
    await writeFile(path, crunLauncher(hostArchitecture(), { program: await realpath(program), hidden }), { mode: 0o755 });
    return path;
  };

  test.runIf(isRoot)("runs the program where a mount is covered and the program is read-only, with its arguments", async () => {
    const hidden = join(directory, "hidden");
    await mkdir(hidden);
    // Shared, as systemd has all mounts: what the launcher mounts would come back here.
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", hidden]);
    execFileSync("mount", ["--make-shared", hidden]);
    await writeFile(join(hidden, "here"), "");
    const launcher = await build(hidden);
    const script =
      'cat /proc/self/mountinfo; echo "$0 $1 $MINE $_LIBCONTAINER_CLONED_BINARY"; touch "$HIDDEN/group"; ls "$HIDDEN"; touch "$HIDDEN/bin/x"';
    const env = { PATH: process.env.PATH, MINE: "own", HIDDEN: hidden };
    let output = "";
    try {
      execFileSync(launcher, ["-c", script, "zero", "one two"], { env, encoding: "utf8" });
    } catch (error) {
      // touch, the last command, finds a read-only file system.
      output = (error as { stdout: string }).stdout;
    }
    const mounts = parseMountInfo(output);
    const below = mounts.filter((m) => m.mountPoint.startsWith(hidden)).map((m) => [m.mountPoint, m.fileSystem, m.options[0]]);
    expect(below.slice(0, 2)).toEqual([
      [hidden, "tmpfs", "rw"],
      [hidden, "tmpfs", "rw"],
    ]);
    expect(below[2]?.[0]).toBe(join(hidden, "bin"));
    expect(below[2]?.[2]).toBe("ro");
    expect(output).toContain("zero one two own 1\nbin\ngroup\n");
    expect(await readdir(hidden)).toEqual(["here"]);
  });

  test.runIf(isRoot)("ends with 126 where there is nothing to hide, or no program", async () => {
    const run = (path: string): unknown => {
      try {
        return execFileSync(path, []);
      } catch (error) {
        return (error as { status: number }).status;
      }
    };
    expect(run(await build(join(directory, "missing")))).toBe(126);
  });

  test("is a small executable, and stays what was disassembled", () => {
    const plan = { program: "/usr/bin/crun", hidden: "/sys/fs/cgroup/unified" };
    const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    expect(crunLauncher("amd64", plan).length).toBeLessThan(600);
    expect(digest(crunLauncher("arm64", plan))).toBe("11a9ea934d73b5c2");
  });
});
