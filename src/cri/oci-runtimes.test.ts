import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { realClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createCgroups, detectCgroups } from "../linux/cgroups.ts";
import { containerdPaths } from "./containerd-paths.ts";
import { removeOciProbes } from "./oci-probe.ts";
import { findOciRuntimes } from "./oci-runtimes.ts";

const canTry = process.platform === "linux" && process.getuid?.() === 0;
if (!canTry) console.log("OCI runtimes are not tried: they need Linux and root");

describe.runIf(canTry)("findOciRuntimes()", () => {
  let directory: string;
  let bin: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "coracle-oci-"));
    bin = join(directory, "bin");
    await mkdir(bin);
    vi.stubEnv("PATH", `${bin}:/usr/bin:/bin`);
    await program("runc", "exit 0");
    await program("containerd", "echo containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+b1");
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(directory, { recursive: true });
  });

  const program = (name: string, script: string): Promise<void> =>
    writeFile(join(bin, name), `#!/bin/sh\necho "$@" >> ${directory}/calls\n${script}\n`, { mode: 0o755 });
  const find = (choice: string) =>
    findOciRuntimes(choice, { paths: containerdPaths(join(directory, "data")), containerd: join(bin, "containerd"), log: silentLogger });
  const calls = async (): Promise<number> => {
    const text = await readFile(join(directory, "calls"), "utf8").catch(() => "");
    return text.split("\n").filter((line) => line.includes(" run ")).length;
  };

  test("takes crun where it runs a container, which is tried once for each program", async () => {
    await program("crun", "exit 0");
    const { defaultName, all } = await find("auto");
    expect(defaultName).toBe("crun");
    expect(all.map(({ name }) => name)).toEqual(["runc", "crun"]);
    expect(all[0]?.binary).toBe(join(bin, "runc"));
    expect(await find("auto")).toEqual({ defaultName, all });
    expect(await calls()).toBe(1);
    await program("crun", "echo no containers today >&2; exit 1");
    expect(await find("auto")).toMatchObject({ defaultName: "runc", all: [{ name: "runc" }] });
    expect(await find("auto")).toMatchObject({ defaultName: "runc" });
    expect(await calls()).toBe(2);
    await expect(find("crun")).rejects.toThrow(/^crun does not work on this machine: .*no containers today/);
  });

  test("tries crun with the version of the specification that containerd writes, again when containerd is another", async () => {
    await program("crun", 'grep -q \'"ociVersion":"1.0\' "$5/config.json" && exit 0; echo unknown version specified >&2; exit 1');
    expect(await find("auto")).toMatchObject({ defaultName: "crun" });
    await program("containerd", "echo containerd github.com/containerd/containerd/v2 2.1.9+unknown");
    expect(await find("auto")).toMatchObject({ defaultName: "runc", all: [{ name: "runc" }] });
    await expect(find("crun")).rejects.toThrow(/unknown version specified/);
    await program("containerd", "echo containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6");
    expect(await find("auto")).toMatchObject({ defaultName: "runc" });
  });

  test("runc where it is asked for; both stay handlers", async () => {
    await program("crun", "exit 0");
    expect(await find("runc")).toMatchObject({ defaultName: "runc", all: [{ name: "runc" }, { name: "crun" }] });
  });

  test("a path of another program is a handler by its name, or takes the place of the one that has it", async () => {
    await program("youki", "exit 0");
    await program("crun", "exit 0");
    const { defaultName, all } = await find(join(bin, "youki"));
    expect(defaultName).toBe("youki");
    expect(all.at(-1)).toEqual({ name: "youki", binary: join(bin, "youki") });
    await mkdir(join(directory, "other"));
    await writeFile(join(directory, "other", "runc"), "#!/bin/sh\n", { mode: 0o755 });
    expect((await find(join(directory, "other", "runc"))).all).toContainEqual({ name: "runc", binary: join(directory, "other", "runc") });
  });

  test("says what is wrong with a choice", async () => {
    await expect(find("kata")).rejects.toThrow("OCI runtime kata: expected auto, runc, crun or the absolute path of a program");
    await expect(find("/nowhere/x")).rejects.toThrow("OCI runtime /nowhere/x: there is no such program");
    await program("a.b", "exit 0");
    await expect(find(join(bin, "a.b"))).rejects.toThrow("cannot be that of a handler");
  });
});

describe.runIf(canTry)("removeOciProbes()", () => {
  test("removes the bundles of probes that were killed, and their control groups", async () => {
    const directory = await mkdtemp(join(tmpdir(), "coracle-oci-"));
    const cgroups = createCgroups(await detectCgroups(), { clock: realClock });
    const bundle = await mkdtemp(join(directory, "oci-probe-"));
    const group = `/coracle-${basename(bundle)}`;
    try {
      await mkdir(join(directory, "other"));
      await cgroups.ensure(group);
      await removeOciProbes(directory);
      expect([await cgroups.exists(group), await readdir(directory)]).toEqual([false, ["other"]]);
    } finally {
      await cgroups.remove(group);
      await rm(directory, { recursive: true });
    }
    await removeOciProbes(directory);
  });
});
