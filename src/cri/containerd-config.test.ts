import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { configuredRuntimes, renderContainerdConfig } from "./containerd-config.ts";
import { containerdPaths } from "./containerd-paths.ts";
import { pauseProgram } from "./pause-program.ts";

describe("containerdPaths()", () => {
  test("keeps everything below the data directory", () => {
    expect(containerdPaths("/data/a")).toMatchObject({
      socket: "/data/a/containerd/containerd.sock",
      state: "/data/a/containerd/state",
      endpoint: "unix:///data/a/containerd/containerd.sock",
      cniConfig: "/data/a/cni/net.d",
    });
  });

  test("moves sockets to a short path of its own when the data directory's name is too long for them", () => {
    const long = `/${"d".repeat(90)}`;
    const { socket, state, root } = containerdPaths(long);
    expect(socket).toMatch(/^\/run\/coracle\/[0-9a-f]{8}\/containerd\.sock$/);
    expect(state).toMatch(/^\/run\/coracle\/[0-9a-f]{8}\/state$/);
    expect(root).toBe(`${long}/containerd/root`);
    expect(containerdPaths(`${long}2`).socket).not.toBe(socket);
    for (let length = 1; length < 200; length++)
      expect(`${containerdPaths(`/${"d".repeat(length)}`).socket}.ttrpc`.length).toBeLessThanOrEqual(107);
  });
});

test("renderContainerdConfig() writes what the machine needs", () => {
  const options = {
    paths: containerdPaths("/data/a"),
    sandboxImage: "coracle.local/pause:1",
    snapshotter: "native",
    cniBinDirectory: "/usr/lib/cni",
    ociRuntimes: {
      defaultName: "crun",
      all: [
        { name: "runc", binary: "/usr/sbin/runc" },
        { name: "crun", binary: "/data/a/containerd/crun" },
      ],
    },
    restrictOomScoreAdj: true,
  } as const;
  const text = renderContainerdConfig(options);
  for (const line of [
    "version = 2",
    'address = "/data/a/containerd/containerd.sock"',
    'sandbox_image = "coracle.local/pause:1"',
    'snapshotter = "native"',
    "restrict_oom_score_adj = true",
    'stream_server_address = "127.0.0.1"',
    'default_runtime_name = "crun"',
    'BinaryName = "/usr/sbin/runc"',
    'Root = "/data/a/containerd/state/runc"',
    'BinaryName = "/data/a/containerd/crun"',
    "SystemdCgroup = false",
    'bin_dir = "/usr/lib/cni"',
    'conf_dir = "/data/a/cni/net.d"',
    'config_path = "/etc/containerd/certs.d"',
  ])
    expect(text.split("\n")).toContain(line);
  expect(configuredRuntimes(text)).toEqual([
    { binary: "/usr/sbin/runc", root: "/data/a/containerd/state/runc" },
    { binary: "/data/a/containerd/crun", root: "/data/a/containerd/state/crun" },
  ]);
  const disabled = /disabled_plugins = (.*)/.exec(text)?.[1] ?? "";
  expect(JSON.parse(disabled)).toContain("io.containerd.snapshotter.v1.overlayfs");
  expect(JSON.parse(disabled)).not.toContain("io.containerd.snapshotter.v1.native");
});

describe("pauseProgram()", () => {
  test("is a small static executable for either architecture", () => {
    for (const [architecture, machine] of [
      ["amd64", 62],
      ["arm64", 183],
    ] as const) {
      const bytes = Buffer.from(pauseProgram(architecture));
      expect(bytes.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
      expect(bytes.readUInt16LE(18)).toBe(machine);
      expect(bytes.readBigUInt64LE(96)).toBe(BigInt(bytes.length));
      expect(bytes.length).toBeLessThan(300);
    }
  });

  test("stays what was run and disassembled", () => {
    // The arm64 program was run under qemu: a change must be tried there again before this digest is.
    const digest = (architecture: "amd64" | "arm64"): string =>
      createHash("sha256").update(pauseProgram(architecture)).digest("hex").slice(0, 16);
    expect(digest("arm64")).toBe("addcdf5c74b61848");
  });

  test.runIf(process.platform === "linux" && process.arch === "x64")("waits, and ends with 0 on SIGTERM and SIGINT", async () => {
    const directory = await mkdtemp(join(tmpdir(), "pause-"));
    try {
      const path = join(directory, "pause");
      await writeFile(path, pauseProgram("amd64"), { mode: 0o755 });
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        const child = spawn(path, { stdio: "ignore" });
        await once(child, "spawn");
        // Asleep is waiting for signals: sent before, they would end it in another way.
        const state = async (): Promise<string> => /^State:\s*(\w)/m.exec(await readFile(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? "";
        while ((await state()) !== "S") await new Promise((resolve) => setImmediate(resolve));
        child.kill("SIGCHLD");
        child.kill(signal);
        expect(await once(child, "exit")).toEqual([0, null]);
      }
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
