import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFakeEffects, fakeCall } from "../fake-effects.ts";
import type { CniCall, PluginConfig } from "../plugin.ts";
import { createHostLocal } from "./host-local.ts";

let dataDir = "";
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "host-local-"));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const effects = createFakeEffects();
const call = (id: string, ipam: object, config: Partial<PluginConfig> = {}, fields: Partial<CniCall> = {}): CniCall =>
  fakeCall({ ipam: { type: "host-local", dataDir, ...ipam }, ...config }, { containerId: id, ...fields });
const subnet = { subnet: "10.1.2.0/24" };
const small = { subnet: "10.1.2.0/29", rangeStart: "10.1.2.2", rangeEnd: "10.1.2.4" };

async function addresses(plugin: ReturnType<typeof createHostLocal>, of: CniCall): Promise<readonly string[]> {
  return ((await plugin.add(of, effects)).ips ?? []).map(({ address }) => address);
}

describe("host-local", () => {
  test("gives out the addresses of a range in turn, in upstream's files", async () => {
    const plugin = createHostLocal();
    expect(await plugin.add(call("a", { ...subnet, routes: [{ dst: "0.0.0.0/0" }] }), effects)).toEqual({
      ips: [{ address: "10.1.2.2/24", gateway: "10.1.2.1" }],
      routes: [{ dst: "0.0.0.0/0" }],
    });
    expect(await addresses(plugin, call("b", subnet))).toEqual(["10.1.2.3/24"]);
    expect((await readdir(join(dataDir, "net"))).sort()).toEqual(["10.1.2.2", "10.1.2.3", "last_reserved_ip.0"]);
    expect(await readFile(join(dataDir, "net", "10.1.2.3"), "utf8")).toBe("b\r\neth0");
    expect(await readFile(join(dataDir, "net", "last_reserved_ip.0"), "utf8")).toBe("10.1.2.3");
  });

  test("does not give an address again at once, and begins anew at the end of the range", async () => {
    const plugin = createHostLocal();
    expect(await addresses(plugin, call("a", small))).toEqual(["10.1.2.2/29"]);
    await plugin.del(call("a", small), effects);
    await plugin.del(call("a", small), effects);
    expect(await addresses(plugin, call("b", small))).toEqual(["10.1.2.3/29"]);
    expect(await addresses(plugin, call("c", small))).toEqual(["10.1.2.4/29"]);
    expect(await addresses(plugin, call("d", small))).toEqual(["10.1.2.2/29"]);
    await expect(plugin.add(call("e", small), effects)).rejects.toThrow(
      "failed to allocate for range 0: no IP addresses available in range set: 10.1.2.2-10.1.2.4",
    );
    await expect(plugin.status?.(call("", small), effects)).rejects.toMatchObject({ code: 50 });
    await plugin.del(call("c", small), effects);
    await plugin.status?.(call("", small), effects);
    expect(await addresses(plugin, call("e", small))).toEqual(["10.1.2.4/29"]);
  });

  test("goes on where another program has left off, also one that works at the same time", async () => {
    const plugin = createHostLocal();
    await plugin.add(call("a", subnet), effects);
    await writeFile(join(dataDir, "net", "10.1.2.3"), "other\r\neth0");
    expect(await addresses(plugin, call("b", subnet))).toEqual(["10.1.2.4/24"]);
    expect(await addresses(createHostLocal(), call("c", subnet))).toEqual(["10.1.2.5/24"]);
    await plugin.del(call("other", subnet), effects);
    expect(await readdir(join(dataDir, "net"))).not.toContain("10.1.2.3");
  });

  test("has one address of each set of ranges, and refuses a second for one interface", async () => {
    const both = { ranges: [[subnet], [{ subnet: "fd00:1::/64" }]] };
    const plugin = createHostLocal();
    expect(await addresses(plugin, call("a", both))).toEqual(["10.1.2.2/24", "fd00:1::2/64"]);
    await expect(plugin.add(call("a", both), effects)).rejects.toThrow("duplicate allocation is not allowed");
    expect(await addresses(plugin, call("a", both, {}, { ifName: "eth1" }))).toEqual(["10.1.2.3/24", "fd00:1::3/64"]);
    await plugin.check(call("a", both), effects);
    await plugin.del(call("a", both), effects);
    await expect(plugin.check(call("a", both), effects)).rejects.toThrow("Failed to find address added by container a");
  });

  test("takes nothing where one of the sets has nothing", async () => {
    const plugin = createHostLocal();
    const sets = { ranges: [[subnet], [{ subnet: "10.9.0.0/30", rangeStart: "10.9.0.2", rangeEnd: "10.9.0.2" }]] };
    await plugin.add(call("a", sets), effects);
    await expect(plugin.add(call("b", sets), effects)).rejects.toThrow("failed to allocate for range 1");
    expect(await readdir(join(dataDir, "net"))).not.toContain("10.1.2.3");
  });

  test.each([
    ["the capability", { runtimeConfig: { ips: ["10.1.2.77/24"] } }, {}],
    ["args of the configuration", { args: { cni: { ips: ["10.1.2.77"] } } }, {}],
    ["CNI_ARGS", {}, { args: { IP: "10.1.2.77" } }],
  ])("gives the address asked for by %s, once", async (_how, config, fields) => {
    const plugin = createHostLocal();
    expect(await addresses(plugin, call("a", subnet, config, fields))).toEqual(["10.1.2.77/24"]);
    await expect(plugin.add(call("b", subnet, config, fields), effects)).rejects.toThrow("requested IP address 10.1.2.77 is not available");
  });

  test("refuses an address that is in no range, and the gateway's", async () => {
    const plugin = createHostLocal();
    const asking = (ip: string): CniCall => call("a", subnet, { runtimeConfig: { ips: [ip] } });
    await expect(plugin.add(asking("10.7.7.7"), effects)).rejects.toThrow("failed to allocate all requested IPs: 10.7.7.7");
    await expect(plugin.add(asking("10.1.2.1"), effects)).rejects.toThrow("is subnet's gateway");
    expect(await readdir(join(dataDir, "net"))).toEqual(["last_reserved_ip.0"]);
  });

  test("takes ranges of the runtime before its own", async () => {
    const runtimeConfig = { ipRanges: [[{ subnet: "10.5.0.0/24" }]] };
    expect(await addresses(createHostLocal(), call("a", subnet, { runtimeConfig }))).toEqual(["10.5.0.2/24", "10.1.2.2/24"]);
  });

  test("gc() frees what belongs to no valid attachment", async () => {
    const plugin = createHostLocal();
    for (const id of ["a", "b"]) await plugin.add(call(id, subnet), effects);
    await plugin.gc?.(call("", subnet, { "cni.dev/valid-attachments": [{ containerID: "b", ifname: "eth0" }] }), effects);
    expect(await readdir(join(dataDir, "net"))).toEqual(["10.1.2.3", "last_reserved_ip.0"]);
  });

  test("reads a resolv.conf", async () => {
    const resolvConf = join(dataDir, "resolv.conf");
    await writeFile(resolvConf, "nameserver 10.0.0.53\nsearch a.test b.test\noptions ndots:2\n");
    expect((await createHostLocal().add(call("a", { ...subnet, resolvConf }), effects)).dns).toEqual({
      nameservers: ["10.0.0.53"],
      search: ["a.test", "b.test"],
      options: ["ndots:2"],
    });
  });

  test.each([
    [{}, "no IP ranges specified"],
    [{ subnet: "10.1.2.5/24" }, "Network has host bits set. Subnet should be 10.1.2.0/24"],
    [{ subnet: "10.1.2.0/31" }, "Network 10.1.2.0/31 too small to allocate from"],
    [{ subnet: "nonsense" }, "subnet: invalid CIDR address"],
    [{ ...subnet, rangeStart: "10.1.3.1" }, "rangeStart 10.1.3.1 not in network 10.1.2.0/24"],
    [{ ...subnet, rangeStart: "10.1.2.9", rangeEnd: "10.1.2.8" }, "is after rangeEnd"],
    [{ ranges: [[subnet, { subnet: "fd00::/64" }]] }, "mixed address families"],
    [{ ranges: [[subnet], [{ subnet: "10.1.0.0/16" }]] }, "overlaps with"],
  ])("refuses %j", async (ipam, message) => {
    await expect(createHostLocal().add(call("a", ipam), effects)).rejects.toThrow(message);
  });

  test("50 at once get 50 addresses", async () => {
    const plugin = createHostLocal();
    const given = await Promise.all(Array.from({ length: 50 }, (_, i) => addresses(plugin, call(`c${i}`, subnet))));
    expect(new Set(given.flat()).size).toBe(50);
  });
});
