// Ends everything a node has on its machine besides its own process, as a power cut does: containers, containerd, control
// groups, mounts, the pod network. Images and the kubelet's files stay.
import { join } from "node:path";
import { realClock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import { podNetworkName } from "../../cni/network-config.ts";
import { removePodNetwork } from "../../cni/teardown.ts";
import { destroyContainerd } from "../../cri/containerd.ts";
import { containerdPaths } from "../../cri/containerd-paths.ts";
import { removeOciProbes } from "../../cri/oci-probe.ts";
import type { CgroupSystem } from "../../linux/cgroup-system.ts";
import { createCgroups, detectCgroups } from "../../linux/cgroups.ts";
import { unmountBelow } from "../../linux/mounts.ts";
import { removeAnnouncedAddresses } from "../../load-balancer/announced-addresses.ts";
import { endRoutedNode } from "../../routed-network/teardown.ts";
import { removePacketTables } from "../proxy/remove-proxy-tables.ts";
import { policyTableName } from "./start-network-policy.ts";
import { answerTakeDown } from "./start-node-plugins.ts";

/** The program that runs the node must have ended: it starts containerd again. */
export async function takeDownNode(dataDir: string, log: Logger): Promise<void> {
  const detaching = await answerTakeDown({ dataDir, clock: realClock, logger: log });
  try {
    await destroyContainerd(dataDir, { clock: realClock, log });
  } finally {
    await detaching.stop();
  }
  await removeOciProbes(containerdPaths(dataDir).directory);
  await removePodCgroups(dataDir);
  await unmountBelow(join(dataDir, "kubelet"));
  await endRoutedNode(dataDir);
  await removePodNetwork(dataDir);
  await removeAnnouncedAddresses(dataDir);
  await removePacketTables(policyTableName(dataDir), ["inet"]);
}

async function removePodCgroups(dataDir: string): Promise<void> {
  let system: CgroupSystem;
  try {
    system = await detectCgroups();
  } catch {
    return; // a machine without control groups has none of ours
  }
  await createCgroups(system, { clock: realClock }).remove(`/${podNetworkName(dataDir)}`);
}
