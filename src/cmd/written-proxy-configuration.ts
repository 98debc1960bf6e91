// A proxy's configuration as a file that --config reads, for --write-config-to: upstream's fields with the values in use.
import { configurationVersion, type ProxyConfiguration } from "../proxy/configuration/proxy-configuration.ts";

/** JSON, which is YAML too. */
export const writtenProxyConfiguration = (configuration: ProxyConfiguration): string =>
  `${JSON.stringify(proxyConfigurationObject(configuration), undefined, 2)}\n`;

/** Also what /configz shows. */
export function proxyConfigurationObject(configuration: ProxyConfiguration): Readonly<Record<string, unknown>> {
  const { masqueradeBit, masqueradeAll, syncPeriodMs, minSyncPeriodMs, configSyncPeriodMs, conntrack, ...same } = configuration;
  const duration = (ms: number): string => `${ms / 1000}s`;
  const { tcpEstablishedTimeoutMs, tcpCloseWaitTimeoutMs, udpTimeoutMs, udpStreamTimeoutMs, ...limits } = conntrack;
  return {
    ...{ apiVersion: configurationVersion, kind: "KubeProxyConfiguration" },
    ...same,
    configSyncPeriod: duration(configSyncPeriodMs),
    nftables: { masqueradeBit, masqueradeAll, syncPeriod: duration(syncPeriodMs), minSyncPeriod: duration(minSyncPeriodMs) },
    conntrack: {
      ...limits,
      tcpEstablishedTimeout: duration(tcpEstablishedTimeoutMs),
      tcpCloseWaitTimeout: duration(tcpCloseWaitTimeoutMs),
      udpTimeout: duration(udpTimeoutMs),
      udpStreamTimeout: duration(udpStreamTimeoutMs),
    },
  };
}
