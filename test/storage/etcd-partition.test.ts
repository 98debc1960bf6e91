// The etcd store when a member is cut off by the network: each member is a host in a namespace of its own. Nothing tells the
// client; its packets are simply not answered any more.
import { describe, test } from "vitest";
import { createNetworkLab, whyNoNetworkLab } from "../support/network-lab.ts";
import { startEtcdOn, whyNoEtcd } from "./etcd-process.ts";
import { surviving } from "./etcd-survival.ts";

const reason = (await whyNoEtcd()) ?? (await whyNoNetworkLab());
if (reason) console.log(`members of etcd are not cut off: ${reason}`);

describe.runIf(reason === undefined)("etcd store on three hosts", () => {
  test("goes on when one is cut off, when it is back, and when another is killed then", async () => {
    const lab = await createNetworkLab(3);
    try {
      const members = await startEtcdOn(lab.hosts);
      try {
        await surviving(
          members,
          () => lab.hosts[0]?.connect(false),
          () => lab.hosts[0]?.connect(true),
          () => members[1]?.process.kill("SIGKILL"),
        );
      } finally {
        await Promise.all(members.map((member) => member.stop()));
      }
    } finally {
      await lab.remove();
    }
  }, 120_000);
});
