import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { realClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { servePluginRegistration, type WaitingPlugin } from "../../testing/sample-device-plugin.ts";
import { type PluginHandler, PluginWatcher } from "./plugin-watcher.ts";

let directory: string;
let watcher: PluginWatcher;
let log: string[];
const plugins: WaitingPlugin[] = [];

const handler: PluginHandler = {
  validate(name, _endpoint, versions) {
    if (!versions.includes("v1")) throw new Error(`${name} is too old`);
  },
  register: async (name, endpoint) => {
    if (name === "broken") throw new Error("it is broken");
    log.push(`+${name} ${endpoint}`);
  },
  deregister: (name) => log.push(`-${name}`),
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-plugins-"));
  log = [];
  watcher = new PluginWatcher(directory, { clock: realClock, logger: silentLogger, handlers: new Map([["Known", handler]]) });
  await watcher.start();
});
afterEach(async () => {
  await watcher.stop();
  await Promise.all(plugins.splice(0).map((p) => p.stop()));
  await rm(directory, { recursive: true });
});

async function wait(name: string, info: Partial<Parameters<typeof servePluginRegistration>[1]> = {}): Promise<WaitingPlugin> {
  const plugin = await servePluginRegistration(join(directory, `${name}.sock`), {
    type: "Known",
    name,
    supportedVersions: ["v1"],
    ...info,
  });
  plugins.push(plugin);
  return plugin;
}

test("a plugin is registered when its socket appears, and deregistered when it vanishes", async () => {
  const plugin = await wait("one");
  await vi.waitFor(() => expect(plugin.told).toEqual([{ pluginRegistered: true, error: "" }]), 10_000);
  expect(log).toEqual([`+one ${join(directory, "one.sock")}`]);
  await plugin.stop();
  await vi.waitFor(() => expect(log.at(-1)).toBe("-one"), 10_000);
});

test("a plugin serves where it says", async () => {
  await wait("one", { endpoint: "/run/one/real.sock" });
  await vi.waitFor(() => expect(log).toEqual(["+one /run/one/real.sock"]), 10_000);
});

test("plugins that cannot be used are told why", async () => {
  const [type, old, broken] = await Promise.all([
    wait("type", { type: "DRAPlugin" }),
    wait("old", { supportedVersions: ["v0"] }),
    wait("broken"),
  ]);
  const first = (plugin: WaitingPlugin) =>
    vi.waitFor(() => expect(plugin.told.length).toBeGreaterThan(0), 10_000).then(() => plugin.told[0]);
  expect(await first(type)).toEqual({
    pluginRegistered: false,
    error: `RegisterPlugin error -- no handler registered for plugin type: DRAPlugin at socket ${join(directory, "type.sock")}`,
  });
  expect(await first(old)).toMatchObject({ error: "RegisterPlugin error -- plugin validation failed with err: old is too old" });
  expect(await first(broken)).toMatchObject({ error: "RegisterPlugin error -- plugin registration failed with err: it is broken" });
  expect(log).toEqual([]);
});

test("what failed is tried again", async () => {
  const plugin = await wait("broken");
  await vi.waitFor(() => expect(plugin.told.length).toBeGreaterThan(1), 10_000);
});
