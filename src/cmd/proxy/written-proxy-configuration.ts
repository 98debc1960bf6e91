// A proxy's configuration as a file that --config reads, for --write-config-to: upstream's fields with the values in use.
import { formatDuration } from "../../base/duration.ts";
import { configurationVersion, type ProxyConfiguration } from "../../proxy/configuration/proxy-configuration.ts";

/** JSON, which is YAML too. */
export const writtenProxyConfiguration = (configuration: ProxyConfiguration): string =>
  `${JSON.stringify(proxyConfigurationObject(configuration), undefined, 2)}\n`;

/** Also what /configz shows. */
export function proxyConfigurationObject(configuration: ProxyConfiguration): Readonly<Record<string, unknown>> {
  const { masqueradeBit, masqueradeAll, syncPeriodMs, minSyncPeriodMs, configSyncPeriodMs, conntrack, featureGates, ...same } =
    configuration;
  const { clientConnection, hostnameOverride, bindAddress, healthzBindAddress, metricsBindAddress, bindAddressHardFail, mode, ...rest } =
    same;
  const { tcpEstablishedTimeoutMs, tcpCloseWaitTimeoutMs, udpTimeoutMs, udpStreamTimeoutMs, maxPerCore, min, tcpBeLiberal } = conntrack;
  const { kubeconfig, qps, burst } = clientConnection;
  return {
    ...{ kind: "KubeProxyConfiguration", apiVersion: configurationVersion },
    ...(Object.keys(featureGates).length > 0 ? { featureGates } : {}),
    clientConnection: { kubeconfig, acceptContentTypes: "", contentType: "application/json", qps, burst },
    ...{ hostnameOverride, bindAddress, healthzBindAddress, metricsBindAddress, bindAddressHardFail },
    ...{ enableProfiling: false, showHiddenMetricsForVersion: "", mode },
    ...otherModes,
    nftables: { masqueradeBit, masqueradeAll, syncPeriod: formatDuration(syncPeriodMs), minSyncPeriod: formatDuration(minSyncPeriodMs) },
    winkernel: { networkName: "", sourceVip: "", enableDSR: false, rootHnsEndpointName: "", forwardHealthCheckVip: false },
    ...rest,
    conntrack: {
      ...{ maxPerCore, min },
      tcpEstablishedTimeout: formatDuration(tcpEstablishedTimeoutMs),
      tcpCloseWaitTimeout: formatDuration(tcpCloseWaitTimeoutMs),
      tcpBeLiberal,
      udpTimeout: formatDuration(udpTimeoutMs),
      udpStreamTimeout: formatDuration(udpStreamTimeoutMs),
    },
    configSyncPeriod: formatDuration(configSyncPeriodMs),
    portRange: "",
  };
}

/** Of modes that there are not: what upstream shows unless told otherwise. */
const otherModes = {
  iptables: { masqueradeBit: 14, masqueradeAll: false, localhostNodePorts: true, syncPeriod: "0s", minSyncPeriod: "0s" },
  ipvs: {
    ...{ syncPeriod: "0s", minSyncPeriod: "0s", scheduler: "", excludeCIDRs: null, strictARP: false },
    ...{ tcpTimeout: "0s", tcpFinTimeout: "0s", udpTimeout: "0s" },
  },
} as const;
