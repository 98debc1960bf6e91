import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadNetwork, loadNetworks, parseNetwork } from "./network-file.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cni-net-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const put = (name: string, content: unknown): Promise<void> =>
  writeFile(join(directory, name), typeof content === "string" ? content : JSON.stringify(content));

describe("loadNetworks()", () => {
  test("reads .conflist, .conf and .json in the order of their names, and nothing else", async () => {
    await put("30-c.json", { cniVersion: "0.3.1", name: "c", type: "bridge" });
    await put("10-a.conflist", { cniVersion: "1.0.0", name: "a", plugins: [{ type: "bridge" }, { type: "portmap" }] });
    await put("20-b.conf", { name: "b", type: "ptp" });
    await put("05-x.txt", { name: "x", type: "ptp" });
    await mkdir(join(directory, "01-d.conf"));
    const { networks, problems } = await loadNetworks(directory);
    expect(networks.map(({ name, cniVersion, plugins }) => [name, cniVersion, plugins.map(({ type }) => type)])).toEqual([
      ["a", "1.0.0", ["bridge", "portmap"]],
      ["b", "0.1.0", ["ptp"]],
      ["c", "0.3.1", ["bridge"]],
    ]);
    expect(problems).toEqual([]);
  });

  test("says which files hold no network, and why, and goes on", async () => {
    await put("10-broken.conflist", "{");
    await put("20-empty.conflist", { name: "e", plugins: [] });
    await put("30-good.conf", { name: "good", type: "bridge" });
    const { networks, problems } = await loadNetworks(directory);
    expect(networks.map(({ name }) => name)).toEqual(["good"]);
    expect(problems.map(({ file, error }) => [file.split("/").at(-1), error.code])).toEqual([
      ["10-broken.conflist", 6],
      ["20-empty.conflist", 7],
    ]);
    await expect(loadNetwork("missing", directory)).rejects.toThrow(/no net configuration with name "missing".*10-broken.conflist/);
  });

  test("has none where there is no directory", async () => {
    expect(await loadNetworks(join(directory, "none"))).toEqual({ networks: [], problems: [] });
  });

  test("adds the plugins of the directory that has the network's name", async () => {
    await put("10-a.conflist", { cniVersion: "1.1.0", name: "a", plugins: [{ type: "bridge" }] });
    await put("20-b.conflist", { cniVersion: "1.1.0", name: "b", loadOnlyInlinedPlugins: true, plugins: [{ type: "bridge" }] });
    for (const name of ["a", "b"]) {
      await mkdir(join(directory, name));
      await put(`${name}/2.conf`, { type: "tuning" });
      await put(`${name}/1.conf`, { type: "portmap" });
    }
    expect((await loadNetwork("a", directory)).plugins.map(({ type }) => type)).toEqual(["bridge", "portmap", "tuning"]);
    expect((await loadNetwork("b", directory)).plugins.map(({ type }) => type)).toEqual(["bridge"]);
  });
});

describe("parseNetwork()", () => {
  const plugins = [{ type: "bridge" }];

  test("takes the newest version it knows", async () => {
    const of = async (json: object): Promise<string> => (await parseNetwork(JSON.stringify({ name: "n", plugins, ...json }))).cniVersion;
    expect(await of({ cniVersions: ["0.4.0", "1.0.0", "7.0.0"], cniVersion: "0.3.1" })).toBe("1.0.0");
    expect(await of({ cniVersion: "1.1.0", cniVersions: ["0.4.0"] })).toBe("1.1.0");
    await expect(of({ cniVersion: "7.0.0" })).rejects.toMatchObject({ code: 1 });
  });

  test.each([
    [{ plugins }, "no name"],
    [{ name: "../x", plugins }, "invalid characters found in network name"],
    [{ name: "n" }, "no plugin configs found"],
    [{ name: "n", loadOnlyInlinedPlugins: true }, "no 'plugins' key"],
    [{ name: "n", plugins: [{}] }, "missing 'type'"],
    [{ name: "n", plugins: [{ type: "../../bin/sh" }] }, "invalid plugin type"],
    [{ name: "n", plugins: "x" }, "'plugins' is no list"],
    [{ name: "n", plugins, disableCheck: "perhaps" }, "for disableCheck"],
    [{ name: "n", plugins, cniVersion: 1 }, "'cniVersion' is no text"],
  ])("refuses %j", async (json, message) => {
    await expect(parseNetwork(JSON.stringify(json))).rejects.toThrow(message);
  });
});
