import { describe, expect, it } from "vitest";
import { detectLocalOf, splitAddress, withPort } from "./proxy-configuration.ts";
import { emptyConfiguration, readProxyConfiguration } from "./read-proxy-configuration.ts";

const read = (text: string) => readProxyConfiguration(`${emptyConfiguration}${text}`);

describe("readProxyConfiguration()", () => {
  it("has upstream's defaults, those of the nftables mode", async () => {
    expect(await read("")).toEqual({
      clientConnection: { kubeconfig: "", qps: 5, burst: 10 },
      hostnameOverride: "",
      bindAddress: "0.0.0.0",
      healthzBindAddress: "0.0.0.0:10256",
      metricsBindAddress: "127.0.0.1:10249",
      bindAddressHardFail: false,
      mode: "nftables",
      masqueradeBit: 14,
      masqueradeAll: false,
      syncPeriodMs: 30_000,
      minSyncPeriodMs: 1_000,
      detectLocalMode: "ClusterCIDR",
      detectLocal: { bridgeInterface: "", interfaceNamePrefix: "" },
      clusterCIDR: "",
      nodePortAddresses: ["primary"],
      oomScoreAdj: -999,
      conntrack: {
        ...{ maxPerCore: 32_768, min: 131_072, tcpEstablishedTimeoutMs: 86_400_000, tcpCloseWaitTimeoutMs: 3_600_000 },
        ...{ tcpBeLiberal: false, udpTimeoutMs: 0, udpStreamTimeoutMs: 0 },
      },
      configSyncPeriodMs: 900_000,
      featureGates: {},
    });
    expect(await read("bindAddress: '::'")).toMatchObject({ healthzBindAddress: "[::]:10256", metricsBindAddress: "[::1]:10249" });
  });

  it("reads what kubeadm writes, with the settings of other modes", async () => {
    const text = `
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection: { acceptContentTypes: "", burst: 0, contentType: "", kubeconfig: /var/lib/kube-proxy/kubeconfig.conf, qps: 0 }
clusterCIDR: 10.244.0.0/16,fd44::/48
configSyncPeriod: 0s
conntrack: { maxPerCore: null, min: 1000, tcpBeLiberal: false, tcpCloseWaitTimeout: null, tcpEstablishedTimeout: 1h, udpStreamTimeout: 0s, udpTimeout: 10s }
detectLocal: { bridgeInterface: "", interfaceNamePrefix: "" }
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: "10.0.0.1"
hostnameOverride: ""
iptables: { localhostNodePorts: null, masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s }
ipvs: { excludeCIDRs: null, minSyncPeriod: 0s, scheduler: "", strictARP: false, syncPeriod: 0s, tcpFinTimeout: 0s, tcpTimeout: 0s, udpTimeout: 0s }
logging: { flushFrequency: 0, options: { json: { infoBufferSize: "0" } }, verbosity: 0 }
metricsBindAddress: ""
mode: ""
nftables: { masqueradeAll: true, masqueradeBit: 3, minSyncPeriod: 500ms, syncPeriod: 10s }
nodePortAddresses: [192.168.0.0/16]
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel: { enableDSR: false, forwardHealthCheckVip: false, networkName: "", rootHnsEndpointName: "", sourceVip: "" }
`;
    const configuration = await read(text);
    expect(configuration).toMatchObject({
      clientConnection: { kubeconfig: "/var/lib/kube-proxy/kubeconfig.conf", qps: 5, burst: 10 },
      healthzBindAddress: "10.0.0.1:10256",
      ...{ masqueradeAll: true, masqueradeBit: 3, minSyncPeriodMs: 500, syncPeriodMs: 10_000 },
      nodePortAddresses: ["192.168.0.0/16"],
      conntrack: { maxPerCore: 32_768, min: 1_000, tcpEstablishedTimeoutMs: 3_600_000, udpTimeoutMs: 10_000 },
    });
    expect(detectLocalOf(configuration)).toEqual({ mode: "ClusterCIDR", clusterCidrs: ["10.244.0.0/16", "fd44::/48"] });
  });

  it.each([
    ["colour: blue", "colour: unknown field"],
    ["nftables: { colour: blue }", "nftables.colour: unknown field"],
    ["conntrack: { min: x }", "conntrack.min: expected a whole number"],
    ["mode: userspace", 'KubeProxyConfiguration.Mode.ProxyMode: Invalid value: "userspace"'],
    ["nftables: { masqueradeBit: 32 }", "must be within the range [0, 31]"],
    ["nftables: { minSyncPeriod: 1m }", 'SyncPeriod: Invalid value: "60s": must be greater than or equal to'],
    ["bindAddress: here", "not a valid textual representation of an IP address"],
    ["healthzBindAddress: 1.2.3.4:0", "must be a valid port"],
    ["metricsBindAddress: here:10", 'Invalid value: "here": must be a valid IP'],
    ["nodePortAddresses: [primary, 10.0.0.0/8]", "can't use both 'primary' and CIDRs"],
    ["nodePortAddresses: [10.0.0.1]", "NodePortAddresses[0]"],
    ["clusterCIDR: 10.0.0.1", "must be a valid CIDR"],
    ["detectLocalMode: Guess", "Unsupported value"],
    ["detectLocalMode: BridgeInterface", "must be the name of an interface"],
    ['{detectLocalMode: InterfaceNamePrefix, detectLocal: {interfaceNamePrefix: "a\\" x"}}', "must be the beginning of interfaces' names"],
    ["oomScoreAdj: -1001", "must be within the range [-1000, 1000]"],
    ["conntrack: { maxPerCore: -1 }", "MaxPerCore"],
  ])("refuses %s", async (text, message) => {
    const whole = text.startsWith("{")
      ? `{apiVersion: kubeproxy.config.k8s.io/v1alpha1, kind: KubeProxyConfiguration, ${text.slice(1)}`
      : undefined;
    await expect(whole === undefined ? read(text) : readProxyConfiguration(whole)).rejects.toThrow(message);
  });

  it("refuses other kinds and versions", async () => {
    await expect(readProxyConfiguration("apiVersion: v1\nkind: Pod\n")).rejects.toThrow("kind: expected KubeProxyConfiguration");
  });
});

describe("withPort() and splitAddress()", () => {
  it.each([
    ["0.0.0.0", "0.0.0.0:10256", "0.0.0.0"],
    ["0.0.0.0:1", "0.0.0.0:1", "0.0.0.0"],
    ["::", "[::]:10256", "::"],
    ["[::1]", "[::1]:10256", "::1"],
    ["[::1]:5", "[::1]:5", "::1"],
  ])("%s", (text, whole, address) => {
    expect(withPort(text, 10_256)).toBe(whole);
    expect(splitAddress(whole)?.address).toBe(address);
  });
});
