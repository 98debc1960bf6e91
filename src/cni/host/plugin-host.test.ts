// The plugin host with real launchers: executables that hand their call over a socket, and do without a host where there is none.
import { execFile } from "node:child_process";
import { chmod, lstat, mkdir, mkdtemp, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { realClock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { silentLogger } from "../../base/log.ts";
import { findExecutable } from "../../linux/find-executable.ts";
import type { CniPlugin, PluginTable } from "../plugins/plugin.ts";
import { CniError } from "../spec/cni-error.ts";
import { firstFault } from "./effects.ts";
import { renderLauncher } from "./launcher.ts";
import { keepPluginDirectory } from "./plugin-directory.ts";
import { type PluginHostOptions, startPluginHost } from "./plugin-host.ts";

const perl = process.platform === "linux" ? await findExecutable("perl") : undefined;
if (perl === undefined) console.log("the plugin host is not tried: it needs Linux and perl");

let directory = "";
let stack: StopStack;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cni-host-"));
  stack = new StopStack();
});
afterEach(async () => {
  await stack.stop();
  await rm(directory, { recursive: true, force: true });
});

const socket = (): string => join(directory, "host.sock");
const bin = (): string => join(directory, "bin");

async function start(plugins: PluginTable, options: Partial<PluginHostOptions> = {}): Promise<Running> {
  return stack.add(
    await startPluginHost({ socket: socket(), plugins: async () => plugins, clock: realClock, logger: silentLogger, ...options }),
  );
}

/** Executables of these names; `alone` is a script that says what it was given. */
async function install(...names: readonly string[]): Promise<void> {
  const alone = join(directory, "alone");
  await writeFile(alone, '#!/bin/sh\necho "alone $* $(cat)"\n');
  await chmod(alone, 0o755);
  const launcher = renderLauncher({ socket: socket(), alone: [alone, "cni"], perl });
  stack.add(await keepPluginDirectory({ directory: bin(), names, launcher, logger: silentLogger, vendors: [join(directory, "vendor")] }));
}

interface Answer {
  readonly code: number;
  readonly stdout: string;
}

function call(name: string, env: Readonly<Record<string, string>> = {}, input = config): Promise<Answer> {
  const all = {
    PATH: process.env.PATH ?? "",
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/run/netns/none",
    CNI_IFNAME: "eth0",
    CNI_PATH: bin(),
  };
  return new Promise((resolve) => {
    const child = execFile(join(bin(), name), { env: { ...all, ...env } }, (error, stdout) =>
      resolve({ code: error ? Number(error.code) : 0, stdout }),
    );
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

const config = JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "echo" });
const nothing: CniPlugin = { add: async () => ({}), del: async () => undefined, check: async () => undefined };

describe.runIf(perl !== undefined)("startPluginHost()", () => {
  test("answers executables with what a plugin returns and throws", async () => {
    const echo: CniPlugin = {
      ...nothing,
      add: async ({ config: { name }, containerId, args }) => ({ interfaces: [{ name: `${name}-${containerId}-${args.A}` }] }),
      async del() {
        throw new CniError(11, "later", { details: "busy" });
      },
    };
    await start({ echo });
    await install("echo");
    const added = await call("echo", { CNI_ARGS: "A=1" });
    expect(added.code).toBe(0);
    expect(JSON.parse(added.stdout)).toEqual({ cniVersion: "1.0.0", interfaces: [{ name: "net-c1-1" }], dns: {} });
    const deleted = await call("echo", { CNI_COMMAND: "DEL" });
    expect(deleted.code).toBe(1);
    expect(JSON.parse(deleted.stdout)).toEqual({ cniVersion: "1.0.0", code: 11, msg: "later", details: "busy" });
    expect(await call("echo", { CNI_COMMAND: "CHECK" })).toEqual({ code: 0, stdout: "" });
    expect(JSON.parse((await call("echo", { CNI_COMMAND: "VERSION" })).stdout)).toMatchObject({
      supportedVersions: expect.arrayContaining(["0.2.0", "1.1.0"]),
    });
  });

  test.each([
    [{ CNI_COMMAND: "NONSENSE" }, config, 4, "unknown CNI_COMMAND: NONSENSE"],
    [{ CNI_CONTAINERID: "", CNI_IFNAME: "" }, config, 4, "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing"],
    [{ CNI_IFNAME: "a:b" }, config, 4, "interface name contains / or : or whitespace characters"],
    [{ CNI_COMMAND: "STATUS" }, config, 1, "config version does not allow STATUS"],
    [{}, '{"name":"net","cniVersion":"5.0.0"}', 1, "incompatible CNI versions"],
    [{}, "{", 6, "error unmarshall network config"],
    [{}, "{}", 7, "missing network name"],
    [{ CNI_NETNS: "/proc/self/ns/net" }, config, 8, "plugin's netns and netns from CNI_NETNS should not be the same"],
  ])("refuses %j with %s by the code %i", async (env, input, code, message) => {
    await start({ echo: nothing });
    await install("echo");
    const answer = await call("echo", env, input);
    expect(answer.code).toBe(1);
    expect(JSON.parse(answer.stdout)).toMatchObject({ code, msg: expect.stringContaining(message) });
  });

  test("lets the launcher run tools, with their input, output, exit code and namespace", async () => {
    const seen: unknown[] = [];
    const tool: CniPlugin = {
      ...nothing,
      async add(_call, effects) {
        const large = "x".repeat(300_000);
        seen.push((await effects.run("sh", ["-c", "cat; echo err >&2"], { input: large })).stdout === large);
        seen.push(await effects.run("sh", ["-c", "echo broken >&2; exit 3"]).catch((error: Error) => error.message));
        seen.push(await effects.run("no-such-tool", []).catch((error: { notFound?: boolean }) => error.notFound));
        seen.push(await effects.run("true", [], { netns: "/no/such" }).catch((error: Error) => error.message));
        seen.push((await effects.run("readlink", ["/proc/self/ns/net"])).stdout.trim());
        return {};
      },
    };
    await start({ tool });
    await install("tool");
    expect((await call("tool")).code).toBe(0);
    expect(seen).toEqual([
      true,
      "sh -c echo broken >&2; exit 3: exit code 3: broken",
      true,
      expect.stringContaining("No such file or directory"),
      await readlink("/proc/self/ns/net"),
    ]);
  });

  test("one call at a time for a container, others meanwhile", async () => {
    const events: string[] = [];
    const gates = new Map<string, () => void>();
    const slow: CniPlugin = {
      ...nothing,
      async add({ containerId, ifName }) {
        events.push(`begin ${containerId} ${ifName}`);
        await new Promise<void>((resolve) => gates.set(`${containerId} ${ifName}`, resolve));
        events.push(`end ${containerId} ${ifName}`);
        return {};
      },
    };
    await start({ slow });
    await install("slow");
    const opened = async (gate: string): Promise<void> => {
      while (!gates.has(gate)) await new Promise((resolve) => setImmediate(resolve));
      gates.get(gate)?.();
    };
    const first = call("slow", { CNI_IFNAME: "eth0" });
    while (!gates.has("c1 eth0")) await new Promise((resolve) => setImmediate(resolve));
    const rest = [call("slow", { CNI_IFNAME: "eth1" }), call("slow", { CNI_CONTAINERID: "c2" })];
    await opened("c2 eth0");
    expect(events.filter((event) => event.includes("c1"))).toEqual(["begin c1 eth0"]);
    await opened("c1 eth0");
    await opened("c1 eth1");
    await Promise.all([first, ...rest]);
    expect(events.filter((event) => event.includes("c1"))).toEqual(["begin c1 eth0", "end c1 eth0", "begin c1 eth1", "end c1 eth1"]);
  });

  test("a call that takes too long is answered: try again later", async () => {
    const hanging: CniPlugin = { ...nothing, add: () => new Promise(() => undefined) };
    await start({ hanging }, { callTimeoutMs: 50 });
    await install("hanging");
    const { code, stdout } = await call("hanging");
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ code: 11, msg: "plugin hanging took longer than 0.05 s" });
  });

  test("a plugin runs alone where the host has none of this name, or does not run", async () => {
    const host = await start({ other: nothing });
    await install("echo");
    expect(await call("echo")).toEqual({ code: 0, stdout: `alone cni echo ${config}\n` });
    await host.stop();
    expect(await call("echo")).toEqual({ code: 0, stdout: `alone cni echo ${config}\n` });
    // What a host that was killed has left.
    await writeFile(socket(), "");
    expect(await call("echo")).toEqual({ code: 0, stdout: `alone cni echo ${config}\n` });
  });

  test("nobody but root can open its socket", async () => {
    await start({});
    expect((await stat(socket())).mode & 0o777).toBe(0o600);
  });
});

describe.runIf(perl !== undefined)("keepPluginDirectory()", () => {
  test("links what others have installed, but for names of ours, and follows them", async () => {
    const vendor = join(directory, "vendor");
    await mkdir(vendor);
    for (const name of ["calico", "bridge"]) await writeFile(join(vendor, name), "");
    await install("bridge", "ptp");
    expect(await readlink(join(bin(), "calico"))).toBe(join(vendor, "calico"));
    expect((await lstat(join(bin(), "bridge"))).isFile()).toBe(true);
    expect((await stat(join(bin(), "bridge"))).ino).toBe((await stat(join(bin(), "ptp"))).ino);
    await writeFile(join(vendor, "cilium"), "");
    while ((await readlink(join(bin(), "cilium")).catch(() => "")) === "") await new Promise((resolve) => setImmediate(resolve));
  });

  test("replaces launchers of an earlier version", async () => {
    await install("bridge");
    const before = await readFile(join(bin(), "bridge"), "utf8");
    const again = { directory: bin(), names: ["bridge"], launcher: `${before}# newer\n`, logger: silentLogger, vendors: [] };
    stack.add(await keepPluginDirectory(again));
    expect(await readFile(join(bin(), "bridge"), "utf8")).toBe(`${before}# newer\n`);
  });
});

test("without perl the launcher is a shell script that runs the plugin alone", () => {
  const text = renderLauncher({ socket: "/s", alone: ["/usr/bin/node", "/it's/coracle", "cni"], perl: undefined });
  expect(text).toContain(`exec '/usr/bin/node' '/it'\\''s/coracle' 'cni' "\${0##*/}"`);
});

describe("firstFault()", () => {
  const stderr = 'RTNETLINK answers: File exists\nCommand failed -:1\nCannot find device "x"\nCommand failed -:3\n';

  test("passes over failures that are allowed", () => {
    expect(firstFault(stderr, [{ command: "a", unless: /File exists/ }, "b", { command: "c", unless: /Cannot find/ }])).toBeUndefined();
    expect(firstFault(stderr, [{ command: "a", unless: /File exists/ }, "b", "link set x"])).toBe('ip link set x: Cannot find device "x"');
    expect(firstFault(stderr, ["link add"])).toBe("ip link add: RTNETLINK answers: File exists");
    expect(firstFault("nsenter: cannot open /x: No such file", ["a"])).toBe("nsenter: cannot open /x: No such file");
  });
});
