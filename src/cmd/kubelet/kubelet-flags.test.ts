import { describe, expect, it } from "vitest";
import { parseFlags } from "../../base/flags.ts";
import { loadKubeletConfiguration } from "../../kubelet/configuration/load.ts";
import { configurationFlagValues } from "./kubelet-configuration-flags.ts";
import { kubeletFlags, parseKubeletFlags } from "./kubelet-flags.ts";

async function configured(...args: string[]) {
  const { values, given } = parseFlags(kubeletFlags, args);
  return (await loadKubeletConfiguration({ flags: configurationFlagValues(values, given) })).configuration;
}

describe("the flags of coracle kubelet", () => {
  it("say what fields of the configuration say", async () => {
    const configuration = await configured(
      "--max-pods=7",
      "--anonymous-auth",
      "--eviction-hard=memory.available<1Gi,nodefs.available<5%",
      "--kube-reserved=cpu=100m,memory=1Gi",
      "--cluster-dns=10.0.0.1,10.0.0.2",
      "--node-status-update-frequency=20s",
      "--register-node=false",
      "--feature-gates=MemoryQoS=true",
      "--authorization-mode",
      "AlwaysAllow",
      "--port=0",
    );
    expect(configuration).toMatchObject({
      maxPods: 7,
      authentication: { anonymous: { enabled: true } },
      authorization: { mode: "AlwaysAllow" },
      evictionHard: { "memory.available": "1Gi", "nodefs.available": "5%" },
      kubeReserved: { cpu: "100m", memory: "1Gi" },
      clusterDNS: ["10.0.0.1", "10.0.0.2"],
      nodeStatusUpdateFrequency: "20s",
      registerNode: false,
      featureGates: { MemoryQoS: true },
      port: 0,
    });
  });

  it("name what is wrong with their value", () => {
    expect(() => parseFlags(kubeletFlags, ["--max-pods=many"])).toThrow("--max-pods: expected a whole number");
    expect(() => parseFlags(kubeletFlags, ["--eviction-hard=memory.available=1Gi"])).toThrow("expected key<value");
    expect(() => parseFlags(kubeletFlags, ["--sync-frequency=soon"])).toThrow("expected a duration");
    expect(() => parseFlags(kubeletFlags, ["--no-such-flag"])).toThrow("unknown flag: --no-such-flag");
  });

  it("that have no effect are listed", () => {
    const input = parseKubeletFlags(["--runtime-cgroups=/a", "--lock-file=/b", "--housekeeping-interval=5s", "--v=1"]);
    expect(input?.ignored).toEqual(["lock-file", "runtime-cgroups", "housekeeping-interval"]);
  });

  it("take memory of NUMA nodes and headers, given once or again", () => {
    const { values } = parseFlags(kubeletFlags, [
      "--reserved-memory=0:memory=1Gi,hugepages-2Mi=4Mi;1:memory=2Gi",
      "--reserved-memory=2:memory=3Gi",
      "--manifest-url-header=a:x,b:y",
      "--manifest-url-header=a:z",
    ]);
    expect(values["reserved-memory"]).toEqual([
      { numaNode: 0, limits: { memory: "1Gi", "hugepages-2Mi": "4Mi" } },
      { numaNode: 1, limits: { memory: "2Gi" } },
      { numaNode: 2, limits: { memory: "3Gi" } },
    ]);
    expect(values["manifest-url-header"]).toEqual({ a: ["x", "z"], b: ["y"] });
    for (const [written, problem] of [
      ["0", "the reserved memory has incorrect format, expected numaNodeID:type=quantity[,type=quantity...], got 0"],
      ["a:memory=1", "failed to convert the NUMA node ID, expected integer, got a"],
      ["0:memory", "the reserved limit has incorrect value, expected type=quantity, got memory"],
      ["0:cpu=1", 'memory type conversion error, unknown type: "cpu"'],
    ])
      expect(() => parseFlags(kubeletFlags, [`--reserved-memory=${written}`])).toThrow(problem);
  });
});
