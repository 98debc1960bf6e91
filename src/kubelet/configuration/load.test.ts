import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { resolveResourceManagers } from "../resource-managers/manager-options.ts";
import { goDuration } from "./duration.ts";
import { defaultGates } from "./feature-gates.ts";
import { type ConfigurationSources, loadKubeletConfiguration } from "./load.ts";
import { shownConfiguration } from "./shown.ts";
import { optionsOfConfiguration } from "./to-options.ts";

interface Written extends AsyncDisposable {
  readonly sources: ConfigurationSources;
  readonly directory: string;
}

const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

/** A file with these fields, and drop-ins by name. */
async function files(fields: string, dropIns: Readonly<Record<string, string>> = {}): Promise<Written> {
  const directory = await mkdtemp(join(tmpdir(), "coracle-kubelet-config-"));
  const file = join(directory, "kubelet.yaml");
  await writeFile(file, head + fields);
  const drop = join(directory, "conf.d");
  for (const [name, text] of Object.entries(dropIns)) {
    await mkdir(join(drop, name, ".."), { recursive: true });
    await writeFile(join(drop, name), name.endsWith(".conf") ? head + text : text);
  }
  const sources = { file, ...(Object.keys(dropIns).length > 0 ? { directory: drop } : {}) };
  return { sources, directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

async function load(fields: string, dropIns: Readonly<Record<string, string>> = {}, flags: Readonly<Record<string, unknown>> = {}) {
  await using written = await files(fields, dropIns);
  return await loadKubeletConfiguration({ ...written.sources, flags: new Map(Object.entries(flags)) });
}

const problemOf = async (...given: Parameters<typeof load>): Promise<string> =>
  load(...given).then(
    () => "",
    (error: Error) => error.message,
  );

describe("loadKubeletConfiguration()", () => {
  it("has upstream's defaults where nothing is said", async () => {
    const { configuration: c, ignored } = await loadKubeletConfiguration({});
    expect(c).toMatchObject({
      port: 10_250,
      readOnlyPort: 0,
      healthzPort: 10_248,
      maxPods: 110,
      nodeStatusUpdateFrequency: "10s",
      nodeStatusReportFrequency: "5m0s",
      nodeLeaseDurationSeconds: 40,
      authentication: { x509: { clientCAFile: "" }, webhook: { enabled: true, cacheTTL: "2m0s" }, anonymous: { enabled: false } },
      authorization: { mode: "Webhook", webhook: { cacheAuthorizedTTL: "5m0s", cacheUnauthorizedTTL: "30s" } },
      evictionHard: { "memory.available": "100Mi", "nodefs.available": "10%", "imagefs.available": "15%" },
      containerLogMaxSize: "10Mi",
      enforceNodeAllocatable: ["pods"],
      resolvConf: "/etc/resolv.conf",
    });
    expect(ignored).toEqual([]);
  });

  it("takes zero for the default where upstream's field cannot tell the two apart, and for zero where it can", async () => {
    const { configuration } = await load('maxPods: 0\nnodeStatusMaxImages: 0\nsyncFrequency: 0s\nresolvConf: ""\nclusterDomain: ""\n');
    expect(configuration).toMatchObject({ maxPods: 110, nodeStatusMaxImages: 0, syncFrequency: "1m0s", resolvConf: "" });
  });

  it("reports as often as it updates where only the latter is said", async () => {
    expect((await load("nodeStatusUpdateFrequency: 20s\n")).configuration.nodeStatusReportFrequency).toBe("20s");
    const both = await load("nodeStatusUpdateFrequency: 20s\nnodeStatusReportFrequency: 1m\n");
    expect(both.configuration.nodeStatusReportFrequency).toBe("1m0s");
  });

  it("refuses unknown fields, fields given twice, wrong types and other kinds, with their path", async () => {
    expect(await problemOf("maxPod: 3\n")).toMatch(/kubelet\.yaml: maxPod: unknown field$/);
    expect(await problemOf("authentication:\n  webhook:\n    ttl: 3s\n")).toMatch(/authentication\.webhook\.ttl: unknown field$/);
    expect(await problemOf("maxPods: 3\nmaxPods: 4\n")).toMatch(/kubelet\.yaml: .*"maxPods" already set in map/);
    expect(await problemOf("registerWithTaints:\n- key: a\n  efect: NoExecute\n")).toMatch(
      /registerWithTaints\[0\]\.efect: unknown field$/,
    );
    await using other = await files("");
    await writeFile(join(other.directory, "kubelet.yaml"), "apiVersion: v1\nkind: Pod\n");
    await expect(loadKubeletConfiguration(other.sources)).rejects.toThrow(
      'no kind "Pod" is registered for version "v1" in scheme "pkg/kubelet/apis/config/scheme/scheme.go:33"',
    );
    await writeFile(join(other.directory, "kubelet.yaml"), "apiVersion: kubelet.config.k8s.io/v1beta1\n");
    await expect(loadKubeletConfiguration(other.sources)).rejects.toThrow(
      "Object 'Kind' is missing in 'apiVersion: kubelet.config.k8s.io/v1beta1'",
    );
  });

  it.each([
    ["maxPods: three", "cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type int32"],
    ["maxPods: 1.5", "cannot unmarshal number 1.5 into Go struct field KubeletConfiguration.maxPods of type int32"],
    ["maxPods: 99999999999", "cannot unmarshal number 99999999999 into Go struct field KubeletConfiguration.maxPods of type int32"],
    ['enableServer: "true"', "cannot unmarshal string into Go struct field KubeletConfiguration.enableServer of type bool"],
    ["syncFrequency: 10", "cannot unmarshal number into Go struct field KubeletConfiguration.syncFrequency of type string"],
    ["clusterDNS: 10.0.0.1", "cannot unmarshal string into Go struct field KubeletConfiguration.clusterDNS of type []string"],
    ["clusterDNS: [1]", "cannot unmarshal number into Go struct field KubeletConfiguration.clusterDNS of type string"],
    ["kubeReserved: 5", "cannot unmarshal number into Go struct field KubeletConfiguration.kubeReserved of type map[string]string"],
    ["kubeReserved: {cpu: 5}", "cannot unmarshal number into Go struct field KubeletConfiguration.kubeReserved of type string"],
    [
      "authentication: {webhook: {cacheTTL: 5}}",
      "cannot unmarshal number into Go struct field KubeletConfiguration.authentication.webhook.cacheTTL of type string",
    ],
  ])("says of %s what upstream's decoder says", async (line, problem) => {
    expect(await problemOf(`${line}\n`)).toMatch(new RegExp(`json: ${problem.replaceAll(/[[\].]/g, "\\$&")}$`));
  });

  it.each([
    ["3 parsecs", 'unknown unit " parsecs" in duration "3 parsecs"'],
    ["10", 'missing unit in duration "10"'],
    ["soon", 'invalid duration "soon"'],
  ])("says of a duration %s why it is none", async (written, problem) => {
    expect(await problemOf(`syncFrequency: "${written}"\n`)).toContain(`time: ${problem}`);
    expect(await problemOf(`logging: {flushFrequency: "${written}"}\n`)).toContain(`time: ${problem}`);
  });

  it("takes whole numbers of 64 bits where upstream does", async () => {
    const { configuration } = await load("podPidsLimit: 99999999999\n", {});
    expect(configuration.podPidsLimit).toBe(99_999_999_999);
  });

  it("merges drop-ins in the order of their names: scalars and lists replaced, maps merged, null back to the default", async () => {
    const { configuration, skipped } = await load("maxPods: 10\nclusterDNS: [10.0.0.1]\nkubeReserved: {cpu: 100m}\nclusterDomain: a.b\n", {
      "10-first.conf": "maxPods: 20\nclusterDNS: [10.0.0.2, 10.0.0.3]\nkubeReserved: {memory: 1Gi}\n",
      "20/deeper.conf": "maxPods: 30\nclusterDomain: null\n",
      "05-early.conf": "maxPods: 5\npodsPerCore: 7\n",
      "30-note.txt": "this is no drop-in",
    });
    expect(configuration).toMatchObject({ maxPods: 30, podsPerCore: 7, clusterDNS: ["10.0.0.2", "10.0.0.3"], clusterDomain: "" });
    expect(configuration.kubeReserved).toEqual({ cpu: "100m", memory: "1Gi" });
    expect(skipped.map((path) => path.split("/").at(-1))).toEqual(["30-note.txt"]);
  });

  it("checks drop-ins as strictly as the file, and names theirs", async () => {
    expect(await problemOf("maxPods: 1\n", { "10.conf": "maxPodz: 3\n" })).toMatch(/10\.conf: maxPodz: unknown field$/);
    await using written = await files("", { "10.conf": "" });
    await writeFile(join(written.sources.directory ?? "", "20.conf"), "maxPods: 3\n");
    await expect(loadKubeletConfiguration(written.sources)).rejects.toThrow(/20\.conf: Object 'Kind' is missing in 'maxPods: 3'$/);
  });

  it("lets flags go before the files, and merges feature gates with theirs", async () => {
    const { configuration, turnedGates } = await load(
      "maxPods: 10\nfeatureGates: {NodeSwap: true, MemoryQoS: true}\nauthentication: {anonymous: {enabled: true}}\n",
      { "1.conf": "maxPods: 20\n" },
      { maxPods: 30, "authentication.anonymous.enabled": false, featureGates: { MemoryQoS: false } },
    );
    expect(configuration.maxPods).toBe(30);
    expect(configuration.authentication).toMatchObject({ anonymous: { enabled: false }, webhook: { enabled: true } });
    expect(configuration.featureGates).toEqual({ NodeSwap: true, MemoryQoS: false });
    expect(turnedGates).toEqual([]);
  });

  it("starts relative paths of the file at the file", async () => {
    await using written = await files(
      "staticPodPath: manifests\nauthentication: {x509: {clientCAFile: ca.crt}}\ntlsCertFile: /a/b\ntlsPrivateKeyFile: c\n",
    );
    const { configuration } = await loadKubeletConfiguration(written.sources);
    const { directory } = written;
    expect(configuration).toMatchObject({
      staticPodPath: join(directory, "manifests"),
      tlsCertFile: "/a/b",
      tlsPrivateKeyFile: join(directory, "c"),
    });
    expect(configuration.authentication.x509.clientCAFile).toBe(join(directory, "ca.crt"));
  });

  it("refuses what upstream refuses, in its words, all at once", async () => {
    expect(await problemOf("maxPods: -1\nimageGCLowThresholdPercent: 90\noomScoreAdj: 2000\n")).toBe(
      "[invalid configuration: maxPods (--max-pods) -1 must not be a negative number, invalid configuration: oomScoreAdj (--oom-score-adj) 2000 must be between -1000 and 1000, inclusive, invalid configuration: imageGCLowThresholdPercent (--image-gc-low-threshold) 90 must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) 85]",
    );
    expect(await problemOf("nodeLeaseDurationSeconds: -4\n")).toBe(
      "invalid configuration: nodeLeaseDurationSeconds must be greater than 0",
    );
    expect(await problemOf("containerLogMaxFiles: 1\n")).toBe("invalid configuration: containerLogMaxFiles must be greater than 1");
    expect(await problemOf("enforceNodeAllocatable: [pods, none]\n")).toBe(
      'invalid configuration: enforceNodeAllocatable (--enforce-node-allocatable) may not contain additional enforcements when "none" is specified',
    );
    expect(await problemOf("enforceNodeAllocatable: [system-reserved]\n")).toContain(
      "systemReservedCgroup (--system-reserved-cgroup) must be specified",
    );
    expect(await problemOf("enableSystemLogHandler: false\nenableSystemLogQuery: true\n")).toBe(
      "invalid configuration: enableSystemLogHandler is required for enableSystemLogQuery",
    );
    expect(await problemOf("memorySwap: {swapBehavior: Sometimes}\n")).toContain('must be one of: "", "LimitedSwap" or "NoSwap"');
    expect(await problemOf("reservedSystemCPUs: 3-1\n")).toContain("unable to parse reservedSystemCPUs");
    expect(await problemOf("authorization: {mode: RBAC}\n")).toContain('must be one of: "AlwaysAllow" or "Webhook"');
    expect(await problemOf('evictionHard: {memory.avail: "1Gi"}\n')).toBe(
      "invalid configuration: unsupported eviction signal memory.avail",
    );
    expect(await problemOf('evictionSoft: {memory.available: "1Gi"}\n')).toContain(
      "grace period must be specified for the soft eviction threshold",
    );
    expect(await problemOf("featureGates: {NoSuchGate: true}\n")).toBe("unrecognized feature gate: NoSuchGate");
    expect(await problemOf("featureGates: {NodeSwap: false}\n")).toBe(
      "cannot set feature gate NodeSwap to false, feature is locked to true",
    );
    expect(await problemOf("shutdownGracePeriod: 10s\nshutdownGracePeriodCriticalPods: 20s\n")).toContain("must be <= shutdownGracePeriod");
  });

  it("takes the groups of daemons, what is kept for classes of service, and who attaches volumes", async () => {
    const { configuration, ignored } = await load(
      "kubeletCgroups: /a\nsystemCgroups: /b\ncgroupRoot: /\nqosReserved: {memory: 50%}\nenableControllerAttachDetach: false\n",
    );
    expect(ignored).toEqual([]);
    expect(optionsOfConfiguration(configuration)).toMatchObject({
      ...{ kubeletCgroups: "/a", systemCgroups: "/b", qosReserved: { memory: "50%" }, enableControllerAttachDetach: false },
    });
    expect(await problemOf("systemCgroups: /b\n")).toContain("systemCgroups (--system-cgroups) was specified and cgroupRoot");
    expect(await problemOf('qosReserved: {cpu: "50%"}\n')).toBe('cannot reserve "cpu" resource');
    const failed = 'failed to parse percentage "%s" for "memory" resource: ';
    for (const [written, why] of [
      ["50", "percentage expected, got '50'"],
      ["x%", "invalid number in percentage 'x%'"],
      ["101%", "percentage must be between 0 and 100"],
    ] as const)
      expect(await problemOf(`qosReserved: {memory: "${written}"}\n`)).toBe(failed.replace("%s", written) + why);
  });

  it("lists fields that tune nothing here", async () => {
    expect(await problemOf("cgroupDriver: systemd\n")).toBe("");
    expect(await problemOf("cgroupDriver: cgroupfs\ncgroupsPerQOS: true\nprotectKernelDefaults: false\n")).toBe("");
    const { ignored } = await load("kubeAPIQPS: 10\nsyncFrequency: 2m\nmaxPods: 12\nlogging: {flushFrequency: 5000000000}\n");
    expect([...ignored].sort()).toEqual(["kubeAPIQPS", "logging.flushFrequency", "syncFrequency"]);
  });

  it("keeps default thresholds beside those given only where that is asked for", async () => {
    const only = await load('evictionHard: {memory.available: "1Gi"}\n');
    expect(only.configuration.evictionHard).toEqual({ "memory.available": "1Gi" });
    const merged = await load('evictionHard: {memory.available: "1Gi"}\nmergeDefaultEvictionSettings: true\n');
    expect(merged.configuration.evictionHard).toMatchObject({ "memory.available": "1Gi", "nodefs.available": "10%" });
  });
});

describe("optionsOfConfiguration()", () => {
  it("gives the kubelet's options", async () => {
    const { configuration } = await load(
      "nodeStatusUpdateFrequency: 1m30s\ncontainerLogMaxSize: 1Mi\nclusterDNS: [10.0.0.1]\nproviderID: a://b\nregisterWithTaints: [{key: a, effect: NoExecute}]\nregisterNode: false\npodPidsLimit: 99\n",
    );
    expect(optionsOfConfiguration(configuration)).toMatchObject({
      nodeStatusUpdateFrequencyMs: 90_000,
      nodeStatusReportFrequencyMs: 90_000,
      containerLogMaxBytes: 2 ** 20,
      clusterDns: ["10.0.0.1"],
      providerID: "a://b",
      taints: [{ key: "a", effect: "NoExecute" }],
      registerNode: false,
      podPidsLimit: 99,
    });
  });

  it("tells the managers of CPUs and topology what they are to do", async () => {
    const { configuration, ignored } = await load(
      'cpuManagerPolicy: static\ncpuManagerPolicyOptions: {full-pcpus-only: "true"}\ncpuManagerReconcilePeriod: 5s\nreservedSystemCPUs: 0-1\ntopologyManagerPolicy: restricted\ntopologyManagerScope: pod\nmemoryManagerPolicy: Static\nreservedMemory: [{numaNode: 0, limits: {memory: 1Gi}}]\ntopologyManagerPolicyOptions: {max-allowable-numa-nodes: "9"}\n',
    );
    expect(ignored).toEqual([]);
    expect(resolveResourceManagers(optionsOfConfiguration(configuration), defaultGates)).toEqual({
      cpu: { policy: "static", options: new Set(["full-pcpus-only"]), reconcilePeriodMs: 5_000, reservedSystemCPUs: "0-1" },
      memory: { policy: "Static", reserved: [{ numaNode: 0, limits: { memory: "1Gi" } }] },
      topology: { policy: "restricted", scope: "pod", preferClosest: false, maxNumaNodes: 9 },
    });
    expect(
      await problemOf('reservedMemory: [{numaNode: 1, limits: {cpu: "1", memory: "0"}}, {numaNode: 1, limits: {memory: 1Gi}}]\n'),
    ).toBe(
      `[${[
        'the limit type "cpu" for NUMA node 1 is not supported, only [memory hugepages-<HugePageSize>] is accepted',
        'reserved memory may not be zero for NUMA node 1 and resource "memory"',
        'the reserved memory has a duplicate value for NUMA node 1 and resource "memory"',
      ]
        .map((text) => `invalid configuration: ${text}`)
        .join(", ")}]`,
    );
  });

  it("pulls one image at a time, so many, or without a limit, as it is told", async () => {
    const pulls = async (fields: string): Promise<unknown> =>
      optionsOfConfiguration((await load(fields)).configuration).maxParallelImagePulls;
    expect(await pulls("")).toBe(5);
    expect(await pulls("serializeImagePulls: true\n")).toBe(1);
    expect(await pulls("maxParallelImagePulls: 3\n")).toBe(3);
    expect(await pulls("serializeImagePulls: false\n")).toBe(1000);
  });
});

describe("shownConfiguration()", () => {
  it("has all defaults, and leaves out what says nothing", async () => {
    const { configuration } = await load(
      "podsPerCore: 0\nevictionSoft: {}\nprotectKernelDefaults: false\nfailSwapOn: false\nresolvConf: ''\n",
    );
    const shown = shownConfiguration(configuration);
    expect(shown).toMatchObject({
      ...{ kind: "KubeletConfiguration", apiVersion: "kubelet.config.k8s.io/v1beta1", failSwapOn: false, resolvConf: "" },
      ...{ shutdownGracePeriod: "0s", memorySwap: {}, authentication: { anonymous: { enabled: false } } },
      logging: { format: "text", options: { json: { infoBufferSize: "0" } } },
    });
    const silent = ["podsPerCore", "evictionSoft", "protectKernelDefaults", "staticPodPath", "readOnlyPort", "tlsCipherSuites", "tracing"];
    expect(Object.keys(shown).filter((name) => silent.includes(name))).toEqual([]);
  });
});

describe("goDuration()", () => {
  it("writes durations as Go does", () => {
    const written = [0, 0.5, 1.5, 250, 1000, 90_000, 3_600_000, 5_400_500, -20_000].map(goDuration);
    expect(written).toEqual(["0s", "500µs", "1.5ms", "250ms", "1s", "1m30s", "1h0m0s", "1h30m0.5s", "-20s"]);
  });
});
