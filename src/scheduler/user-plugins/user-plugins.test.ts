import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { createLogger } from "../../base/log.ts";
import { SchedulerCache } from "../cache.ts";
import { readSchedulerConfiguration } from "../configuration/scheduler-configuration.ts";
import { testNode, testPod } from "../test-objects.ts";
import { followPluginModules, loadPluginModules } from "./plugin-modules.ts";
import { checkedPlugins, createUserPlugin, pluginRegistry, type UserPlugin, type UserPluginContext } from "./user-plugin.ts";

const plugin = (more: Partial<UserPlugin> = {}): UserPlugin => ({
  ...{ name: "Mine", extensionPoints: ["filter", "score"], create: () => ({ filter: () => undefined, score: () => undefined }) },
  ...more,
});
const context = { schedulerName: "s", args: undefined } as UserPluginContext; // nothing else is looked at

describe("checkedPlugins()", () => {
  it("takes one plugin or several", () => {
    expect(checkedPlugins(plugin())).toHaveLength(1);
    expect(checkedPlugins([plugin(), plugin({ name: "Other" })])).toHaveLength(2);
  });

  it.each([
    [undefined, "expected a default export"],
    [[], "at least one plugin"],
    [{ ...plugin(), name: 1 }, "name: expected a string"],
    [plugin({ name: "NodeName" }), "plugin NodeName: name: expected one that no built-in plugin has"],
    [{ ...plugin(), extensionPoints: ["filters"] }, "plugin Mine: extensionPoints: expected some of preEnqueue"],
    [plugin({ weight: 0.5 }), "plugin Mine: weight: expected a whole number of at least 1"],
    [{ ...plugin(), create: {} }, "plugin Mine: create: expected a function"],
  ])("refuses %j", (exported, why) => {
    expect(() => checkedPlugins(exported)).toThrow(why);
  });

  it("needs what a plugin declares", () => {
    expect(createUserPlugin(plugin(), context).name).toBe("Mine");
    const forgetful = plugin({ create: () => ({ filter: () => undefined }) });
    expect(() => createUserPlugin(forgetful, context)).toThrow("plugin Mine: create: expected an object with the function score");
    expect(() => pluginRegistry([plugin(), plugin()])).toThrow("plugin Mine: given twice");
  });
});

describe("a profile", () => {
  const read = (yaml: string) =>
    readSchedulerConfiguration(
      `apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n${yaml}`,
      pluginRegistry([plugin({ weight: 7 })]),
    );

  it("has a user's plugin behind the built-in ones, with its weight", async () => {
    const [profile] = (await read("")).profiles;
    expect(profile?.plugins.points.filter.at(-1)).toBe("Mine");
    expect(profile?.plugins.points.preFilter).not.toContain("Mine");
    expect(profile?.plugins.scoreWeights.Mine).toBe(7);
  });

  it("may weigh it otherwise, give it arguments as they are, or leave it out", async () => {
    const { profiles } = await read(`
profiles:
  - schedulerName: a
    plugins: {multiPoint: {enabled: [{name: Mine, weight: 2}]}}
    pluginConfig: [{name: Mine, args: {any: [1]}}]
  - schedulerName: b
    plugins: {multiPoint: {disabled: [{name: Mine}]}}
`);
    expect(profiles[0]?.plugins.scoreWeights.Mine).toBe(2);
    expect(profiles[0]?.otherArgs.Mine).toEqual({ any: [1] });
    expect(profiles[1]?.plugins.points.filter).not.toContain("Mine");
    await expect(read("profiles: [{plugins: {permit: {enabled: [{name: Mine}]}}}]")).rejects.toThrow(
      'plugin "Mine" does not extend PermitPlugin plugin',
    );
  });
});

describe("modules", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "plugins-"));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const write = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, text);
    return path;
  };
  const source = (name: string): string => `
    import { allowed } from "./rule.ts";
    interface Node { readonly name: string }
    export default { name: "${name}", extensionPoints: ["filter"], create: () => ({ filter: () => ({ name }: Node) =>
      allowed(name) ? undefined : { reasons: ["not allowed"] } }) };`;

  it("may be TypeScript and import others", async () => {
    await write("rule.ts", 'export const allowed = (name: string): boolean => name === "good";');
    const { plugins, files } = await loadPluginModules([await write("mine.ts", source("Mine"))]);
    expect(files.map(({ path }) => path).sort()).toEqual([join(directory, "mine.ts"), join(directory, "rule.ts")]);
    const [made] = plugins.map((p) => createUserPlugin(p, context));
    const filter = made?.filter?.({} as never); // the filter of the module looks at the node alone
    expect([filter?.({ name: "good" } as never), filter?.({ name: "bad" } as never)]).toEqual([undefined, { reasons: ["not allowed"] }]);
  });

  it("may be the example of the documentation", async () => {
    const text = await readFile(new URL("../../../docs/scheduler-plugins.md", import.meta.url), "utf8");
    const example = /```ts\n(.*?)```/s.exec(text)?.[1] ?? "";
    const { plugins } = await loadPluginModules([await write("example.ts", example)]);
    const logger = createLogger("test", { write: () => undefined });
    const [made] = plugins.map((p) => createUserPlugin(p, { ...context, args: { zones: ["a"] }, logger }));
    const cache = new SchedulerCache();
    for (const zone of ["a", "b"]) cache.setNode(testNode(zone, { labels: { "topology.kubernetes.io/zone": zone } }));
    const cycle = { pod: testPod("p"), snapshot: cache, state: new Map<string, unknown>() };
    expect(cache.nodes.map((node) => made?.filter?.(cycle)?.(node))).toEqual([undefined, { reasons: ["zone b is not in the budget"] }]);
    expect(cache.nodes.map((node) => made?.score?.(cycle, cache.nodes)?.(node))).toEqual([100, 100]);
  });

  it("are refused with the place of a mistake", async () => {
    await expect(loadPluginModules([await write("wrong.ts", "export default {\n  name: ;\n};")])).rejects.toThrow(
      /wrong\.ts: .*wrong\.ts:2:9: Unexpected ";"/,
    );
    await expect(loadPluginModules([join(directory, "none.ts")])).rejects.toThrow("none.ts");
    await expect(loadPluginModules([await write("empty.ts", "export {};")])).rejects.toThrow("empty.ts: expected a default export");
    await expect(loadPluginModules([await write("throws.ts", 'throw new Error("not now");')])).rejects.toThrow("throws.ts: not now");
  });

  it("are loaded again when a file they import has changed, and stay when it has become wrong", async () => {
    const clock = new VirtualClock();
    const lines: string[] = [];
    const logger = createLogger("test", { write: (line) => void lines.push(line) });
    await write("rule.ts", 'export const allowed = (name: string) => name === "good";');
    const paths = [await write("mine.ts", source("Mine"))];
    const seen: string[] = [];
    const changed = async (plugins: readonly UserPlugin[]): Promise<void> => void seen.push(plugins.map(({ name }) => name).join());
    const following = followPluginModules(paths, await loadPluginModules(paths), { clock, logger, changed });
    const happens = (what: () => boolean): Promise<void> =>
      vi.waitFor(
        async () => {
          await clock.advance(1000);
          expect(what()).toBe(true);
        },
        { timeout: 60_000 },
      );
    await write("rule.ts", "export const allowed = (name: string) => ;");
    await happens(() => lines.some((line) => line.includes("The plugins stay as they were") && line.includes("rule.ts:1")));
    expect(seen).toEqual([]);
    await write("rule.ts", "export const allowed = () => true;");
    await happens(() => seen.length === 1);
    await write("mine.ts", 'export default { name: "Alone", extensionPoints: ["filter"], create: () => ({ filter: () => undefined }) };');
    await happens(() => seen.at(-1) === "Alone");
    await write("mine.ts", source("Again"));
    await happens(() => seen.at(-1) === "Again");
    await following.stop();
  });
});
