import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DirectoryLockedError, directoryHolder, lockDirectory } from "./directory-lock.ts";

describe("lockDirectory()", () => {
  let dir: string;
  const file = (): string => join(dir, "lock");

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "coracle-lock-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  test("keeps others out until it is released", () => {
    const lock = lockDirectory(dir);
    expect(() => lockDirectory(dir)).toThrow(DirectoryLockedError);
    expect(() => lockDirectory(dir)).toThrow(`the directory ${dir} is in use by process ${process.pid}`);
    expect(readdirSync(dir)).toEqual(["lock"]);
    lock.release();
    lockDirectory(dir).release();
    expect(readdirSync(dir)).toEqual([]);
  });

  test("releases its own lock only once", () => {
    const first = lockDirectory(dir);
    first.release();
    const second = lockDirectory(dir);
    first.release();
    expect(existsSync(file())).toBe(true);
    second.release();
  });

  test("creates the directory, for the owner alone", () => {
    const nested = join(dir, "a", "b");
    const lock = lockDirectory(nested);
    expect(statSync(nested).mode & 0o777).toBe(0o700);
    expect(statSync(join(nested, "lock")).mode & 0o777).toBe(0o600);
    lock.release();
  });

  test("takes over the lock of a process that has died", () => {
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    writeFileSync(file(), JSON.stringify({ pid, started: "" }));
    const lock = lockDirectory(dir);
    expect(JSON.parse(readFileSync(file(), "utf8"))).toMatchObject({ pid: process.pid });
    expect(readdirSync(dir)).toEqual(["lock"]);
    lock.release();
  });

  test("takes over the lock of a process whose id another one has now", () => {
    writeFileSync(file(), JSON.stringify({ pid: process.pid, started: "another boot 1" }));
    lockDirectory(dir).release();
  });

  test("takes over a file that is no lock, and an abandoned take-over", () => {
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    writeFileSync(file(), "");
    writeFileSync(`${file()}.takeover`, JSON.stringify({ pid, started: "" }));
    lockDirectory(dir).release();
    expect(readdirSync(dir)).toEqual([]);
  });

  test("respects another process that lives", async () => {
    const lock = lockDirectory(dir);
    const own = JSON.parse(readFileSync(file(), "utf8"));
    lock.release();
    const child = spawn(process.execPath, ["-e", "process.stdin.resume()"]);
    try {
      // Where the system tells start times, the other's is read; elsewhere all are empty.
      const stat = own.started ? readFileSync(`/proc/${child.pid}/stat`, "utf8") : "";
      const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
      const started = own.started ? `${own.started.split(" ")[0]} ${start}` : "";
      writeFileSync(file(), JSON.stringify({ pid: child.pid, started }));
      expect(() => lockDirectory(dir)).toThrow(`in use by process ${child.pid}`);
    } finally {
      child.kill();
      await new Promise((resolve) => child.once("close", resolve));
    }
    lockDirectory(dir).release();
  });

  test.runIf(process.platform === "linux")(
    "takes over the lock of a process that has ended, and whose parent has not noticed",
    async () => {
      // The shell becomes another program, which knows nothing of the child that it has.
      const script = "cat <&3 & echo $!; exec sleep 60";
      const parent = spawn("/bin/sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore", "pipe"] });
      const until = async (holds: () => boolean): Promise<void> => {
        while (!holds()) await new Promise((resolve) => setImmediate(resolve));
      };
      try {
        const pid = Number(await new Promise((resolve) => parent.stdout?.once("data", (chunk) => resolve(String(chunk)))));
        await until(() => readFileSync(`/proc/${parent.pid}/comm`, "utf8") === "sleep\n");
        (parent.stdio[3] as Writable).end(); // a pipe, as asked for
        const fields = (): readonly string[] => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
        await until(() => fields()[0] === "Z");
        const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
        writeFileSync(file(), JSON.stringify({ pid, started: `${boot} ${fields()[19]}` }));
        lockDirectory(dir).release();
      } finally {
        parent.kill("SIGKILL");
        await new Promise((resolve) => parent.once("close", resolve));
      }
    },
  );

  describe("held in another PID namespace", () => {
    const elsewhere = JSON.stringify({ pid: 1, started: "boot 1", space: "boot pid:[1]" });
    /** Touches the lock every 20 ms, as its holder does now and then. */
    const touching = `const fs = require("fs"); setInterval(() => fs.utimesSync(process.argv[1], Date.now() / 1000, Date.now() / 1000), 20);`;

    test.runIf(process.platform === "linux")("respects a holder that touches its lock", async () => {
      writeFileSync(file(), elsewhere);
      const child = spawn(process.execPath, ["-e", touching, file()], { stdio: "ignore" });
      try {
        const words = `the directory ${dir} is in use by process 1 of another container or machine`;
        expect(() => lockDirectory(dir)).toThrow(words);
        expect(() => directoryHolder(dir)).toThrow(words);
      } finally {
        child.kill();
        await new Promise((resolve) => child.once("close", resolve));
      }
    });

    test.runIf(process.platform === "linux")("respects one whose last touch a clock that was set makes long ago", async () => {
      writeFileSync(file(), elsewhere);
      utimesSync(file(), Date.now() / 1000 - 3600, Date.now() / 1000 - 3600);
      const child = spawn(process.execPath, ["-e", touching, file()], { stdio: "ignore" });
      try {
        expect(() => lockDirectory(dir)).toThrow(`the directory ${dir} is in use by process 1`);
      } finally {
        child.kill();
        await new Promise((resolve) => child.once("close", resolve));
      }
    });

    test("takes over the lock of one that has not for half a minute", () => {
      writeFileSync(file(), elsewhere);
      utimesSync(file(), Date.now() / 1000 - 31, Date.now() / 1000 - 31);
      lockDirectory(dir).release();
    });
  });

  test("touches its own lock, and no other", async () => {
    const lock = lockDirectory(dir);
    const longAgo = new Date(0);
    utimesSync(file(), longAgo, longAgo);
    await expect.poll(() => statSync(file()).mtimeMs, { timeout: 20_000 }).not.toBe(0);
    lock.release();
  });

  test.runIf(process.platform === "linux" && process.getuid?.() === 0)("keeps out processes of other PID namespaces", async () => {
    const program = join(import.meta.dirname, "directory-lock.ts");
    const script = `const { lockDirectory } = await import(${JSON.stringify(program)}); lockDirectory(${JSON.stringify(dir)}); console.log("held"); setInterval(() => undefined, 1000);`;
    const loader = join(import.meta.dirname, "../../scripts/ts-loader.mjs");
    const args = [
      "--pid",
      "--mount-proc",
      "--fork",
      "--kill-child",
      process.execPath,
      "--import",
      loader,
      "--input-type=module",
      "-e",
      script,
    ];
    const child = spawn("unshare", args, { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await new Promise((resolve) => child.stdout.once("data", resolve));
      expect(() => lockDirectory(dir)).toThrow(/is in use by process \d+ of another container or machine/);
    } finally {
      child.kill("SIGKILL"); // unshare ignores SIGTERM while its child runs
      await new Promise((resolve) => child.once("close", resolve));
    }
  });
});
