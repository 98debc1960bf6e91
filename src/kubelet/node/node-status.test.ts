// The node's object as it is made and renewed: who attaches volumes, a cloud's controller, versions of runtimes.
import { describe, expect, test } from "vitest";
import type { SystemInfo } from "../../linux/system-info.ts";
import { type NodeConfig, type NodeFacts, type NodeObservation, newNode, nodeStatus, renewedMetadata } from "./node-status.ts";

const facts = {
  ...{ name: "n1", hostname: "host", diskBytes: 1024, appArmor: false },
  system: { cpus: 2, memoryBytes: 2 ** 30, swapBytes: 0, architecture: "amd64", operatingSystem: "linux" } as SystemInfo, // the rest is not asked for
  addresses: [{ interface: "", address: "192.0.2.7", family: 4 }],
} as NodeFacts;

const config: NodeConfig = {
  ...{
    kubeletVersion: "v1.36.2",
    maxPods: 110,
    port: 10_250,
    labels: { team: "a", "kubernetes.io/os": "own" },
    taints: [],
    unschedulable: false,
  },
  ...{ reservations: { systemReserved: {}, kubeReserved: {}, thresholds: [] }, podsPerCore: 0, providerID: "", register: true },
  ...{ statusUpdateMs: 10_000, statusReportMs: 300_000, maxImages: 50 },
};
const external: NodeConfig = { ...config, externalCloud: true, addressesGiven: true };
const seen: NodeObservation = {
  ...{ runtimeName: "containerd", runtimeVersion: "1.6.20~ds1", runtimeHandlers: [], images: [], pressure: [], problems: [] },
};
const attaches = "volumes.kubernetes.io/controller-managed-attach-detach";
const provided = "alpha.kubernetes.io/provided-node-ip";
const annotationsOf = (of: NodeConfig): unknown => (newNode(facts, of, {}).metadata as { readonly annotations?: unknown }).annotations;

describe("the node's object", () => {
  test("says whether the cluster attaches volumes, also to a node that is there already, whose other labels stay", () => {
    expect(annotationsOf(config)).toEqual({ [attaches]: "true" });
    expect(annotationsOf({ ...config, controllerAttaches: false })).toEqual({});
    expect(renewedMetadata(facts, { ...config, controllerAttaches: false })).toEqual({
      labels: {
        ...{ "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64" },
        ...{ "kubernetes.io/hostname": "host", "kubernetes.io/os": "own" },
      },
      annotations: { [attaches]: null, [provided]: null },
    });
  });

  test("waits for a cloud's controller where there is one, and leaves addresses to it", () => {
    const node = newNode(facts, external, {});
    expect(node.spec?.taints).toEqual([{ key: "node.cloudprovider.kubernetes.io/uninitialized", value: "true", effect: "NoSchedule" }]);
    expect(annotationsOf(external)).toEqual({ [attaches]: "true", [provided]: "192.0.2.7" });
    const addresses = (of: NodeConfig, before?: { readonly type: string; readonly address: string }) =>
      nodeStatus(facts, of, seen, before ? { addresses: [before] } : undefined, 0).addresses?.map((a) => a.address);
    expect(addresses(external)).toEqual(["192.0.2.7", "host"]);
    expect(addresses({ ...external, addressesGiven: false })).toEqual(["host"]);
    expect(addresses(external, { type: "ExternalIP", address: "198.51.100.1" })).toEqual(["198.51.100.1"]);
    expect(addresses(config, { type: "ExternalIP", address: "198.51.100.1" })).toEqual(["192.0.2.7", "host"]);
  });

  test.each([
    ["1.6.20~ds1", "1.6.20"],
    ["v2.1.0-rc.1+abc", "2.1.0-rc.1+abc"],
    ["1.30", "1.30"],
    ["devel", "devel"],
  ])("shows the runtime's version %s as %s", (runtimeVersion, shown) => {
    const { nodeInfo } = nodeStatus(facts, config, { ...seen, runtimeVersion }, undefined, 0);
    expect(nodeInfo?.containerRuntimeVersion).toBe(`containerd://${shown}`);
  });
});
