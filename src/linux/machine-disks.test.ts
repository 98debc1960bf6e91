import { describe, expect, test } from "vitest";
import { machineDisks, mountedDisks, parseDiskStats } from "./machine-disks.ts";

describe("the disks of a machine", () => {
  test("are those that file systems lie on, each once, where it is first mounted", () => {
    const mountinfo = [
      "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw",
      "23 22 0:21 / /proc rw - proc proc rw",
      "24 22 254:1 /var /mnt/again rw - ext4 /dev/vda1 rw",
      "25 22 7:0 / /mnt/a\\040b rw master:1 - squashfs /dev/loop0 ro",
    ].join("\n");
    expect([...mountedDisks(mountinfo)]).toEqual([
      ["/dev/vda1", { at: "/", number: "254:1" }],
      ["/dev/loop0", { at: "/mnt/a b", number: "7:0" }],
    ]);
  });

  test("have their traffic counted by the kernel", () => {
    const line = " 254       1 vda1 100 2 800 40 300 5 2400 90 1 70 130 0 0 0 0";
    expect(parseDiskStats(`${line}\n   7       0 loop0 1 2 3\n`)).toEqual(
      new Map([
        [
          "254:1",
          {
            ...{ reads: 100, readsMerged: 2, sectorsRead: 800, readMs: 40, writes: 300, writesMerged: 5, sectorsWritten: 2400 },
            ...{ writeMs: 90, underWay: 1, busyMs: 70, weightedMs: 130 },
          },
        ],
      ]),
    );
  });

  test("of this machine have a size", async () => {
    for (const { device, capacityBytes, usedBytes } of await machineDisks()) {
      expect(device).toMatch(/^\/dev\//);
      expect(usedBytes).toBeLessThanOrEqual(capacityBytes);
    }
  });
});
