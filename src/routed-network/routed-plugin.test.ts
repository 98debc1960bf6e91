import { describe, expect, it } from "vitest";
import type { CniCall, CniEffects, IpBatch } from "../cni/plugins/plugin.ts";
import { poolObject } from "./fixture.ts";
import { podCableName } from "./names.ts";
import { AddressesExhaustedError, type AddressWish } from "./node-ipam.ts";
import { poolsOf } from "./pools.ts";
import { createRoutedPlugin, type RoutedPluginDeps } from "./routed-plugin.ts";

const call: CniCall = {
  config: { cniVersion: "1.0.0", name: "net", type: "coracle-routed", mtu: 1450, families: [4, 6] },
  ...{ containerId: "c1", netns: "/run/netns/pod", ifName: "eth0", path: [], rawArgs: "" },
  args: { K8S_POD_NAMESPACE: "default", K8S_POD_NAME: "web" },
};
const host = podCableName("cor-rtest", "c1", "eth0");

/** `failing`: commands with this text fail. */
function setUp({
  annotations = {},
  failing = "",
  full = false,
}: {
  annotations?: Record<string, string>;
  failing?: string;
  full?: boolean;
} = {}) {
  const wishes: AddressWish[] = [];
  const released: string[] = [];
  const done: string[] = [];
  const told: string[] = [];
  const { pools } = poolsOf([poolObject("p", { cidr: "10.0.0.0/26" })]);
  const deps: RoutedPluginDeps = {
    ipam: {
      async assign(wish) {
        wishes.push(wish);
        if (full) throw new AddressesExhaustedError("a", 4, pools, "all are in use");
        return [
          { address: "10.0.0.5", pool: "p" },
          { address: "fd00::5", pool: "six" },
        ];
      },
      async release(handle) {
        released.push(handle);
        return ["10.0.0.5"];
      },
      addressesOf: () => [{ address: "10.0.0.5", pool: "p" }],
      handlesOf: () => ["net.c1", "net.c2"],
    },
    ...{ nodeName: "a", cablePrefix: "cor-rtest", now: () => "then", annotationsOf: async () => annotations },
    exhausted: (error) => told.push(error.message),
  };
  const effects: Partial<CniEffects> = {
    async ip({ commands, netns = "host", sysctls = {} }: IpBatch) {
      for (const [name, value] of Object.entries(sysctls)) done.push(`${netns}: ${name}=${value}`);
      for (const command of commands) {
        const text = typeof command === "string" ? command : command.command;
        if (failing !== "" && text.includes(failing)) throw new Error(`ip ${text}: failed`);
        done.push(`${netns}: ${text}`);
      }
    },
    sysctl: async (values) => void done.push(...Object.entries(values).map(([name, value]) => `host: ${name}=${value}`)),
    ipList: async <T>() => [{ dst: "10.0.0.5" }] as unknown as readonly T[], // of routes, the only ones asked for
    randomBytes: (count) => new Uint8Array(count).fill(7),
    signal: new AbortController().signal,
  };
  return { plugin: createRoutedPlugin(deps), effects: effects as CniEffects, wishes, released, done, told };
}

describe("the routed plugin", () => {
  it("lays a cable, and leads the pod's packets to a gateway that the host answers for", async () => {
    const { plugin, effects, done, wishes } = setUp();
    const result = await plugin.add(call, effects);
    expect(result).toEqual({
      interfaces: [
        { name: host, mac: "ee:ee:ee:ee:ee:ee" },
        { name: "eth0", mac: "02:07:07:07:07:07", sandbox: "/run/netns/pod" },
      ],
      ips: [
        { address: "10.0.0.5/32", interface: 1 },
        { address: "fd00::5/128", interface: 1 },
      ],
      routes: [
        { dst: "0.0.0.0/0", gw: "169.254.1.1" },
        { dst: "::/0", gw: "fe80::ecee:eeff:feee:eeee" },
      ],
    });
    expect(done).toEqual([
      `host: link delete dev ${host}`,
      `host: link add name ${host} mtu 1450 address ee:ee:ee:ee:ee:ee type veth peer name eth0 mtu 1450 address 02:07:07:07:07:07 netns /run/netns/pod`,
      `host: link set dev ${host} addrgenmode none`,
      `host: address add fe80::ecee:eeff:feee:eeee/64 dev ${host} nodad`,
      `host: link set dev ${host} up`,
      `host: route replace 10.0.0.5/32 dev ${host} scope link`,
      `host: route replace fd00::5/128 dev ${host}`,
      `host: net/ipv4/conf/${host}/proxy_arp=1`,
      `host: net/ipv4/neigh/${host}/proxy_delay=0`,
      `host: net/ipv4/conf/${host}/forwarding=1`,
      `host: net/ipv4/conf/${host}/rp_filter=1`,
      `host: net/ipv6/conf/${host}/forwarding=1`,
      "/run/netns/pod: net/ipv6/conf/eth0/disable_ipv6=0",
      "/run/netns/pod: net/ipv6/conf/eth0/accept_ra=0",
      "/run/netns/pod: link set dev eth0 up",
      "/run/netns/pod: address add 10.0.0.5/32 dev eth0",
      "/run/netns/pod: address add fd00::5/128 dev eth0 nodad",
      "/run/netns/pod: route add 169.254.1.1 dev eth0 scope link",
      "/run/netns/pod: route add default via 169.254.1.1 dev eth0",
      "/run/netns/pod: route add default via fe80::ecee:eeff:feee:eeee dev eth0",
    ]);
    expect(wishes).toEqual([
      { handleId: "net.c1", use: "pod", families: [4, 6], secondary: { namespace: "default", pod: "web", timestamp: "then" } },
    ]);
  });

  it("asks for what the pod's annotations say", async () => {
    const annotations = {
      "cni.projectcalico.org/ipv4pools": '["one", "10.1.0.0/16"]',
      "cni.projectcalico.org/ipv6pools": '["six"]',
      "cni.projectcalico.org/ipAddrs": '["10.1.2.3"]',
    };
    const { plugin, effects, wishes } = setUp({ annotations });
    await plugin.add(call, effects);
    expect(wishes[0]?.named).toEqual(
      new Map([
        [4, ["one", "10.1.0.0/16"]],
        [6, ["six"]],
      ]),
    );
    expect(wishes[0]?.addresses).toEqual(["10.1.2.3"]);
    const wrong = setUp({ annotations: { "cni.projectcalico.org/ipAddrs": "10.1.2.3" } });
    await expect(wrong.plugin.add(call, wrong.effects)).rejects.toThrow("cni.projectcalico.org/ipAddrs is no list of texts");
  });

  it.each(["link add", "route add default"])("leaves nothing behind where `%s` fails", async (failing) => {
    const { plugin, effects, released, done } = setUp({ failing });
    await expect(plugin.add(call, effects)).rejects.toThrow("failed");
    expect(released).toEqual(["net.c1"]);
    expect(done.at(-1)).toBe(`host: link delete dev ${host}`);
  });

  it("says that there is no address left, to the runtime and to whoever listens", async () => {
    const { plugin, effects, told, done } = setUp({ full: true });
    await expect(plugin.add(call, effects)).rejects.toMatchObject({
      code: 11,
      message: expect.stringContaining("no IPv4 address is left"),
    });
    expect(told).toHaveLength(1);
    expect(done).toEqual([]);
  });

  it("takes the cable away before the address is free", async () => {
    const { plugin, effects, released, done } = setUp();
    await plugin.del({ ...call, netns: "" }, effects);
    expect(done).toEqual([`host: link delete dev ${host}`]);
    expect(released).toEqual(["net.c1"]);
  });

  it("checks that the address is the container's, and that a route leads to it", async () => {
    const { plugin, effects } = setUp();
    const with4 = (address: string): CniCall => ({ ...call, config: { ...call.config, prevResult: { ips: [{ address }] } } });
    await plugin.check(with4("10.0.0.5/32"), effects);
    await expect(plugin.check(with4("10.0.0.6/32"), effects)).rejects.toThrow("the address 10.0.0.6/32 is not this container's any more");
  });

  it("gives back what belongs to none of the valid attachments", async () => {
    const { plugin, effects, released } = setUp();
    await plugin.gc?.(
      { ...call, config: { ...call.config, "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }] } },
      effects,
    );
    expect(released).toEqual(["net.c2"]);
  });

  it.each([
    [{ mtu: "x" }, 'mtu: expected a number from 576, not "x"'],
    [{ families: [5] }, "families: expected 4, 6 or both"],
  ])("refuses a configuration with %j", async (fields, message) => {
    const { plugin, effects } = setUp();
    await expect(plugin.add({ ...call, config: { ...call.config, ...fields } }, effects)).rejects.toThrow(message);
  });
});
