// KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1): the file behind `--config`. Fields that are not known are refused,
// the rest has upstream's defaults and is checked by upstream's rules. There is one mode here, nftables: the settings of the
// others are checked for their types and otherwise without effect.
import { ConfigError, type ConfigFields, readConfigText } from "../../api/encode/config-fields.ts";
import { checkConfiguration } from "./check-configuration.ts";
import { type ConntrackSettings, configurationVersion, orPrimary, type ProxyConfiguration, withPort } from "./proxy-configuration.ts";

const kind = "KubeProxyConfiguration";

/** What no file says. */
export const emptyConfiguration = `apiVersion: ${configurationVersion}\nkind: ${kind}\n`;

/** Throws ConfigError with everything that is wrong, or with the first field that cannot be read. */
export async function readProxyConfiguration(text: string): Promise<ProxyConfiguration> {
  const root = await readConfigText(text, kind, [configurationVersion]);
  const configuration = decode(root);
  const errors = checkConfiguration(configuration);
  if (errors.length > 0) throw new ConfigError(errors.length === 1 ? (errors[0] ?? "") : `[${errors.join(", ")}]`);
  return configuration;
}

function decode(root: ConfigFields): ProxyConfiguration {
  const bindAddress = root.text("bindAddress") || "0.0.0.0";
  const isIPv6 = bindAddress.includes(":");
  const healthz = withPort(root.text("healthzBindAddress") || (isIPv6 ? "[::]" : "0.0.0.0"), 10_256);
  const metrics = withPort(root.text("metricsBindAddress") || (isIPv6 ? "[::1]" : "127.0.0.1"), 10_249);
  const connection = root.object("clientConnection");
  const nftables = root.object("nftables");
  const detectLocal = root.object("detectLocal");
  const gates = root.object("featureGates");
  const configuration: ProxyConfiguration = {
    clientConnection: {
      kubeconfig: connection?.text("kubeconfig") ?? "",
      qps: connection?.number("qps") || 5,
      burst: connection?.integer("burst") || 10,
    },
    hostnameOverride: root.text("hostnameOverride") ?? "",
    ...{ bindAddress, healthzBindAddress: healthz, metricsBindAddress: metrics },
    bindAddressHardFail: root.boolean("bindAddressHardFail") ?? false,
    mode: root.text("mode") || "nftables",
    masqueradeBit: nftables?.int32("masqueradeBit") ?? 14,
    masqueradeAll: nftables?.boolean("masqueradeAll") ?? false,
    syncPeriodMs: nftables?.durationMs("syncPeriod") || 30_000,
    minSyncPeriodMs: nftables?.durationMs("minSyncPeriod") || 1_000,
    detectLocalMode: root.text("detectLocalMode") || "ClusterCIDR",
    detectLocal: {
      bridgeInterface: detectLocal?.text("bridgeInterface") ?? "",
      interfaceNamePrefix: detectLocal?.text("interfaceNamePrefix") ?? "",
    },
    clusterCIDR: root.text("clusterCIDR") ?? "",
    nodePortAddresses: orPrimary(root.texts("nodePortAddresses")),
    oomScoreAdj: root.int32("oomScoreAdj") ?? -999,
    conntrack: readConntrack(root.object("conntrack")),
    configSyncPeriodMs: root.durationMs("configSyncPeriod") || 900_000,
    featureGates: Object.fromEntries(gates?.names().map((name) => [name, gates.boolean(name) ?? false]) ?? []),
  };
  connection?.ignore("acceptContentTypes", "contentType");
  for (const fields of [connection, nftables, detectLocal]) fields?.end();
  readWithoutEffect(root);
  root.end();
  return configuration;
}

/** What concerns other modes, other systems, or what is not here. */
function readWithoutEffect(root: ConfigFields): void {
  root.ignore("logging");
  root.boolean("enableProfiling");
  root.boolean("windowsRunAsService");
  root.text("showHiddenMetricsForVersion");
  root.text("portRange");
  const iptables = root.object("iptables");
  iptables?.int32("masqueradeBit");
  iptables?.boolean("masqueradeAll");
  iptables?.boolean("localhostNodePorts");
  const ipvs = root.object("ipvs");
  ipvs?.text("scheduler");
  ipvs?.texts("excludeCIDRs");
  ipvs?.boolean("strictARP");
  for (const name of ["tcpTimeout", "tcpFinTimeout", "udpTimeout"]) ipvs?.durationMs(name);
  for (const fields of [iptables, ipvs]) for (const name of ["syncPeriod", "minSyncPeriod"]) fields?.durationMs(name);
  const winkernel = root.object("winkernel");
  for (const name of ["networkName", "sourceVip", "rootHnsEndpointName"]) winkernel?.text(name);
  for (const name of ["enableDSR", "forwardHealthCheckVip"]) winkernel?.boolean(name);
  for (const fields of [iptables, ipvs, winkernel]) fields?.end();
}

function readConntrack(fields: ConfigFields | undefined): ConntrackSettings {
  const settings = {
    maxPerCore: fields?.int32("maxPerCore") ?? 32 * 1024,
    min: fields?.int32("min") ?? 128 * 1024,
    tcpEstablishedTimeoutMs: fields?.durationMs("tcpEstablishedTimeout") ?? 24 * 3_600_000,
    tcpCloseWaitTimeoutMs: fields?.durationMs("tcpCloseWaitTimeout") ?? 3_600_000,
    tcpBeLiberal: fields?.boolean("tcpBeLiberal") ?? false,
    udpTimeoutMs: fields?.durationMs("udpTimeout") ?? 0,
    udpStreamTimeoutMs: fields?.durationMs("udpStreamTimeout") ?? 0,
  };
  fields?.end();
  return settings;
}
