// An address that comes to this machine, as the neighbours see it: a network of two, the other one in a namespace of its own.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { addAddress, announceAddress, interfaceAddresses, removeAddress } from "../../src/linux/interface-addresses.ts";
import { mustRun, run, until } from "../support/processes.ts";

async function whyNot(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "it takes root on Linux";
  return (await findExecutable("ip")) === undefined ? "not installed: ip" : undefined;
}

const reason = await whyNot();
if (reason) console.log(`announcing addresses is not tried: ${reason}`);

const id = `${process.pid % 10_000}`;
const here = `cora${id}`;
const there = `corb${id}`;
const space = `cor-announce-${id}`;
const part = process.pid % 200;
/** Whom the neighbour takes for the owner before. */
const stranger = "02:00:00:00:00:99";

describe.runIf(reason === undefined)("announceAddress()", () => {
  beforeAll(async () => {
    const ip = (...args: string[]) => mustRun("ip", args);
    await ip("netns", "add", space);
    await ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", space);
    await ip("addr", "add", `198.19.${part}.1/24`, "dev", here);
    await ip("addr", "add", `fd00:c0:${part}::1/64`, "dev", here, "nodad");
    await ip("link", "set", here, "up");
    await ip("-n", space, "addr", "add", `198.19.${part}.2/24`, "dev", there);
    await ip("-n", space, "addr", "add", `fd00:c0:${part}::2/64`, "dev", there, "nodad");
    await ip("-n", space, "link", "set", there, "up");
    // The way out of this network; the machine's own default routes come before it.
    await ip("route", "add", "default", "via", `198.19.${part}.2`, "dev", here, "metric", "99999");
    await ip("-6", "route", "add", "default", "via", `fd00:c0:${part}::2`, "dev", here, "metric", "99999");
  });
  afterAll(async () => {
    await run("ip", ["link", "del", here]);
    await run("ip", ["netns", "del", space]);
  });

  it.each([`198.19.${part}.50`, `fd00:c0:${part}::50`])("tells a neighbour that has %s elsewhere", async (address) => {
    await mustRun("ip", ["-n", space, "neigh", "replace", address, "lladdr", stranger, "dev", there, "nud", "stale"]);
    const [{ address: own }] = JSON.parse(await mustRun("ip", ["-j", "link", "show", here])) as [{ address: string }];
    const placed = { address, interface: here };
    await addAddress(placed);
    await addAddress(placed); // again does no harm
    await announceAddress(placed);
    await until("the neighbour knows", async () => (await mustRun("ip", ["-n", space, "neigh", "show", address])).includes(own));
    expect((await interfaceAddresses()).filter((a) => a.address === address)).toMatchObject([{ interface: here }]);
    await removeAddress(placed);
    expect((await interfaceAddresses()).filter((a) => a.address === address)).toEqual([]);
  });
});
