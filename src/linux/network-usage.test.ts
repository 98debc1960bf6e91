import { expect, test } from "vitest";
import { networkUsage, parseNetDev } from "./network-usage.ts";

const table = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 10 1 0 0 0 0 0 0 10 1 0 0 0 0 0 0
  eth0: 1500 12 3 4 0 0 0 0 2500 20 5 6 0 0 0 0
eth0.5:99 1 0 0 0 0 0 0 98 1 0 0 0 0 0 0`;

test("parseNetDev() gives every interface but loopback, also where no space follows the name", () => {
  expect(parseNetDev(table)).toEqual([
    { name: "eth0", rxBytes: 1500, rxPackets: 12, rxErrors: 3, rxDropped: 4, txBytes: 2500, txPackets: 20, txErrors: 5, txDropped: 6 },
    { name: "eth0.5", rxBytes: 99, rxPackets: 1, rxErrors: 0, rxDropped: 0, txBytes: 98, txPackets: 1, txErrors: 0, txDropped: 0 },
  ]);
});

test("networkUsage() of a process that is not there is empty", async () => {
  expect(await networkUsage(2 ** 30)).toEqual([]);
});
