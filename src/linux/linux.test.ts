import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { realClock } from "../base/clock.ts";
import { parseEffectiveCapabilities } from "./capabilities.ts";
import { findDirectoryWith, findExecutable } from "./find-executable.ts";
import { listMounts, mountAt, parseMountInfo } from "./mounts.ts";
import { commandLine, findProcesses, identifyProcess, isRunning, terminateProcess } from "./processes.ts";
import { CommandError, runCommand } from "./run-command.ts";
import { defaultInterface, hostAddresses, readSystemInfo } from "./system-info.ts";

const onLinux = process.platform === "linux";

describe("runCommand()", () => {
  test("gives input, and returns both outputs", async () => {
    expect(await runCommand("sh", ["-c", "cat; echo err >&2"], { input: "in" })).toEqual({ stdout: "in", stderr: "err\n" });
  });

  test("throws the exit code and what the tool said", async () => {
    const error = await runCommand("sh", ["-c", "echo broken >&2; exit 3"]).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CommandError);
    expect(error).toMatchObject({ exitCode: 3, stderr: "broken\n", message: "sh -c echo broken >&2; exit 3: exit code 3: broken" });
  });

  test("says when a tool is missing", async () => {
    await expect(runCommand("no-such-tool", [])).rejects.toMatchObject({
      notFound: true,
      message: "no-such-tool is not installed on this machine",
    });
  });

  test("kills a tool that takes too long, prints too much, or is cancelled", async () => {
    await expect(runCommand("sleep", ["1000"], { timeoutMs: 20 })).rejects.toThrow("sleep 1000: took longer than 20 ms");
    await expect(runCommand("yes", [], { maxOutputBytes: 10_000 })).rejects.toThrow("yes: printed more than 10000 bytes");
    const abort = new AbortController();
    const running = runCommand("sleep", ["1000"], { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
  });

  test("reports the exit of a tool that does not read its input, and the failure of the input itself", async () => {
    await expect(runCommand("sh", ["-c", "exit 5"], { input: "x".repeat(1_000_000) })).rejects.toMatchObject({ exitCode: 5 });
    async function* failing() {
      yield Buffer.from("some");
      throw new Error("the disk is on fire");
    }
    await expect(runCommand("cat", [], { input: failing() })).rejects.toThrow("the disk is on fire");
  });
});

describe("parseMountInfo()", () => {
  test("reads optional fields, escapes, and super options", () => {
    const text = String.raw`36 35 98:0 /mnt1 /mnt/my\040disk rw,noatime master:1 shared:2 - ext3 /dev/my\040root rw,errors=continue
37 36 0:5 / /proc rw - proc proc rw
`;
    expect(parseMountInfo(text)).toEqual([
      {
        id: 36,
        parentId: 35,
        root: "/mnt1",
        mountPoint: "/mnt/my disk",
        options: ["rw", "noatime"],
        propagation: ["master:1", "shared:2"],
        fileSystem: "ext3",
        source: "/dev/my root",
        superOptions: ["rw", "errors=continue"],
      },
      {
        id: 37,
        parentId: 36,
        root: "/",
        mountPoint: "/proc",
        options: ["rw"],
        propagation: [],
        fileSystem: "proc",
        source: "proc",
        superOptions: ["rw"],
      },
    ]);
  });

  test.runIf(onLinux)("reads this machine's mounts", async () => {
    expect((await listMounts()).length).toBeGreaterThan(0);
    expect((await mountAt("/proc"))?.fileSystem).toBe("proc");
    expect(await mountAt("/no/such/mount")).toBeUndefined();
  });
});

test("parseEffectiveCapabilities() reads the mask", () => {
  const status = (mask: string): string => `Name:\tnode\nCapPrm:\t0000000000000000\nCapEff:\t${mask}\n`;
  expect([...parseEffectiveCapabilities(status("000001ffffffffff"))]).toContain("SYS_RESOURCE");
  const without = parseEffectiveCapabilities(status("000001fffeffffff"));
  expect([without.has("SYS_RESOURCE"), without.has("SYS_ADMIN"), without.has("BPF")]).toEqual([false, true, true]);
  expect(parseEffectiveCapabilities("").size).toBe(0);
});

describe.runIf(onLinux)("processes", () => {
  test("are recognised, and gone after their end", async () => {
    const marker = `sleep-${process.pid}`;
    // It waits by itself: a child of its own would for a moment have the same command line.
    const child = spawn("sh", ["-c", "trap '' TERM; read line", marker], { stdio: ["pipe", "ignore", "ignore"] });
    const ended = once(child, "exit");
    try {
      const identity = await identifyProcess(child.pid ?? -1);
      if (!identity) throw new Error("the process is not there");
      expect(await isRunning(identity)).toBe(true);
      expect(await isRunning({ ...identity, startTicks: identity.startTicks - 1 })).toBe(false);
      expect(await isRunning({ ...identity, bootId: "another" })).toBe(false);
      expect(await commandLine(identity.pid)).toContain(marker);
      expect((await findProcesses((args) => args.includes(marker))).map((p) => p.pid)).toEqual([identity.pid]);
      await terminateProcess(identity, { clock: realClock, graceMs: 50 });
      expect(await isRunning(identity)).toBe(false);
      await terminateProcess(identity, { clock: realClock, graceMs: 50 });
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
  });
});

describe("readSystemInfo()", () => {
  test("describes this machine", async () => {
    const info = await readSystemInfo();
    expect(info.cpus).toBeGreaterThan(0);
    expect(info.memoryBytes).toBeGreaterThan(100_000_000);
    expect(info.kernelVersion).toMatch(/^\d+\./);
    expect(info.operatingSystem).toBe(process.platform);
    for (const address of await hostAddresses()) expect(address.address).not.toMatch(/^(127\.|::1$|fe80:)/);
  });

  test("defaultInterface() takes the default route with the lowest metric", () => {
    const row = (name: string, destination: string, flags: string, metric: number, mask: string): string =>
      [name, destination, "0100000A", flags, "0", "0", metric, mask, "0", "0", "0"].join("\t");
    const table = [
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
      row("wlan0", "00000000", "0003", 600, "00000000"),
      row("eth0", "00000000", "0003", 100, "00000000"),
      row("down0", "00000000", "0002", 1, "00000000"),
      row("eth1", "0000000A", "0001", 0, "00FFFFFF"),
    ].join("\n");
    expect(defaultInterface(table)).toBe("eth0");
    expect(defaultInterface("Iface\n")).toBeUndefined();
  });
});

test.runIf(onLinux)("findExecutable() and findDirectoryWith() find the system's tools", async () => {
  expect(await findExecutable("sh")).toMatch(/\/sh$/);
  expect(await findExecutable("no-such-tool")).toBeUndefined();
  expect(await findDirectoryWith(["sh", "cat"], ["/no/such/directory", "/bin"])).toBe("/bin");
  expect(await findDirectoryWith(["sh", "no-such-tool"], ["/bin"])).toBeUndefined();
});
