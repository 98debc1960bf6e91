import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { realClock } from "../../base/clock.ts";
import { AttachmentLocks } from "./attachment-locks.ts";
import { type Network, parseNetwork } from "./network-file.ts";
import { type Attachment, type CniRuntime, createCniRuntime } from "./runtime.ts";

let directory = "";
let runtime: CniRuntime;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cni-run-"));
  runtime = createCniRuntime({
    clock: realClock,
    path: [join(directory, "bin")],
    cacheDirectory: join(directory, "cache"),
    pluginTimeoutMs: 20_000,
  });
  await mkdir(join(directory, "bin"));
  for (const name of ["first", "second"]) await plugin(name, recording);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function plugin(name: string, script: string): Promise<void> {
  const file = join(directory, "bin", name);
  await writeFile(file, `#!/bin/sh\nlog=${directory}/log\n${script}\n`);
  await chmod(file, 0o755);
}

/** Writes down what it was called with; its result says its name. */
const recording = `
name=\${0##*/}
config=$(cat)
echo "$CNI_COMMAND $name $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS args=$CNI_ARGS $config" >> $log
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}' ;;
ADD) echo "{\\"cniVersion\\":\\"1.0.0\\",\\"interfaces\\":[{\\"name\\":\\"$name\\",\\"sandbox\\":\\"x\\"}],\\"dns\\":{}}" ;;
esac`;

const network = (json: object = {}): Promise<Network> =>
  parseNetwork(
    JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins: [{ type: "first", key: "kept" }, { type: "second" }], ...json }),
  );
const at: Attachment = { containerId: "c1", netns: "/run/netns/c1", ifName: "eth0", args: { A: "1", B: "2" } };

interface Call {
  readonly command: string;
  readonly name: string;
  readonly rest: string;
  readonly config: Readonly<Record<string, unknown>>;
}

async function calls(): Promise<readonly Call[]> {
  const lines = (await readFile(join(directory, "log"), "utf8").catch(() => "")).trim().split("\n");
  return lines.flatMap((line) => {
    const match = /^(\S+) (\S+) (.*?) (\{.*\})$/.exec(line);
    const [, command = "", name = "", rest = "", config = "{}"] = match ?? [];
    return match ? [{ command, name, rest, config: JSON.parse(config) as Call["config"] }] : [];
  });
}

const order = async (): Promise<readonly string[]> => (await calls()).map(({ command, name }) => `${command} ${name}`);

describe("createCniRuntime()", () => {
  test("runs plugins in order for ADD and CHECK, in reverse for DEL, each with the result before it", async () => {
    const net = await network();
    expect(await runtime.add(net, at)).toEqual({ interfaces: [{ name: "second", sandbox: "x" }] });
    await runtime.check(net, at);
    await runtime.del(net, at);
    expect(await order()).toEqual(["ADD first", "ADD second", "CHECK first", "CHECK second", "DEL second", "DEL first"]);
    const [addFirst, addSecond, ...later] = await calls();
    expect(addFirst?.rest).toBe("c1 eth0 /run/netns/c1 args=A=1;B=2");
    expect(addFirst?.config).toEqual({ type: "first", key: "kept", name: "net", cniVersion: "1.0.0" });
    expect(addSecond?.config.prevResult).toMatchObject({ interfaces: [{ name: "first" }] });
    for (const { config } of later) expect(config.prevResult).toMatchObject({ interfaces: [{ name: "second" }] });
  });

  test("keeps results as libcni does, until DEL", async () => {
    const net = await network();
    await runtime.add(net, { ...at, capabilities: { mac: "x" } });
    const text = await readFile(join(directory, "cache", "results", "net-c1-eth0"), "utf8");
    expect(JSON.parse(text)).toMatchObject({
      ...{ kind: "cniCacheV1", containerId: "c1", ifName: "eth0", networkName: "net", netns: "/run/netns/c1" },
      cniArgs: [
        ["A", "1"],
        ["B", "2"],
      ],
      capabilityArgs: { mac: "x" },
      result: { cniVersion: "1.0.0", interfaces: [{ name: "second" }] },
    });
    expect(Buffer.from((JSON.parse(text) as { config: string }).config, "base64").toString()).toBe(net.text);
    await runtime.del(net, at);
    expect(await readdir(join(directory, "cache", "results"))).toEqual([]);
    await runtime.del(net, at);
  });

  test("refuses a second ADD of one network, container and interface, and none else", async () => {
    const net = await network();
    await runtime.add(net, at);
    await expect(runtime.add(net, at)).rejects.toThrow("container c1 has been added to network net with interface eth0 already");
    await runtime.add(net, { ...at, ifName: "eth1" });
    await runtime.add(net, { ...at, containerId: "c2" });
    await runtime.add(await network({ name: "other" }), at);
    await runtime.del(net, at);
    await runtime.add(net, at);
  });

  test("gives a plugin the capabilities it says it has", async () => {
    const plugins = [{ type: "first", capabilities: { portMappings: true, mac: false } }, { type: "second" }];
    await runtime.add(await network({ plugins }), { ...at, capabilities: { portMappings: [{ hostPort: 1 }], mac: "x", ips: [] } });
    const [first, second] = await calls();
    expect(first?.config.runtimeConfig).toEqual({ portMappings: [{ hostPort: 1 }] });
    expect(first?.config.capabilities).toBeUndefined();
    expect(second?.config.runtimeConfig).toBeUndefined();
  });

  test("takes back what was done where a plugin fails, and says its words", async () => {
    await plugin(
      "second",
      `cat > /dev/null; echo "$CNI_COMMAND second" >> $log; [ $CNI_COMMAND = ADD ] || exit 0; echo '{"code":11,"msg":"later","details":"busy"}'; exit 1`,
    );
    await expect(runtime.add(await network(), at)).rejects.toMatchObject({
      code: 11,
      message: 'plugin type="second" failed (add): later',
      details: "busy",
    });
    const log = (await readFile(join(directory, "log"), "utf8")).split("\n").map((line) => line.split(" ").slice(0, 2).join(" "));
    expect(log).toEqual(["ADD first", "ADD second", "DEL second", "DEL first", ""]);
  });

  test.each([
    ["words that are no JSON", "echo hello", 'printed no JSON: "hello"'],
    ["a result that is none", `echo '{"ips":[{"address":5}]}'`, "an address of the result is no text"],
    ["no result", "true", "printed no result"],
    ["no message", "exit 3", "failed with exit code 3 and no message"],
    ["words on standard error", "echo broken >&2; exit 1", 'failed with exit code 1 and said: "broken"'],
    ["too much", "head -c 9000000 /dev/zero", "printed more than"],
  ])("says clearly that a plugin answers with %s", async (_what, script, message) => {
    await plugin("first", `cat > /dev/null; ${script}`);
    await expect(runtime.add(await network(), at)).rejects.toThrow(message);
  });

  test("kills a plugin that hangs, and what it has started", async () => {
    await plugin("first", "sleep 1000 & echo $! > $log.pid; wait");
    const impatient = createCniRuntime({
      clock: realClock,
      path: [join(directory, "bin")],
      cacheDirectory: join(directory, "c"),
      pluginTimeoutMs: 300,
    });
    await expect(impatient.add(await network(), at)).rejects.toThrow(
      'plugin type="first" failed (add): plugin first did not answer within 0.3 s',
    );
    const pid = Number(await readFile(join(directory, "log.pid"), "utf8"));
    const state = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "gone");
    expect(state).toMatch(/^gone$|\) Z /);
  });

  test("says that a plugin is missing, and where it was looked for", async () => {
    await expect(runtime.add(await network({ plugins: [{ type: "third" }] }), at)).rejects.toThrow(
      `failed to find plugin "third" in path [${join(directory, "bin")}]`,
    );
  });

  test("CHECK is for versions from 0.4.0, and none where it is disabled", async () => {
    await expect(runtime.check(await network({ cniVersion: "0.3.1" }), at)).rejects.toMatchObject({ code: 1 });
    await runtime.check(await network({ disableCheck: true }), at);
    expect(await order()).toEqual([]);
  });

  test("STATUS and GC reach plugins from 1.1.0; GC deletes what is not valid any more", async () => {
    const old = await network();
    for (const containerId of ["c1", "c2"]) await runtime.add(old, { ...at, containerId });
    await rm(join(directory, "log"));
    await runtime.status(old);
    const valid = [{ containerID: "c2", ifname: "eth0" }];
    await runtime.gc(old, valid);
    expect(await order()).toEqual(["DEL second", "DEL first"]);
    expect(await readdir(join(directory, "cache", "results"))).toEqual(["net-c2-eth0"]);
    await rm(join(directory, "log"));
    const modern = await network({ cniVersion: "1.1.0" });
    await runtime.status(modern);
    await runtime.gc(modern, valid);
    expect(await order()).toEqual(["STATUS first", "STATUS second", "GC first", "GC second"]);
    expect((await calls()).at(-1)?.config["cni.dev/valid-attachments"]).toEqual(valid);
    await rm(join(directory, "log"));
    await runtime.gc(await network({ cniVersion: "1.1.0", disableGC: true }), []);
    expect(await order()).toEqual([]);
  });

  test("asks plugins for their versions", async () => {
    expect(await runtime.versions("first")).toEqual(["0.4.0", "1.0.0", "1.1.0"]);
    await runtime.validate(await network());
    await expect(runtime.validate(await network({ cniVersion: "0.3.1" }))).rejects.toThrow(
      'plugin first does not support config version "0.3.1"',
    );
  });

  test.each([
    [{ containerId: "" }, "missing containerID"],
    [{ containerId: "../x" }, "invalid characters in containerID"],
    [{ ifName: "a/b" }, "interface name contains / or : or whitespace characters"],
    [{ ifName: "sixteencharacter" }, "interface name is too long"],
  ])("refuses %j", async (fields, message) => {
    await expect(runtime.add(await network(), { ...at, ...fields })).rejects.toThrow(message);
  });
});

describe("AttachmentLocks", () => {
  test("one at a time for a container, others meanwhile, and garbage collection alone", async () => {
    const locks = new AttachmentLocks();
    const running = new Set<string>();
    const seen: string[] = [];
    const ends = new Map<string, () => void>();
    const work = (name: string) => async (): Promise<void> => {
      running.add(name);
      seen.push([...running].sort().join(","));
      await new Promise<void>((resolve) => ends.set(name, resolve));
      running.delete(name);
    };
    const all = [
      locks.forContainer("a", work("a1")),
      locks.forContainer("a", work("a2")),
      locks.forContainer("b", work("b1")),
      locks.alone(work("gc")),
      locks.forContainer("c", work("c1")),
    ];
    for (const name of ["a1", "a2", "b1", "gc", "c1"]) {
      while (!ends.has(name)) await new Promise((resolve) => setImmediate(resolve));
      ends.get(name)?.();
    }
    await Promise.all(all);
    expect(seen).toEqual(["a1", "a1,b1", "a2,b1", "gc", "c1"]);
  });
});
